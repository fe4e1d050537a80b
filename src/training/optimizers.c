/* The optimizers' arguments, classes and constructors. */
#include "base/error.h"
#include "objects/object.h"
#include "training/losses.h"
#include "training/optimizer.h"

#define OFFSET(member) offsetof(kl_optimizer_args, member)
/* What the configs of all optimizers have, in Keras's order; learning_rate may be a schedule, which
   optimizer.c writes and reads. */
#define COMMON(rate, decay)                                                                        \
    {"name", KL_FIELD_STRING, OFFSET(name), .doc = "of its variables",                             \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
        {"learning_rate",         KL_FIELD_FLOAT, OFFSET(learning_rate), rate,                     \
         .doc = "size of a step", .alias = "lr"},                                                  \
        {"schedule", KL_FIELD_POINTER, OFFSET(schedule), .doc = "decides the rate"},               \
        {"weight_decay",                                                                           \
         KL_FIELD_FLOAT,                                                                           \
         OFFSET(weight_decay),                                                                     \
         decay,                                                                                    \
         .doc = "shrinks weights by this times the rate",                                          \
         .flags = KL_FIELD_OPTIONAL},                                                              \
        {"clipnorm", KL_FIELD_FLOAT, OFFSET(clipnorm), .doc = "most of each gradient's norm",      \
         .flags = KL_FIELD_OPTIONAL},                                                              \
        {"global_clipnorm", KL_FIELD_FLOAT, OFFSET(global_clipnorm),                               \
         .doc = "most of all gradients' norm", .flags = KL_FIELD_OPTIONAL},                        \
        {"clipvalue", KL_FIELD_FLOAT, OFFSET(clipvalue),                                           \
         .doc = "most of each gradient's elements", .flags = KL_FIELD_OPTIONAL},                   \
        {"use_ema", KL_FIELD_BOOL, OFFSET(use_ema), "false",                                       \
         .doc = "whether weights are averaged over steps"},                                        \
        {"ema_momentum", KL_FIELD_FLOAT, OFFSET(ema_momentum), "0.99", .doc = "of the average"},   \
        {"ema_overwrite_frequency", KL_FIELD_INT, OFFSET(ema_overwrite_frequency),                 \
         .doc = "steps between taking over the average", .flags = KL_FIELD_OPTIONAL},              \
        {"loss_scale_factor", KL_FIELD_FLOAT, OFFSET(loss_scale_factor),                           \
         .doc = "of the loss before gradients", .flags = KL_FIELD_OPTIONAL},                       \
        {"gradient_accumulation_steps", KL_FIELD_INT, OFFSET(gradient_accumulation_steps),         \
         .doc = "batches to an update", .flags = KL_FIELD_OPTIONAL},                               \
        {.name = "jit_compile", .type = KL_FIELD_IGNORED},                                         \
        {.name = "is_legacy_optimizer", .type = KL_FIELD_IGNORED},                                 \
    {                                                                                              \
        .name = "decay", .type = KL_FIELD_IGNORED                                                  \
    }

static const kl_field sgd_fields[] = {COMMON("0.01", NULL),
                                      {"momentum", KL_FIELD_FLOAT, offsetof(kl_sgd_args, momentum),
                                       "0", .doc = "of the velocity; 0: none", .min = 0, .max = 1},
                                      {"nesterov", KL_FIELD_BOOL, offsetof(kl_sgd_args, nesterov),
                                       "false", .doc = "whether the momentum looks ahead"},
                                      {0}};
static const kl_field rmsprop_fields[] = {
    COMMON("0.001", NULL),
    {"rho", KL_FIELD_FLOAT, offsetof(kl_rmsprop_args, rho), "0.9",
     .doc = "decay of the squared gradients"},
    {"momentum", KL_FIELD_FLOAT, offsetof(kl_rmsprop_args, momentum), "0",
     .doc = "of the update; 0: none"},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_rmsprop_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {"centered", KL_FIELD_BOOL, offsetof(kl_rmsprop_args, centered), "false",
     .doc = "whether the gradient's mean is taken off"},
    {0}};
static const kl_field adam_fields[] = {
    COMMON("0.001", NULL),
    {"beta_1", KL_FIELD_FLOAT, offsetof(kl_adam_args, beta_1), "0.9",
     .doc = "decay of the gradients' mean", .min = 0, .max = 1},
    {"beta_2", KL_FIELD_FLOAT, offsetof(kl_adam_args, beta_2), "0.999",
     .doc = "decay of their squares", .min = 0, .max = 1},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_adam_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {"amsgrad", KL_FIELD_BOOL, offsetof(kl_adam_args, amsgrad), "false",
     .doc = "whether the largest second moment counts"},
    {0}};
static const kl_field adamw_fields[] = {
    COMMON("0.001", "0.004"),
    {"beta_1", KL_FIELD_FLOAT, offsetof(kl_adamw_args, beta_1), "0.9",
     .doc = "decay of the gradients' mean", .min = 0, .max = 1},
    {"beta_2", KL_FIELD_FLOAT, offsetof(kl_adamw_args, beta_2), "0.999",
     .doc = "decay of their squares", .min = 0, .max = 1},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_adamw_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {"amsgrad", KL_FIELD_BOOL, offsetof(kl_adamw_args, amsgrad), "false",
     .doc = "whether the largest second moment counts"},
    {0}};
static const kl_field adagrad_fields[] = {
    COMMON("0.001", NULL),
    {"initial_accumulator_value", KL_FIELD_FLOAT,
     offsetof(kl_adagrad_args, initial_accumulator_value), "0.1", .doc = "of the squared gradients",
     .min = 0, .max = 1e+300},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_adagrad_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {0}};
static const kl_field adadelta_fields[] = {
    COMMON("0.001", NULL),
    {"rho", KL_FIELD_FLOAT, offsetof(kl_adadelta_args, rho), "0.95", .doc = "decay of the squares"},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_adadelta_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {0}};
static const kl_field adamax_fields[] = {
    COMMON("0.001", NULL),
    {"beta_1", KL_FIELD_FLOAT, offsetof(kl_adamax_args, beta_1), "0.9",
     .doc = "decay of the gradients' mean", .min = 0, .max = 1},
    {"beta_2", KL_FIELD_FLOAT, offsetof(kl_adamax_args, beta_2), "0.999",
     .doc = "decay of their infinity norm", .min = 0, .max = 1},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_adamax_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {0}};
static const kl_field nadam_fields[] = {
    COMMON("0.001", NULL),
    {"beta_1", KL_FIELD_FLOAT, offsetof(kl_nadam_args, beta_1), "0.9",
     .doc = "decay of the gradients' mean", .min = 0, .max = 1},
    {"beta_2", KL_FIELD_FLOAT, offsetof(kl_nadam_args, beta_2), "0.999",
     .doc = "decay of their squares", .min = 0, .max = 1},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_nadam_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {0}};
static const kl_field ftrl_fields[] = {
    COMMON("0.001", NULL),
    {"learning_rate_power", KL_FIELD_FLOAT, offsetof(kl_ftrl_args, learning_rate_power), "-0.5",
     .doc = "how the rate falls; at most 0", .min = -1e+300, .max = 0},
    {"initial_accumulator_value", KL_FIELD_FLOAT, offsetof(kl_ftrl_args, initial_accumulator_value),
     "0.1", .doc = "of the squared gradients", .min = 0, .max = 1e+300},
    {"l1_regularization_strength", KL_FIELD_FLOAT,
     offsetof(kl_ftrl_args, l1_regularization_strength), "0", .doc = "at least 0", .min = 0,
     .max = 1e+300},
    {"l2_regularization_strength", KL_FIELD_FLOAT,
     offsetof(kl_ftrl_args, l2_regularization_strength), "0", .doc = "at least 0", .min = 0,
     .max = 1e+300},
    {"l2_shrinkage_regularization_strength", KL_FIELD_FLOAT,
     offsetof(kl_ftrl_args, l2_shrinkage_regularization_strength), "0", .doc = "at least 0",
     .min = 0, .max = 1e+300},
    {"beta", KL_FIELD_FLOAT, offsetof(kl_ftrl_args, beta), "0", .doc = "at least 0"},
    {0}};
static const kl_field lion_fields[] = {COMMON("0.001", NULL),
                                       {"beta_1", KL_FIELD_FLOAT, offsetof(kl_lion_args, beta_1),
                                        "0.9", .doc = "between momentum and gradient", .min = 0,
                                        .max = 1},
                                       {"beta_2", KL_FIELD_FLOAT, offsetof(kl_lion_args, beta_2),
                                        "0.99", .doc = "decay of the momentum", .min = 0, .max = 1},
                                       {0}};
static const kl_field lamb_fields[] = {
    COMMON("0.001", NULL),
    {"beta_1", KL_FIELD_FLOAT, offsetof(kl_lamb_args, beta_1), "0.9",
     .doc = "decay of the gradients' mean", .min = 0, .max = 1},
    {"beta_2", KL_FIELD_FLOAT, offsetof(kl_lamb_args, beta_2), "0.999",
     .doc = "decay of their squares", .min = 0, .max = 1},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_lamb_args, epsilon), "1e-7",
     .doc = "keeps the division finite"},
    {0}};
