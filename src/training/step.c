/* One step: the model's call, loss and metrics, and in training the update of the weights. */
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "tensor/tensor.h"
#include "training/training.h"

/* Room for the lists of a step. */
static kl_status list_weights(kl_training_state *t, int *count)
{
    *count = kl_layer_list_weights(t->model, true, t->weights, t->weight_capacity);
    if (*count <= t->weight_capacity)
        return KL_OK;
    size_t capacity = (size_t)*count;
    void *weights = kl_realloc_array(t->weights, capacity, sizeof *t->weights);
    if (weights)
        t->weights = weights;
    void *values = kl_realloc_array(t->values, capacity, sizeof *t->values);
    if (values)
        t->values = values;
    void *gradients = kl_realloc_array(t->gradients, capacity, sizeof *t->gradients);
    if (gradients)
        t->gradients = gradients;
    if (!weights || !values || !gradients)
        return KL_ERROR_MEMORY;
    t->weight_capacity = *count;
    kl_layer_list_weights(t->model, true, t->weights, *count);
    return KL_OK;
}

static kl_tensor *plus(kl_tensor *sum, kl_tensor *term)
{
    if (!sum || !term)
        return term;
    return kl_op_add(sum,
                     term->dtype == sum->dtype ? term : kl_op_cast(term, (kl_dtype)sum->dtype));
}

/* The weights of an output's samples: its own, or those of all. */
static kl_tensor *weights_of(const kl_step_batch *batch, int output)
{
    if (!batch->weights)
        return NULL;
    return batch->weights == 1 ? batch->w[0] : batch->w[output];
}

static kl_tensor *scalar_of(kl_tensor *loss)
{
    return loss && loss->rank ? kl_op_mean(loss, KL_ALL_AXES, false) : loss;
}

/* The compiled losses, weighted and added up; NULL without an error if there are none. */
static kl_status compiled_loss(kl_training_state *t, const kl_step_batch *batch, kl_tensors out,
                               kl_tensor **total)
{
    *total = NULL;
    for (int i = 0; out.at && i < t->outputs; i++) {
        if (!t->loss_of[i])
            continue;
        kl_tensor *loss =
            scalar_of(kl_loss_call(t->loss_of[i], batch->y[i], out.at[i], weights_of(batch, i)));
        if (!loss)
            return kl_last_status();
        if (t->output_means) {
            /* Every batch counts alike here, unlike in the total: Keras's compiled step doesn't
               know the batch's size where it adds these up. */
            t->output_means[i].mean.total += kl_tensor_at(loss, 0);
            t->output_means[i].mean.count += 1;
        }
        if (t->loss_weight_count)
            loss = kl_op_mul_scalar(loss, (double)t->loss_weights[i]);
        *total = plus(*total, loss);
        if (!*total)
            return kl_last_status();
    }
    return KL_OK;
}

/* Penalties of weights and what layers added. */
static kl_status add_penalties(kl_training_state *t, kl_context *ctx, kl_tensor **total)
{
    kl_tensor *few[256];
    int count;
    kl_status status = kl_layer_regularization(t->model, ctx, few, 256, &count);
    if (status)
        return status;
    if (count > 256)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: more than 256 regularized weights",
                        t->model->name);
    kl_tensors added = kl_context_losses(ctx);
    for (int i = 0; i < count + added.count; i++) {
        kl_tensor *term = i < added.count ? added.at[i] : few[i - added.count];
        if (term->rank)
            term = kl_op_sum(term, KL_ALL_AXES, false);
        *total = term ? plus(*total, term) : NULL;
        if (!*total)
            return kl_last_status();
    }
    return KL_OK;
}

