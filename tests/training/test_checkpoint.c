/* ModelCheckpoint: what it saves continues training where it was. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "klayers/klayers.h"

static void saves_what_can_go_on(void **state)
{
#ifndef KL_HAVE_SAVING
    skip();
#else
    char folder[] = P_tmpdir "/klayers_checkpoint_XXXXXX", pattern[200], first[200], second[200];
    assert_non_null(mkdtemp(folder));
    snprintf(pattern, sizeof pattern, "%s/{epoch:02d}-{loss:.0f}.keras", folder);
    kl_tensor *x = kl_op_random_normal(KL_FLOAT32, KL_DIMS(32, 3), 0, 1);
    kl_tensor *y = kl_op_random_normal(KL_FLOAT32, KL_DIMS(32, 1), 100, 0.001);
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {3}));
    kl_add(model, kl_dense(.units = 1));
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 0.1), .loss = "mae",
               .metrics = {"mse"});
    kl_history *history = kl_fit(model, x, y, .epochs = 2, .verbose = 0,
                                 .callbacks = {kl_callback_model_checkpoint(.filepath = pattern)});
    if (!history)
        fail_msg("%s", kl_last_error());
    const double *losses = kl_history_get(history, "loss", NULL);
    snprintf(first, sizeof first, "%s/01-%.0f.keras", folder, losses[0]);
    snprintf(second, sizeof second, "%s/02-%.0f.keras", folder, losses[1]);
    assert_int_equal(access(first, R_OK), 0);
    kl_model *again = kl_load_model(second);
    if (!again)
        fail_msg("%s", kl_last_error());
    /* The optimizer's moments came along: the next steps are the same. */
    for (int i = 0; i < 3; i++)
        assert_true(kl_train_on_batch(model, x, y) == kl_train_on_batch(again, x, y));
    assert_true(kl_model_metric(model, "mse") == kl_model_metric(again, "mse"));
    unlink(first);
    unlink(second);
    rmdir(folder);
    kl_history_free(history);
    kl_release(x);
    kl_release(y);
    kl_layer_release(model);
    kl_layer_release(again);
#endif
}

static void bad_paths_are_told(void **state)
{
    assert_null(kl_callback_model_checkpoint(.filepath = "model.h6"));
    assert_non_null(strstr(kl_last_error(), "must end in .keras, got 'model.h6'"));
    assert_null(kl_callback_model_checkpoint());
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(4, 2));
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 2));
    kl_compile(model, .loss = "mse");
    static const char *const paths[] = {"{lost}.keras", "{epoch.keras", "{epoch:x}.keras",
                                        "/no/such/folder/{epoch}.keras"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_null(kl_fit(model, x, x, .verbose = 0,
                           .callbacks = {kl_callback_model_checkpoint(.filepath = paths[i])}));
    kl_release(x);
    kl_layer_release(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saves_what_can_go_on),
        cmocka_unit_test(bad_paths_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
