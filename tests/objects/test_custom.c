/* Initializers, regularizers, constraints and activations of one's own: by class and by function,
   in layers, configs and files. */
#include <math.h>
#include <unistd.h>

#include "base/test_support.h"
#include "klayers/klayers.h"

/* ---- Classes with an argument --------------------------------------------------------------- */

typedef struct scale_args {
    size_t size;
    unsigned mark;
    double by;
} scale_args;

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const kl_field scale_fields[] = {
    {"by", KL_FIELD_FLOAT, offsetof(scale_args, by), "2", .min = 0, .max = 100}, {0}};

static double scale_of(const void *self)
{
    const scale_args *s = kl_object_state(self);
    return s->by;
}

static kl_status scaled_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    float *at = kl_tensor_mutable_data(out);
    for (int64_t i = 0; i < kl_tensor_size(out); i++)
        at[i] = (float)scale_of(self);
    return KL_OK;
}

static kl_tensor *scaled_penalty(const kl_regularizer *self, kl_tensor *x)
{
    return kl_op_mul_scalar(kl_op_sum(x, KL_ALL_AXES, false), scale_of(self));
}

static kl_tensor *scaled_weight(const kl_constraint *self, kl_tensor *w)
{
    return kl_op_mul_scalar(w, scale_of(self));
}

static kl_tensor *scaled_value(const kl_activation *self, kl_tensor *x)
{
    return kl_op_mul_scalar(x, scale_of(self));
}

#define SCALE_CLASS(kind, name)                                                                    \
    .size = sizeof(kl_##kind##_vtable), .class_name = name, .package = "mine",                     \
    .state_size = sizeof(scale_args), .args_size = sizeof(scale_args), .fields = scale_fields

static const kl_initializer_vtable fill_class = {SCALE_CLASS(initializer, "ScaleFill"),
                                                 .names = "scale_fill", .fill = scaled_fill};
static const kl_regularizer_vtable penalty_class = {SCALE_CLASS(regularizer, "ScalePenalty"),
                                                    .call = scaled_penalty};
static const kl_constraint_vtable weight_class = {SCALE_CLASS(constraint, "ScaleWeight"),
                                                  .call = scaled_weight};
static const kl_activation_vtable value_class = {SCALE_CLASS(activation, "ScaleValue"),
                                                 .call = scaled_value};

static void *made(kl_kind kind, const void *cls, double by)
{
    void *object = kl_object_new(
        kind, cls, &(scale_args){.size = sizeof(scale_args), .mark = kl_error_count(), .by = by});
    assert_non_null(object);
    return object;
}

static kl_layer *dense_of_classes(void)
{
    return kl_dense(.units = 2, .kernel_initializer = made(KL_KIND_INITIALIZER, &fill_class, 3),
                    .kernel_regularizer = made(KL_KIND_REGULARIZER, &penalty_class, 0.5),
                    .kernel_constraint = made(KL_KIND_CONSTRAINT, &weight_class, 4),
                    .activation = made(KL_KIND_ACTIVATION, &value_class, 5));
}

/* ---- Functions ------------------------------------------------------------------------------ */

static kl_status fill_threes(kl_tensor *out, void *user)
{
    float *at = kl_tensor_mutable_data(out);
    for (int64_t i = 0; i < kl_tensor_size(out); i++)
        at[i] = 3;
    return KL_OK;
}

static kl_tensor *times(kl_tensor *x, void *user)
{
    return kl_op_mul_scalar(x, *(const double *)user);
}

static kl_tensor *sum_times(kl_tensor *x, void *user)
{
    return times(kl_op_sum(x, KL_ALL_AXES, false), user);
}

static double half = 0.5, four = 4, five = 5;

static kl_layer *dense_of_functions(void)
{
    return kl_dense(.units = 2, .kernel_initializer = kl_initializer_from("threes", fill_threes, 0),
                    .kernel_regularizer = kl_regularizer_from("halves", sum_times, &half),
                    .kernel_constraint = kl_constraint_from("mine>fours", times, &four),
                    .activation = kl_activation_from("fives", times, &five));
}

/* ---- Checks --------------------------------------------------------------------------------- */

/* A layer on [1, 1]: kernel 3, output 5 * 3, penalty 0.5 * (3 + 3). */
static void check_dense(kl_layer *dense)
{
    if (!dense)
        print_error("%s\n", kl_last_error());
    assert_non_null(dense);
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1, 1)), *y = kl_call(dense, x);
    assert_non_null(y);
    assert_float_equal(kl_tensor_at(y, 0), 15, 1e-6);
    kl_release(y);
    kl_release(x);
}