static kl_status take_metrics(kl_training_state *t, kl_context *ctx, const kl_step_batch *batch,
                              kl_tensors out)
{
    for (int i = 0; out.at && i < t->compiled_count; i++) {
        kl_compiled_metric *m = &t->compiled[i];
        kl_status status =
            kl_metric_update_state(m->metric, batch->y[m->output], out.at[m->output],
                                   m->weighted ? weights_of(batch, m->output) : NULL);
        if (status)
            return status;
    }
    const char *name;
    kl_tensor *value;
    for (int i = 0; (value = kl_context_metric(ctx, i, &name)); i++) {
        int k = 0;
        while (k < t->added_count && strcmp(t->added[k].label, name) != 0)
            k++;
        if (k == t->added_capacity) {
            int capacity = k ? 2 * k : 4;
            void *grown = kl_realloc_array(t->added, (size_t)capacity, sizeof *t->added);
            if (!grown)
                return KL_ERROR_MEMORY;
            t->added = grown;
            t->added_capacity = capacity;
        }
        if (k == t->added_count) {
            t->added[k] = (kl_named_mean){0};
            snprintf(t->added[k].label, sizeof t->added[k].label, "%s", name);
            t->added_count++;
        }
        kl_tensor *mean = scalar_of(value);
        if (!mean)
            return kl_last_status();
        t->added[k].mean.total += kl_tensor_at(mean, 0);
        t->added[k].mean.count += 1;
    }
    return KL_OK;
}

/* Takes the gradient of the loss and lets the optimizer use it; ends the tape. Updates by layers
   come first: the optimizer goes on from a weight that a layer has set. */
static kl_status update_weights(kl_training_state *t, kl_context *ctx, kl_tape *tape,
                                kl_tensor *loss)
{
    int count;
    kl_status status = list_weights(t, &count);
    double scale = kl_optimizer_loss_scale(t->optimizer);
    if (!status && !count)
        kl_tape_end(tape);
    if (!status && !count)
        return KL_OK; /* nothing is trainable: as in Keras, no error */
    if (!status && scale != 1 && !(loss = kl_op_mul_scalar(loss, scale)))
        status = kl_last_status();
    if (status) {
        kl_tape_end(tape);
        return status;
    }
    for (int i = 0; i < count; i++) {
        t->values[i] = t->weights[i]->value;
        t->gradients[i] = NULL;
    }
    const kl_gradient_args args = {.size = sizeof args,
                                   .mark = kl_error_count(),
                                   .keep_rows = true,
                                   .tape = tape,
                                   .target = loss,
                                   .count = (size_t)count,
                                   .sources = t->values,
                                   .gradients = t->gradients};
    status = kl_tape_gradient_with(&args);
    if (!status)
        status = kl_context_commit(ctx);
    return status ? status : kl_optimizer_apply(t->optimizer, count, t->weights, t->gradients);
}

static kl_status check_batch(const kl_training_state *t, const kl_step_batch *batch, bool train)
{
    if (train && !t->optimizer)
        return kl_error(KL_ERROR_STATE, "%s was compiled without an optimizer: it can't be trained",
                        t->model->name);
    if (!batch->x[0]->rank || batch->x[0]->shape[0] == 0)
        return kl_error(KL_ERROR_SHAPE, "%s: the batch has no samples", t->model->name);
    if (batch->weights > 1 && batch->weights != batch->targets)
        return kl_error(KL_ERROR_SHAPE,
                        "%s: expected 1 sample_weight or one an output (%d), got %d",
                        t->model->name, batch->targets, batch->weights);
    return KL_OK;
}

static kl_status run_step(kl_training_state *t, kl_context *ctx, const kl_step_batch *batch,
                          bool train, double *value)
{
    kl_tape *tape = NULL;
    if (train && !(tape = kl_tape_begin()))
        return kl_last_status();
    kl_call_args call = {.size = sizeof call, .mark = kl_error_count(), .layer = t->model};
    call.inputs_list = (kl_tensors){batch->inputs, (kl_tensor **)(uintptr_t)batch->x};
    call.training = train ? KL_TRUE : KL_FALSE;
    kl_tensors out = kl_context_call(ctx, &call);
    kl_status status = out.at ? KL_OK : kl_last_status();
    double samples = (double)batch->x[0]->shape[0];
    kl_tensor *loss = NULL;
    if (!status && out.at)
        status = kl_training_resolve(t, batch->targets, batch->y, out);
    if (!status)
        status = compiled_loss(t, batch, out, &loss);
    if (!status)
        status = add_penalties(t, ctx, &loss);
    if (!status && !loss)
        status = kl_error(KL_ERROR_STATE,
                          "%s: no loss to compute: give a loss in kl_compile() or use add_loss in "
                          "a layer",
                          t->model->name);
    if (!status)
        *value = kl_tensor_at(loss, 0);
    if (train && !status)
        status = update_weights(t, ctx, tape, loss);
    else
        kl_tape_end(tape);
    if (!status)
        status = kl_context_commit(ctx);
    if (!status)
        status = take_metrics(t, ctx, batch, out);
    if (!status) {
        t->loss_mean.total += *value * samples;
        t->loss_mean.count += samples;
    }
    return status;
}