static const kl_field adafactor_fields[] = {
    COMMON("0.001", NULL),
    {"beta_2_decay", KL_FIELD_FLOAT, offsetof(kl_adafactor_args, beta_2_decay), "-0.8",
     .doc = "exponent of the decay"},
    {"epsilon_1", KL_FIELD_FLOAT, offsetof(kl_adafactor_args, epsilon_1), "1e-30",
     .doc = "added to squared gradients"},
    {"epsilon_2", KL_FIELD_FLOAT, offsetof(kl_adafactor_args, epsilon_2), "0.001",
     .doc = "least size of an update"},
    {"clip_threshold", KL_FIELD_FLOAT, offsetof(kl_adafactor_args, clip_threshold), "1",
     .doc = "of the update's root mean square"},
    {"relative_step", KL_FIELD_BOOL, offsetof(kl_adafactor_args, relative_step), "true",
     .doc = "whether the rate falls with the step"},
    {0}};

static const kl_field schedule_free_adamw_fields[] = {
    COMMON("0.0025", NULL),
    {"beta_1", KL_FIELD_FLOAT, offsetof(kl_schedule_free_adamw_args, beta_1), "0.9",
     .doc = "between the sequence of steps and its average", .min = 0, .max = 1},
    {"beta_2", KL_FIELD_FLOAT, offsetof(kl_schedule_free_adamw_args, beta_2), "0.999",
     .doc = "decay of the squared gradients", .min = 0, .max = 1},
    {"epsilon", KL_FIELD_FLOAT, offsetof(kl_schedule_free_adamw_args, epsilon), "1e-8",
     .doc = "keeps the division finite"},
    {"warmup_steps", KL_FIELD_INT, offsetof(kl_schedule_free_adamw_args, warmup_steps), "0",
     .doc = "over which the rate rises from 0", .min = 0, .max = 1e15},
    {0}};