static void check_again(kl_layer *dense, const char *part)
{
    check_dense(dense);
    char *config = kl_layer_get_config(dense);
    assert_non_null(config);
    if (!strstr(config, part))
        print_error("%s\n", config);
    assert_non_null(strstr(config, part));
    kl_layer *again = kl_layer_from_config("Dense", config);
    check_dense(again);
    char *second = kl_layer_get_config(again);
    assert_string_equal(config, second);
    kl_free_text(second);
    kl_free_text(config);
    kl_layer_release(again);
    kl_layer_release(dense);
}

/* Nothing is known yet: the config of such a layer can't be read. */
static void check_unknown(kl_layer *dense)
{
    char *config = kl_layer_get_config(dense);
    assert_non_null(config);
    assert_null(kl_layer_from_config("Dense", config));
    assert_non_null(strstr(kl_last_error(), "unknown "));
    kl_clear_error();
    kl_free_text(config);
    kl_layer_release(dense);
}

/* Through a file, training on afterwards: the constraint multiplies the kernel by 4. */
static void check_file(kl_layer *dense)
{
    char path[] = "/tmp/klayers_custom_XXXXXX.keras";
    int file = mkstemps(path, 6);
    assert_true(file >= 0);
    close(file);
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {1}));
    kl_add(model, dense);
    assert_int_equal(kl_save_model(model, path), KL_OK);
    kl_layer_release(model);
    model = kl_load_model(path);
    if (!model)
        print_error("%s\n", kl_last_error());
    assert_non_null(model);
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1, 1)), *y = kl_zeros(KL_FLOAT32, KL_DIMS(1, 2));
    kl_tensor *before = kl_predict(model, x);
    assert_float_equal(kl_tensor_at(before, 0), 15, 1e-6);
    assert_int_equal(kl_compile(model, .optimizer = kl_sgd(.learning_rate = 0), .loss = "mse"),
                     KL_OK);
    kl_history *history = kl_fit(model, x, y, .epochs = 1, .verbose = 0);
    assert_non_null(history);
    /* The mean square of the outputs and the penalty. */
    assert_float_equal(kl_history_last(history, "loss"), 225 + 3, 1e-3);
    kl_history_free(history);
    kl_tensor *after = kl_predict(model, x);
    assert_float_equal(kl_tensor_at(after, 0), 60, 1e-5);
    kl_release(after);
    kl_release(before);
    kl_release(x);
    kl_release(y);
    kl_layer_release(model);
    unlink(path);
}

static void register_classes(void)
{
    assert_int_equal(kl_register_class(KL_KIND_INITIALIZER, (const kl_class *)&fill_class), KL_OK);
    assert_int_equal(kl_register_class(KL_KIND_REGULARIZER, (const kl_class *)&penalty_class),
                     KL_OK);
    assert_int_equal(kl_register_class(KL_KIND_CONSTRAINT, (const kl_class *)&weight_class), KL_OK);
    assert_int_equal(kl_register_class(KL_KIND_ACTIVATION, (const kl_class *)&value_class), KL_OK);
}

static void register_functions(void)
{
    assert_int_equal(kl_register_initializer("threes", fill_threes, NULL), KL_OK);
    assert_int_equal(kl_register_regularizer("halves", sum_times, &half), KL_OK);
    assert_int_equal(kl_register_constraint("mine>fours", times, &four), KL_OK);
    assert_int_equal(kl_register_activation("fives", times, &five), KL_OK);
}

static void test_classes(void **state)
{
    check_unknown(dense_of_classes());
    register_classes();
    check_again(dense_of_classes(), "\"registered_name\": \"mine>ScaleFill\"");
    check_file(dense_of_classes());
    /* By a name, with the default arguments. */
    kl_layer *dense =
        kl_dense(.units = 1, .kernel_initializer = "scale_fill", .activation = "ScaleValue");
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1, 1)), *y = kl_call(dense, x);
    assert_non_null(y);
    assert_float_equal(kl_tensor_at(y, 0), 4, 1e-6);
    kl_release(y);
    kl_release(x);
    kl_layer_release(dense);
    kl_shutdown();
}