kl_status kl_training_step(kl_training_state *t, const kl_step_batch *batch, bool train,
                           double *loss)
{
    kl_status status = check_batch(t, batch, train);
    if (status)
        return status;
    kl_context *ctx =
        kl_context_begin(t->model, train ? KL_CONTEXT_TRAINING : KL_CONTEXT_INFERENCE);
    if (!ctx)
        return kl_last_status();
    kl_scope *scope = kl_scope_begin();
    double value = NAN;
    status = scope ? run_step(t, ctx, batch, train, &value) : kl_last_status();
    if (scope)
        kl_scope_end_keeping(scope, 0, NULL);
    kl_context_end(ctx);
    if (loss)
        *loss = value;
    return status;
}

/* ---- Logs ----------------------------------------------------------------------------------- */

void kl_training_reset(kl_training_state *t)
{
    t->loss_mean = (kl_mean){0};
    for (int i = 0; i < t->compiled_count; i++)
        kl_metric_reset(t->compiled[i].metric);
    for (int i = 0; t->output_means && i < t->outputs; i++)
        t->output_means[i].mean = (kl_mean){0};
    for (int i = 0; i < t->added_count; i++)
        t->added[i].mean = (kl_mean){0};
}

static void put_log(kl_training_state *t, const char *name, double value)
{
    int at = t->log_count++;
    for (; at > 0 && strcmp(t->log_names[at - 1], name) > 0; at--) {
        t->log_names[at] = t->log_names[at - 1];
        t->log_values[at] = t->log_values[at - 1];
    }
    t->log_names[at] = name;
    t->log_values[at] = value;
}

kl_status kl_training_logs(kl_training_state *t)
{
    int most = 1 + t->compiled_count + t->outputs + t->added_count;
    if (most > t->log_capacity) {
        void *names = kl_realloc_array(t->log_names, (size_t)most, sizeof *t->log_names);
        if (names)
            t->log_names = names;
        void *values = kl_realloc_array(t->log_values, (size_t)most, sizeof *t->log_values);
        if (values)
            t->log_values = values;
        if (!names || !values)
            return KL_ERROR_MEMORY;
        t->log_capacity = most;
    }
    t->log_count = 0;
    put_log(t, "loss", kl_mean_value(&t->loss_mean));
    for (int i = 0; i < t->compiled_count; i++)
        put_log(t, t->compiled[i].label, kl_metric_value(t->compiled[i].metric));
    for (int i = 0; t->output_means && i < t->outputs; i++)
        if (t->loss_of[i])
            put_log(t, t->output_means[i].label, kl_mean_value(&t->output_means[i].mean));
    for (int i = 0; i < t->added_count; i++)
        put_log(t, t->added[i].label, kl_mean_value(&t->added[i].mean));
    return KL_OK;
}

double kl_model_metric(const kl_model *model, const char *name)
{
    kl_training_state *t = kl_training_of("kl_model_metric", model);
    if (!t || !name) {
        if (t)
            kl_error_null("kl_model_metric", "name");
        return NAN;
    }
    if (kl_training_logs(t))
        return NAN;
    for (int i = 0; i < t->log_count; i++)
        if (!strcmp(t->log_names[i], name))
            return t->log_values[i];
    kl_error(KL_ERROR_NOT_FOUND, "%s has no metric '%s'", model->name, name);
    return NAN;
}
