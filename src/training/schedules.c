/* Learning-rate schedules, by Keras's formulas in float. */
#include <math.h>
#include "base/error.h"
#include "objects/object.h"
#include "training/losses.h"
#include "klayers/optimizers.h"

#define NAME(T)                                                                                    \
    {                                                                                              \
        "name", KL_FIELD_STRING, offsetof(T, name), .doc = "of its ops",                           \
                                                    .flags = KL_FIELD_OPTIONAL                     \
    }
#define RATE(T)                                                                                    \
    {                                                                                              \
        "initial_learning_rate", KL_FIELD_FLOAT, offsetof(T, initial_learning_rate),               \
            .doc = "at step 0", .flags = KL_FIELD_REQUIRED                                         \
    }
#define STEPS(T, member)                                                                           \
    {                                                                                              \
#member, KL_FIELD_INT, offsetof(T, member), .doc = "steps of the decay", .min = 1,         \
                                                    .max = 1e18, .flags = KL_FIELD_REQUIRED        \
    }

static const kl_field decay_fields[] = {
    RATE(kl_decay_args),
    STEPS(kl_decay_args, decay_steps),
    {"decay_rate", KL_FIELD_FLOAT, offsetof(kl_decay_args, decay_rate), .doc = "a period's factor",
     .flags = KL_FIELD_REQUIRED},
    {"staircase", KL_FIELD_BOOL, offsetof(kl_decay_args, staircase), "false",
     .doc = "whether it falls in whole periods"},
    NAME(kl_decay_args),
    {0}};

static double periods(const kl_decay_args *a, int64_t step)
{
    float p = (float)step / (float)a->decay_steps;
    return a->staircase ? floorf(p) : p;
}

static double exponential(const void *state, int64_t step)
{
    const kl_decay_args *a = state;
    return (float)a->initial_learning_rate * powf((float)a->decay_rate, (float)periods(a, step));
}

static double inverse_time(const void *state, int64_t step)
{
    const kl_decay_args *a = state;
    return (float)a->initial_learning_rate / (1 + (float)a->decay_rate * (float)periods(a, step));
}

static const kl_field piecewise_fields[] = {
    {"boundaries", KL_FIELD_INTS, offsetof(kl_piecewise_constant_decay_args, boundaries),
     .doc = "steps after which the value changes", .flags = KL_FIELD_REQUIRED},
    {"values", KL_FIELD_FLOATS, offsetof(kl_piecewise_constant_decay_args, values),
     .doc = "rates, one more than boundaries", .flags = KL_FIELD_REQUIRED},
    NAME(kl_piecewise_constant_decay_args),
    {0}};

static kl_status piecewise_init(void *self)
{
    const kl_piecewise_constant_decay_args *a = kl_object_state(self);
    if (!a->values.count || a->boundaries.count != a->values.count - 1)
        return kl_error(KL_ERROR_INVALID,
                        "PiecewiseConstantDecay: boundaries should be 1 fewer than values, got %zu "
                        "boundaries and %zu values",
                        a->boundaries.count, a->values.count);
    for (size_t i = 1; i < a->boundaries.count; i++)
        if (a->boundaries.at[i] <= a->boundaries.at[i - 1])
            return kl_error(KL_ERROR_INVALID, "PiecewiseConstantDecay: boundaries must rise");
    return KL_OK;
}

static double piecewise(const void *state, int64_t step)
{
    const kl_piecewise_constant_decay_args *a = state;
    size_t i = 0;
    while (i < a->boundaries.count && step > a->boundaries.at[i])
        i++;
    return a->values.at[i];
}

static const kl_field polynomial_fields[] = {
    RATE(kl_polynomial_decay_args),
    STEPS(kl_polynomial_decay_args, decay_steps),
    {"end_learning_rate", KL_FIELD_FLOAT, offsetof(kl_polynomial_decay_args, end_learning_rate),
     "0.0001", .doc = "at the end"},
    {"power", KL_FIELD_FLOAT, offsetof(kl_polynomial_decay_args, power), "1", .doc = "exponent"},
    {"cycle", KL_FIELD_BOOL, offsetof(kl_polynomial_decay_args, cycle), "false",
     .doc = "whether it starts anew beyond decay_steps"},
    NAME(kl_polynomial_decay_args),
    {0}};

static double polynomial(const void *state, int64_t step)
{
    const kl_polynomial_decay_args *a = state;
    float steps = (float)a->decay_steps, at = (float)step, end = (float)a->end_learning_rate;
    if (a->cycle)
        steps *= step ? ceilf(at / steps) : 1;
    else
        at = at < steps ? at : steps;
    return ((float)a->initial_learning_rate - end) * powf(1 - at / steps, (float)a->power) + end;
}

static const kl_field cosine_fields[] = {
    RATE(kl_cosine_decay_args),
    STEPS(kl_cosine_decay_args, decay_steps),
    {"alpha", KL_FIELD_FLOAT, offsetof(kl_cosine_decay_args, alpha), "0",
     .doc = "least rate as a part of the first"},
    NAME(kl_cosine_decay_args),
    {"warmup_target", KL_FIELD_FLOAT, offsetof(kl_cosine_decay_args, warmup_target),
     .doc = "rate after the warm-up", .flags = KL_FIELD_OPTIONAL},
    {"warmup_steps", KL_FIELD_INT, offsetof(kl_cosine_decay_args, warmup_steps), "0",
     .doc = "steps of the warm-up", .min = 0, .max = 1e18},
    {0}};

static double fall(double alpha, float part, float from)
{
    float wave = 0.5F * (1 + cosf((float)M_PI * part));
    return from * ((float)(1 - alpha) * wave + (float)alpha);
}

