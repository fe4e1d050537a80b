/* The update rule of every optimizer, for float and double. */
#include <math.h>
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
KL_OPTIMIZER_RULES(DISPATCH)

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

double kl_adagrad_initial(const void *state, int index)
{
    return ((const kl_adagrad_args *)state)->initial_accumulator_value;
}

double kl_ftrl_initial(const void *state, int index)
{
    return index ? 0 : ((const kl_ftrl_args *)state)->initial_accumulator_value;
}

bool kl_always_sparse(const void *state)
{
    return true;
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
