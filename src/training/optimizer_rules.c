/* The update rule of every optimizer, for float and double. */
#include <math.h>
#include "kernels/elementwise_table.h"
#include "training/optimizer.h"

#define REAL       float
#define RULE(name) name##_f32
#define SQRT       sqrtf
#define POW        powf
#include "training/optimizer_rules_impl.h"
#undef REAL
#undef RULE
#undef SQRT
#undef POW
#define REAL       double
#define RULE(name) name##_f64
#define SQRT       sqrt
#define POW        pow
#include "training/optimizer_rules_impl.h"

#define DISPATCH(id)                                                                               \
    void kl_##id##_update(const void *state, const kl_optimizer_step *step)                        \
    {                                                                                              \
        if (step->dtype == KL_FLOAT64)                                                             \
            id##_f64(state, step);                                                                 \
        else                                                                                       \
            id##_f32(state, step);                                                                 \
    }
DISPATCH(sgd)
DISPATCH(rmsprop)
DISPATCH(adagrad)
DISPATCH(adadelta)
DISPATCH(adamax)
DISPATCH(nadam)
DISPATCH(ftrl)
DISPATCH(lion)
DISPATCH(lamb)
DISPATCH(adafactor)
DISPATCH(schedule_free_adamw)

/* The kernel of the instruction set in use does all but clipping by value. */
static void adam_by_kernel(const kl_adam_args *a, const kl_optimizer_step *s)
{
    const float step = (float)s->step;
    const float power_1 = powf((float)a->beta_1, step), power_2 = powf((float)a->beta_2, step);
    const kl_adam_step kernel = {.one_minus_beta_1 = (float)(1 - a->beta_1),
                                 .one_minus_beta_2 = (float)(1 - a->beta_2),
                                 .rate =
                                     (float)s->learning_rate * sqrtf(1 - power_2) / (1 - power_1),
                                 .epsilon = (float)a->epsilon,
                                 .gradient_scale = (float)s->scale,
                                 .decay = (float)s->decay};
    kl_elementwise_kernels()->adam_f32(s->count, &kernel, s->value, s->gradient, s->slots[0],
                                       s->slots[1], a->amsgrad ? s->slots[2] : NULL);
}

void kl_adam_update(const void *state, const kl_optimizer_step *step)
{
    if (step->dtype == KL_FLOAT64)
        adam_f64(state, step);
    else if (isinf(step->limit) && !step->squares)
        adam_by_kernel(state, step);
    else
        adam_f32(state, step);
}

const char *kl_sgd_slots(const void *state)
{
    return ((const kl_sgd_args *)state)->momentum != 0 ? "momentum" : "";
}

const char *kl_rmsprop_slots(const void *state)
{
    const kl_rmsprop_args *a = state;
    if (a->momentum > 0)
        return a->centered ? "velocity|momentum|average_gradient" : "velocity|momentum";
    return a->centered ? "velocity|average_gradient" : "velocity";
}

const char *kl_adam_slots(const void *state)
{
    return ((const kl_adam_args *)state)->amsgrad ? "momentum,velocity|velocity_hat"
                                                  : "momentum,velocity";
}

const char *kl_adagrad_slots(const void *state)
{
    return "accumulator";
}

const char *kl_adadelta_slots(const void *state)
{
    return "accumulated_grad,accumulated_delta_var";
}

const char *kl_adamax_slots(const void *state)
{
    return "momentum,norm";
}

const char *kl_nadam_slots(const void *state)
{
    return "momentum,velocity";
}

const char *kl_ftrl_slots(const void *state)
{
    return "accumulator,linear";
}

const char *kl_lion_slots(const void *state)
{
    return "momentum";
}

const char *kl_lamb_slots(const void *state)
{
    return "momentum,velocity";
}

const char *kl_adafactor_slots(const void *state)
{
    return "velocity,row,column";
}

const char *kl_schedule_free_adamw_slots(const void *state)
{
    return "momentum,velocity";
}

double kl_adagrad_initial(const void *state, int index)
{
    return ((const kl_adagrad_args *)state)->initial_accumulator_value;
}

double kl_ftrl_initial(const void *state, int index)
{
    return index ? 0 : ((const kl_ftrl_args *)state)->initial_accumulator_value;
}

bool kl_sgd_sparse(const void *state)
{
    return ((const kl_sgd_args *)state)->momentum == 0;
}

void kl_nadam_begin(const void *state, kl_optimizer_step *step)
{
    const kl_nadam_args *a = state;
    step->extra[0] *= a->beta_1 * (1 - 0.5 * pow(0.96, (double)step->step));
}
