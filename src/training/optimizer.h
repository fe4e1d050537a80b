/* The inside of optimizers: the machinery in optimizer.c, the rules in optimizer_rules.c. */
#ifndef KL_TRAINING_OPTIMIZER_H
#define KL_TRAINING_OPTIMIZER_H

#include "klayers/optimizers.h"
#include "objects/object.h"

enum { KL_OPTIMIZER_SLOTS = 4 };

typedef struct kl_optimizer_variable_entry {
    char *name;
    kl_tensor *value; /* held */
} kl_optimizer_variable_entry;

/* What belongs to one weight; tensors are lent from the variables. */
typedef struct kl_optimizer_weight {
    kl_weight *weight;
    kl_tensor *slots[KL_OPTIMIZER_SLOTS], *average, *accumulator;
    bool decays;
} kl_optimizer_weight;

struct kl_optimizer {
    kl_object object;
    kl_schedule *schedule; /* owned */
    kl_tensor *iteration;  /* held: int64 () */
    kl_tensor *rate;       /* held: float32 (); NULL with a schedule */
    kl_tensor *scalar;     /* lent from the variables */
    kl_optimizer_variable_entry *variables;
    int variable_count, variable_capacity;
    kl_optimizer_weight *weights;
    int weight_count;
    bool built;
    char **excluded; /* texts; names that contain one don't decay */
    int excluded_count;
};

kl_optimizer *kl_optimizer_make(const char *function, const kl_optimizer_vtable *cls,
                                const void *args, kl_schedule *schedule);
extern const kl_kind_hooks kl_optimizer_hooks;
kl_status kl_optimizer_write(const void *self, kl_config *config);
/* The factor that gradients are to be computed with (loss_scale_factor, else 1). */
double kl_optimizer_loss_scale(const kl_optimizer *optimizer);

/* The rules' parts of the vtables. */
#define KL_OPTIMIZER_RULES(X)                                                                      \
    X(sgd)                                                                                         \
    X(rmsprop)                                                                                     \
    X(adam)                                                                                        \
    X(adagrad)                                                                                     \
    X(adadelta) X(adamax) X(nadam) X(ftrl) X(lion) X(lamb) X(adafactor) X(schedule_free_adamw)
#define KL_DECLARE_RULE_(id)                                                                       \
    const char *kl_##id##_slots(const void *state);                                                \
    void kl_##id##_update(const void *state, const kl_optimizer_step *step);
KL_OPTIMIZER_RULES(KL_DECLARE_RULE_)
#undef KL_DECLARE_RULE_
double kl_adagrad_initial(const void *state, int index);
double kl_ftrl_initial(const void *state, int index);
bool kl_sgd_sparse(const void *state);
void kl_nadam_begin(const void *state, kl_optimizer_step *step);

#endif