static void test_functions(void **state)
{
    check_unknown(dense_of_functions());
    register_functions();
    check_again(dense_of_functions(), "\"config\": \"mine>fours\"");
    check_again(kl_dense(.units = 2, .kernel_initializer = "threes", .kernel_regularizer = "halves",
                         .kernel_constraint = "mine>fours", .activation = "fives"),
                "\"config\": \"Custom>halves\"");
    check_file(dense_of_functions());
    /* The kinds have names of their own. */
    assert_null(kl_regularizer_get("fives"));
    kl_clear_error();
    /* The latest function of a name counts. */
    double six = 6;
    assert_int_equal(kl_register_activation("fives", times, &six), KL_OK);
    kl_activation *activation = kl_activation_get("fives");
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1)), *y = kl_activation_call(activation, x);
    assert_float_equal(kl_tensor_at(y, 0), 6, 1e-6);
    kl_release(y);
    kl_release(x);
    kl_object_release(activation);
    kl_shutdown();
}

static void check_refused(kl_status status, kl_status expected, const char *part)
{
    assert_int_equal(status, expected);
    if (!strstr(kl_last_error(), part))
        print_error("'%s' lacks '%s'\n", kl_last_error(), part);
    assert_non_null(strstr(kl_last_error(), part));
    kl_clear_error();
}

static void test_bad_input(void **state)
{
    kl_clear_error();
    check_refused(kl_register_initializer(NULL, fill_threes, NULL), KL_ERROR_INVALID, "`name`");
    check_refused(kl_register_initializer("a", NULL, NULL), KL_ERROR_INVALID, "`function`");
    check_refused(kl_register_regularizer(NULL, times, NULL), KL_ERROR_INVALID, "`name`");
    check_refused(kl_register_regularizer("a", NULL, NULL), KL_ERROR_INVALID, "`function`");
    check_refused(kl_register_constraint(NULL, times, NULL), KL_ERROR_INVALID, "`name`");
    check_refused(kl_register_constraint("a", NULL, NULL), KL_ERROR_INVALID, "`function`");
    check_refused(kl_register_initializer("zeros", fill_threes, NULL), KL_ERROR_STATE,
                  "initializer name 'zeros' is taken");
    check_refused(kl_register_regularizer("l2", times, NULL), KL_ERROR_STATE, "taken");
    check_refused(kl_register_constraint("mine>NonNeg", times, NULL), KL_ERROR_STATE, "taken");
    check_refused(kl_register_activation("relu", times, NULL), KL_ERROR_STATE, "taken");
    /* Classes that lack what they must have fail where it is needed. */
    static const kl_initializer_vtable no_fill = {SCALE_CLASS(initializer, "NoFill")};
    static const kl_regularizer_vtable no_penalty = {SCALE_CLASS(regularizer, "NoPenalty")};
    static const kl_constraint_vtable no_weight = {SCALE_CLASS(constraint, "NoWeight")};
    static const kl_activation_vtable no_value = {SCALE_CLASS(activation, "NoValue")};
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(2));
    void *objects[] = {
        made(KL_KIND_INITIALIZER, &no_fill, 1), made(KL_KIND_REGULARIZER, &no_penalty, 1),
        made(KL_KIND_CONSTRAINT, &no_weight, 1), made(KL_KIND_ACTIVATION, &no_value, 1)};
    assert_null(kl_initializer_call(objects[0], KL_FLOAT32, KL_DIMS(2)));
    check_refused(kl_last_status(), KL_ERROR_INVALID, "NoFill: the class has no fill");
    assert_null(kl_regularizer_call(objects[1], x));
    check_refused(kl_last_status(), KL_ERROR_INVALID, "NoPenalty: the class has no call");
    assert_null(kl_constraint_call(objects[2], x));
    check_refused(kl_last_status(), KL_ERROR_INVALID, "NoWeight: the class has no call");
    assert_null(kl_activation_call(objects[3], x));
    check_refused(kl_last_status(), KL_ERROR_INVALID, "NoValue: the class has no call");
    for (int i = 0; i < 4; i++)
        kl_object_release(objects[i]);
    kl_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