static double cosine(const void *state, int64_t step)
{
    const kl_cosine_decay_args *a = state;
    float at = (float)step, steps = (float)a->decay_steps, first = (float)a->initial_learning_rate;
    if (isnan(a->warmup_target))
        return fall(a->alpha, (at < steps ? at : steps) / steps, first);
    float warm = (float)a->warmup_steps, target = (float)a->warmup_target;
    at = at < steps + warm ? at : steps + warm;
    if (at < warm)
        return (target - first) * (at / warm) + first;
    return fall(a->alpha, (at - warm) / steps, target);
}

static const kl_field restarts_fields[] = {
    RATE(kl_cosine_decay_restarts_args),
    STEPS(kl_cosine_decay_restarts_args, first_decay_steps),
    {"t_mul", KL_FIELD_FLOAT, offsetof(kl_cosine_decay_restarts_args, t_mul), "2",
     .doc = "how periods grow"},
    {"m_mul", KL_FIELD_FLOAT, offsetof(kl_cosine_decay_restarts_args, m_mul), "1",
     .doc = "how the first rate changes"},
    {"alpha", KL_FIELD_FLOAT, offsetof(kl_cosine_decay_restarts_args, alpha), "0",
     .doc = "least rate as a part of the first"},
    NAME(kl_cosine_decay_restarts_args),
    {0}};

static double restarts(const void *state, int64_t step)
{
    const kl_cosine_decay_restarts_args *a = state;
    float part = (float)step / (float)a->first_decay_steps, grow = (float)a->t_mul, round;
    if (grow == 1) {
        round = floorf(part);
        part -= round;
    } else {
        round = floorf(logf(1 - part * (1 - grow)) / logf(grow));
        part = (part - (1 - powf(grow, round)) / (1 - grow)) / powf(grow, round);
    }
    float wave = 0.5F * powf((float)a->m_mul, round) * (1 + cosf((float)M_PI * part));
    return (float)a->initial_learning_rate * ((float)(1 - a->alpha) * wave + (float)a->alpha);
}

/* constructor, class, argument struct, fields, call, init, default name */
#define SCHEDULES(X)                                                                               \
    X(exponential_decay, "ExponentialDecay", kl_decay_args, decay_fields, exponential, NULL)       \
    X(inverse_time_decay, "InverseTimeDecay", kl_decay_args, decay_fields, inverse_time, NULL)     \
    X(piecewise_constant_decay, "PiecewiseConstantDecay", kl_piecewise_constant_decay_args,        \
      piecewise_fields, piecewise, piecewise_init)                                                 \
    X(polynomial_decay, "PolynomialDecay", kl_polynomial_decay_args, polynomial_fields,            \
      polynomial, NULL)                                                                            \
    X(cosine_decay, "CosineDecay", kl_cosine_decay_args, cosine_fields, cosine, NULL)              \
    X(cosine_decay_restarts, "CosineDecayRestarts", kl_cosine_decay_restarts_args,                 \
      restarts_fields, restarts, NULL)

#define CLASS(id, class, T, table, function, check)                                                \
    static const kl_schedule_vtable id##_class = {.size = sizeof(kl_schedule_vtable),              \
                                                  .class_name = class,                             \
                                                  .state_size = sizeof(T),                         \
                                                  .args_size = sizeof(T),                          \
                                                  .fields = table,                                 \
                                                  .init = check,                                   \
                                                  .call = function};
SCHEDULES(CLASS)

#define ENTRY(id, class, T, table, function, check) &id##_class,
static const kl_schedule_vtable *const schedules[] = {SCHEDULES(ENTRY)};

const kl_class *kl_builtin_schedule(const char *name)
{
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        if (kl_class_is_named((const kl_class *)schedules[i], name))
            return (const kl_class *)schedules[i];
    return NULL;
}

static kl_schedule *new_schedule(const char *function, const kl_schedule_vtable *cls,
                                 const void *args)
{
    kl_training_use();
    if (!args) {
        kl_error_null(function, "args");
        return NULL;
    }
    return kl_object_new(KL_KIND_SCHEDULE, (const kl_class *)cls, args);
}

#define CONSTRUCTOR(id, class, T, table, function, check)                                          \
    kl_schedule *kl_##id##_new(const T *args)                                                      \
    {                                                                                              \
        return new_schedule("kl_" #id, &id##_class, args);                                         \
    }
SCHEDULES(CONSTRUCTOR)

#define DEFAULTS(function, T, values)                                                              \
    T function(void)                                                                               \
    {                                                                                              \
        return (T){.size = sizeof(T), .mark = kl_error_count(), KL_UNPAREN_ values};               \
    }
DEFAULTS(kl_decay_defaults, kl_decay_args, (KL_DECAY_DEFAULTS))
DEFAULTS(kl_piecewise_constant_decay_defaults, kl_piecewise_constant_decay_args,
         (KL_DECAY_DEFAULTS))
DEFAULTS(kl_polynomial_decay_defaults, kl_polynomial_decay_args, (KL_POLYNOMIAL_DECAY_DEFAULTS))
DEFAULTS(kl_cosine_decay_defaults, kl_cosine_decay_args, (KL_COSINE_DECAY_DEFAULTS))
DEFAULTS(kl_cosine_decay_restarts_defaults, kl_cosine_decay_restarts_args,
         (KL_COSINE_RESTARTS_DEFAULTS))

double kl_schedule_call(const kl_schedule *schedule, int64_t step)
{
    if (!schedule || kl_object_kind(schedule) != KL_KIND_SCHEDULE) {
        kl_error_null("kl_schedule_call", "schedule");
        return NAN;
    }
    const kl_object *object = (const kl_object *)schedule;
    return ((const kl_schedule_vtable *)object->cls)->call(object->state, step);
}