/* id, class, names, rule, what it has beyond slots and update */
#define OPTIMIZERS(X)                                                                              \
    X(sgd, "SGD", "sgd", sgd, (.sparse = kl_sgd_sparse))                                           \
    X(rmsprop, "RMSprop", "rmsprop", rmsprop, (.whole = false))                                    \
    X(adam, "Adam", "adam", adam, (.whole = false))                                                \
    X(adamw, "AdamW", "adamw", adam, (.whole = false))                                             \
    X(adagrad, "Adagrad", "adagrad", adagrad, (.initial = kl_adagrad_initial))                     \
    X(adadelta, "Adadelta", "adadelta", adadelta, (.whole = false))                                \
    X(adamax, "Adamax", "adamax", adamax, (.whole = false))                                        \
    X(nadam, "Nadam", "nadam", nadam, (.scalar = "u_product", .begin = kl_nadam_begin))            \
    X(ftrl, "Ftrl", "ftrl", ftrl, (.initial = kl_ftrl_initial))                                    \
    X(lion, "Lion", "lion", lion, (.whole = false))                                                \
    X(lamb, "Lamb", "lamb", lamb, (.whole = true))                                                 \
    X(adafactor, "Adafactor", "adafactor", adafactor, (.whole = true))                             \
    X(schedule_free_adamw, "ScheduleFreeAdamW", "schedule_free_adam_w|schedulefreeadamw",          \
      schedule_free_adamw, (.copies = 1))

#define CLASS(id, class, called, rule, more)                                                       \
    static const kl_optimizer_vtable id##_class = {.size = sizeof(kl_optimizer_vtable),            \
                                                   .class_name = class,                            \
                                                   .names = called,                                \
                                                   .state_size = sizeof(kl_##id##_args),           \
                                                   .args_size = sizeof(kl_##id##_args),            \
                                                   .fields = id##_fields,                          \
                                                   .slots = kl_##rule##_slots,                     \
                                                   .update = kl_##rule##_update,                   \
                                                   .get_config = kl_optimizer_write,               \
                                                   KL_UNPAREN_ more};
OPTIMIZERS(CLASS)

#define ENTRY(id, class, called, rule, more) &id##_class,
static const kl_optimizer_vtable *const optimizers[] = {OPTIMIZERS(ENTRY)};

const kl_class *kl_builtin_optimizer(const char *name)
{
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++)
        if (kl_class_is_named((const kl_class *)optimizers[i], name))
            return (const kl_class *)optimizers[i];
    return NULL;
}

#define CONSTRUCTOR(id, class, called, rule, more)                                                 \
    kl_optimizer *kl_##id##_new(const kl_##id##_args *args)                                        \
    {                                                                                              \
        return kl_optimizer_make("kl_" #id, &id##_class, args, args ? args->schedule : NULL);      \
    }
OPTIMIZERS(CONSTRUCTOR)

#define DEFAULTS(id, values)                                                                       \
    kl_##id##_args kl_##id##_defaults(void)                                                        \
    {                                                                                              \
        return (kl_##id##_args){                                                                   \
            .size = sizeof(kl_##id##_args), .mark = kl_error_count(), KL_UNPAREN_ values};         \
    }
DEFAULTS(sgd, (KL_SGD_DEFAULTS))
DEFAULTS(rmsprop, (KL_RMSPROP_DEFAULTS))
DEFAULTS(adam, (KL_ADAM_DEFAULTS))
DEFAULTS(adamw, (KL_ADAMW_DEFAULTS))
DEFAULTS(adagrad, (KL_ADAGRAD_DEFAULTS))
DEFAULTS(adadelta, (KL_ADADELTA_DEFAULTS))
DEFAULTS(adamax, (KL_ADAMAX_DEFAULTS))
DEFAULTS(nadam, (KL_NADAM_DEFAULTS))
DEFAULTS(ftrl, (KL_FTRL_DEFAULTS))
DEFAULTS(lion, (KL_LION_DEFAULTS))
DEFAULTS(lamb, (KL_LAMB_DEFAULTS))
DEFAULTS(adafactor, (KL_ADAFACTOR_DEFAULTS))
DEFAULTS(schedule_free_adamw, (KL_SCHEDULE_FREE_ADAMW_DEFAULTS))
