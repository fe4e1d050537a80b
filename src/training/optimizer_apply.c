/* One update: clipping, accumulation, the rule in parallel, averages, constraints. */
#include <math.h>
#include <string.h>
#include "base/error.h"
#include "base/thread_pool.h"
#include "layers/layer.h"
#include "tensor/tensor.h"
#include "training/optimizer.h"

enum { UPDATE_GRAIN = 32768 };

/* What a step needs of one weight. */
typedef struct weight_update {
    kl_optimizer_weight *weight;
    kl_tensor *gradient; /* contiguous, in the weight's wide dtype */
    kl_tensor *squares;  /* see kl_optimizer_step; NULL: the gradient squared */
    bool clipped;        /* by value, before rows were added up */
    kl_tensor *rows;     /* the gradient has only these rows; NULL: all */
    double square;       /* of its norm, where that is needed */
} weight_update;

static const kl_optimizer_vtable *vtable_of(const kl_optimizer *o)
{
    return (const kl_optimizer_vtable *)o->object.cls;
}

static const kl_optimizer_args *args_of(const kl_optimizer *o)
{
    return o->object.state;
}

static kl_dtype wide_dtype(const kl_tensor *value)
{
    return value->dtype == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32;
}

/* ---- Norms ---------------------------------------------------------------------------------- */

typedef struct square_job {
    const kl_tensor *tensor;
    kl_split split;
    double parts[64];
} square_job;

static void square_chunk(void *arg, int64_t chunk)
{
    square_job *job = arg;
    int64_t begin = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    double sums[8] = {0};
    if (job->tensor->dtype == KL_FLOAT64) {
        const double *x = (const double *)(const void *)job->tensor->data;
        for (int64_t i = begin; i < end; i++)
            sums[i & 7] += x[i] * x[i];
    } else {
        const float *x = (const float *)(const void *)job->tensor->data;
        for (int64_t i = begin; i < end; i++)
            sums[i & 7] += (double)x[i] * (double)x[i];
    }
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += sums[i];
    job->parts[chunk] = sum;
}

static double sum_of_squares(const kl_tensor *tensor)
{
    square_job job = {.tensor = tensor, .split = kl_split_make(tensor->size, UPDATE_GRAIN)};
    kl_parallel_for(job.split.chunks, square_chunk, &job);
    double sum = 0;
    for (int64_t i = 0; i < job.split.chunks; i++)
        sum += job.parts[i];
    return sum;
}

static double sum_of(const kl_tensor *tensor)
{
    double sum = 0;
    for (int64_t i = 0; i < tensor->size; i++)
        sum += kl_tensor_at(tensor, i);
    return sum;
}

/* ---- Gradients ------------------------------------------------------------------------------ */

/* Whether the rows of a gradient may be updated alone, with the numbers of the whole. */
static bool rows_suffice(const kl_optimizer *o, const kl_optimizer_weight *w)
{
    const kl_optimizer_args *a = args_of(o);
    const kl_optimizer_vtable *cls = vtable_of(o);
    return cls->sparse && cls->sparse(o->object.state) && !w->accumulator &&
           isnan(a->weight_decay) && isnan(a->clipnorm) && isnan(a->global_clipnorm) &&
           isnan(a->clipvalue) && w->weight->value->dtype == wide_dtype(w->weight->value);
}

/* The rows that a gradient of rows holds, as a tensor of their own. */
static kl_tensor *used_rows(const kl_tensor *gradient)
{
    int64_t shape[KL_MAX_RANK], strides[KL_MAX_RANK];
    memcpy(shape, gradient->shape, sizeof shape);
    shape[0] = gradient->rows->size;
    kl_c_strides(gradient->rank, shape, strides);
    return kl_alias_as(gradient, gradient->rank, shape, strides, 0);
}

static kl_status ready_gradient(const kl_optimizer *o, weight_update *u, kl_tensor *gradient)
{
    const kl_tensor *value = u->weight->weight->value;
    kl_dtype dtype = wide_dtype(value);
    kl_tensor *g = gradient;
    if (g->rows) {
        kl_tensor *used = kl_alias(g->rows), *updates = used_rows(g);
        if (!used || !updates)
            return kl_last_status();
        if (rows_suffice(o, u->weight)) {
            u->rows = used;
            u->gradient = updates->dtype == dtype ? updates : kl_op_cast(updates, dtype);
            return u->gradient ? KL_OK : kl_last_status();
        }
        if (args_of(o)->clipvalue > 0 && !u->weight->accumulator) {
            double limit = args_of(o)->clipvalue * kl_optimizer_loss_scale(o);
            updates = kl_op_clip(updates, -limit, limit);
            u->clipped = true;
        }
        kl_tensor *wide = updates ? kl_op_cast(updates, dtype) : NULL;
        g = kl_op_scatter_add(used, wide, value->shape[0]);
        if (g && !u->weight->accumulator &&
            !(u->squares = kl_op_scatter_add(used, kl_op_square(wide), value->shape[0])))
            return kl_last_status();
    }
    if (!g)
        return kl_last_status();
    if (!kl_shape_equal(g, value)) {
        char need[128], got[128];
        return kl_error(KL_ERROR_SHAPE, "gradient of %s: expected shape %s, got %s",
                        u->weight->weight->path,
                        kl_shape_text(value->rank, value->shape, need, sizeof need),
                        kl_shape_text(g->rank, g->shape, got, sizeof got));
    }
    if (g->dtype != dtype)
        g = kl_op_cast(g, dtype);
    if (g && !g->contiguous)
        g = kl_contiguous(g);
    u->gradient = g;
    return g ? KL_OK : kl_last_status();
}

/* gradient + what was accumulated, which then starts anew. */
static kl_status take_accumulated(weight_update *u)
{
    kl_tensor *sum = kl_op_add(u->gradient, kl_op_cast(u->weight->accumulator, u->gradient->dtype));
    if (!sum)
        return kl_last_status();
    u->gradient = sum;
    kl_tensor *accumulator = u->weight->accumulator;
    memset(kl_tensor_mutable_data(accumulator), 0,
           (size_t)accumulator->size * kl_dtype_size((kl_dtype)accumulator->dtype));
    return KL_OK;
}

/* ---- Updates -------------------------------------------------------------------------------- */

typedef struct rule_job {
    const kl_optimizer_vtable *cls;
    const void *state;
    kl_optimizer_step step;
    size_t bytes; /* of an element */
    kl_split split;
} rule_job;

static void rule_chunk(void *arg, int64_t chunk)
{
    const rule_job *job = arg;
    int64_t begin = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    kl_optimizer_step step = job->step;
    size_t skip = (size_t)begin * job->bytes;
    if (step.squares)
        step.squares = (const char *)step.squares + skip;
    step.count = end - begin;
    step.value = (char *)step.value + skip;
    step.gradient = (const char *)step.gradient + skip;
    for (int i = 0; i < KL_OPTIMIZER_SLOTS; i++)
        if (step.slots[i])
            step.slots[i] = (char *)step.slots[i] + skip;
    job->cls->update(job->state, &step);
}

static void run_rule(rule_job *job)
{
    if (job->cls->whole || job->step.count <= UPDATE_GRAIN) {
        job->cls->update(job->state, &job->step);
        return;
    }
    job->split = kl_split_make(job->step.count, UPDATE_GRAIN);
    kl_parallel_for(job->split.chunks, rule_chunk, job);
}

/* Each row that the gradient has, one after another: a row may come more than once. */
static kl_status update_rows(rule_job *job, const weight_update *u, int64_t rows)
{
    const kl_tensor *index = u->rows, *gradient = u->gradient;
    const kl_optimizer_step whole = job->step;
    int64_t width = index->size ? gradient->size / index->size : 0;
    for (int64_t i = 0; i < index->size; i++) {
        int64_t row = (int64_t)kl_tensor_at(index, i);
        if (row < 0 || row >= rows)
            return kl_error(KL_ERROR_RANGE, "gradient row %lld is not in 0..%lld", (long long)row,
                            (long long)rows - 1);
        size_t skip = (size_t)(row * width) * job->bytes;
        job->step.count = width;
        job->step.value = (char *)whole.value + skip;
        job->step.gradient = (const char *)whole.gradient + (size_t)(i * width) * job->bytes;
        for (int k = 0; k < KL_OPTIMIZER_SLOTS; k++)
            job->step.slots[k] = whole.slots[k] ? (char *)whole.slots[k] + skip : NULL;
        job->cls->update(job->state, &job->step);
    }
    return KL_OK;
}

/* The same handle, or a float32 copy of a narrow one. */
static kl_tensor *widened(kl_tensor *value, kl_dtype dtype)
{
    return !value || value->dtype == dtype ? value : kl_copy(value, dtype);
}

static kl_status update_weight(rule_job *job, const weight_update *u)
{
    kl_tensor *value = u->weight->weight->value;
    kl_dtype dtype = wide_dtype(value);
    kl_tensor *wide = widened(value, dtype), *slots[KL_OPTIMIZER_SLOTS];
    if (!wide)
        return kl_last_status();
    job->bytes = kl_dtype_size(dtype);
    job->step.dtype = dtype;
    job->step.count = value->size;
    job->step.rank = kl_tensor_rank(value);
    job->step.shape = value->shape;
    job->step.value = kl_tensor_mutable_data(wide);
    job->step.gradient = u->gradient->data;
    job->step.squares = u->squares ? u->squares->data : NULL;
    for (int i = 0; i < KL_OPTIMIZER_SLOTS; i++) {
        slots[i] = widened(u->weight->slots[i], dtype);
        if (!slots[i] && u->weight->slots[i])
            return kl_last_status();
        job->step.slots[i] = slots[i] ? kl_tensor_mutable_data(slots[i]) : NULL;
    }
    if (u->rows)
        return update_rows(job, u, value->shape[0]);
    run_rule(job);
    kl_status status = wide == value ? KL_OK : kl_tensor_assign(value, wide);
    for (int i = 0; !status && i < KL_OPTIMIZER_SLOTS; i++)
        if (slots[i] != u->weight->slots[i])
            status = kl_tensor_assign(u->weight->slots[i], slots[i]);
    return status;
}

/* Multiplies gradients so that norms are at most what was asked for. */
static double clip_factor(double norm, double most)
{
    return norm > most ? most / norm : isnan(norm) ? NAN : 1;
}

static kl_status update_all(kl_optimizer *o, int count, weight_update *updates,
                            double learning_rate, int64_t step, double scale)
{
    const kl_optimizer_args *a = args_of(o);
    rule_job job = {.cls = vtable_of(o), .state = o->object.state};
    job.step.learning_rate = learning_rate;
    job.step.step = step;
    if (o->scalar) {
        float *scalar = kl_tensor_mutable_data(o->scalar);
        job.step.extra[0] = *scalar;
        if (job.cls->begin)
            job.cls->begin(job.state, &job.step);
        *scalar = (float)job.step.extra[0];
    } else if (job.cls->begin) {
        job.cls->begin(job.state, &job.step);
    }
    bool by_norm = a->clipnorm > 0, global = a->global_clipnorm > 0;
    double total = 0;
    for (int i = 0; i < count && (by_norm || global); i++) {
        const weight_update *u = &updates[i];
        double sum = u->squares ? sum_of(u->squares) : sum_of_squares(u->gradient);
        updates[i].square = sum * scale * scale;
        total += updates[i].square;
    }
    for (int i = 0; i < count; i++) {
        double factor = scale;
        if (by_norm)
            factor *= clip_factor(sqrt(updates[i].square), a->clipnorm);
        else if (global)
            factor *= clip_factor(sqrt(total), a->global_clipnorm);
        job.step.scale = factor;
        bool by_value = !by_norm && !global && a->clipvalue > 0 && !updates[i].clipped;
        job.step.limit = by_value ? a->clipvalue : INFINITY;
        job.step.decay = isnan(a->weight_decay) || !updates[i].weight->decays
                             ? 0
                             : a->weight_decay * learning_rate;
        kl_status status = update_weight(&job, &updates[i]);
        if (status)
            return status;
    }
    return KL_OK;
}

/* average = momentum * average + (1 - momentum) * value */
static kl_status follow_averages(kl_optimizer *o, int64_t iterations)
{
    const kl_optimizer_args *a = args_of(o);
    double momentum = iterations ? a->ema_momentum : 0;
    for (int i = 0; i < o->weight_count; i++) {
        kl_optimizer_weight *w = &o->weights[i];
        kl_tensor *next = kl_op_add(kl_op_mul_scalar(w->average, momentum),
                                    kl_op_mul_scalar(w->weight->value, 1 - momentum));
        kl_status status = next ? kl_tensor_assign(w->average, next) : kl_last_status();
        if (status)
            return status;
    }
    if (a->ema_overwrite_frequency != KL_NONE && (iterations + 1) % a->ema_overwrite_frequency == 0)
        return kl_optimizer_finalize(o);
    return KL_OK;
}

kl_status kl_optimizer_finalize(kl_optimizer *o)
{
    if (!o)
        return kl_error_null("kl_optimizer_finalize", "optimizer");
    if (!args_of(o)->use_ema)
        return KL_OK;
    for (int i = 0; i < o->weight_count; i++) {
        kl_status status = kl_tensor_assign(o->weights[i].weight->value, o->weights[i].average);
        if (status)
            return status;
    }
    return KL_OK;
}

static kl_status constrain(const kl_weight *weight)
{
    if (!weight->constraint)
        return KL_OK;
    kl_tensor *value = kl_constraint_call(weight->constraint, weight->value);
    kl_status status = value ? kl_tensor_assign(weight->value, value) : kl_last_status();
    if (status)
        kl_error_prefix(weight->path);
    return status;
}

static kl_optimizer_weight *find_weight(kl_optimizer *o, const kl_weight *weight, int guess)
{
    if (guess < o->weight_count && o->weights[guess].weight == weight)
        return &o->weights[guess];
    for (int i = 0; i < o->weight_count; i++)
        if (o->weights[i].weight == weight)
            return &o->weights[i];
    kl_error(KL_ERROR_STATE,
             "%s: unknown weight %s: an optimizer can be used only with the weights it was first "
             "used with, make a new one",
             kl_optimizer_name(o), weight ? weight->path : "NULL");
    return NULL;
}

/* The updates with a gradient at the front of `updates`; *used is how many. */
static kl_status ready_updates(kl_optimizer *o, int count, kl_weight *const *weights,
                               kl_tensor *const *gradients, weight_update *updates, int *used)
{
    *used = 0;
    for (int i = 0; i < count; i++) {
        if (!gradients[i])
            continue;
        weight_update *u = &updates[*used];
        *u = (weight_update){0};
        u->weight = find_weight(o, weights[i], i);
        kl_status status = u->weight ? ready_gradient(o, u, gradients[i]) : kl_last_status();
        if (status || !u->gradient)
            return status ? status : kl_last_status();
        ++*used;
    }
    return *used ? KL_OK
                 : kl_error(KL_ERROR_STATE, "%s: no gradients provided for any weight",
                            kl_optimizer_name(o));
}

static kl_status apply_in_scope(kl_optimizer *o, int count, kl_weight *const *weights,
                                kl_tensor *const *gradients)
{
    const kl_optimizer_args *a = args_of(o);
    weight_update *updates = kl_scope_alloc((size_t)count * sizeof *updates);
    int used = 0;
    kl_status status =
        updates ? ready_updates(o, count, weights, gradients, updates, &used) : kl_last_status();
    if (status)
        return status;
    int64_t *iteration = kl_tensor_mutable_data(o->iteration);
    int64_t every = a->gradient_accumulation_steps == KL_NONE ? 1 : a->gradient_accumulation_steps;
    int64_t iterations = *iteration / every;
    double scale = 1 / kl_optimizer_loss_scale(o);
    if (every > 1 && (*iteration + 1) % every != 0) {
        for (int i = 0; !status && i < used; i++) {
            kl_tensor *accumulator = updates[i].weight->accumulator;
            kl_tensor *sum =
                kl_op_add(kl_op_mul_scalar(updates[i].gradient, scale),
                          kl_op_cast(accumulator, (kl_dtype)updates[i].gradient->dtype));
            status = sum ? kl_tensor_assign(accumulator, sum) : kl_last_status();
        }
    } else {
        for (int i = 0; every > 1 && !status && i < used; i++) {
            if (scale != 1)
                updates[i].gradient = kl_op_mul_scalar(updates[i].gradient, scale);
            status = updates[i].gradient ? take_accumulated(&updates[i]) : kl_last_status();
        }
        double rate = kl_optimizer_learning_rate(o);
        if (!status)
            status = update_all(o, used, updates, rate, iterations + 1,
                                every > 1 ? 1 / (double)every : scale);
    }
    if (!status && a->use_ema)
        status = follow_averages(o, iterations);
    for (int i = 0; !status && i < used; i++)
        status = constrain(updates[i].weight->weight);
    if (!status)
        ++*iteration;
    return status;
}

kl_status kl_optimizer_apply(kl_optimizer *o, int count, kl_weight *const *weights,
                             kl_tensor *const *gradients)
{
    if (!o || !weights || !gradients)
        return kl_error_null("kl_optimizer_apply", !o         ? "optimizer"
                                                   : !weights ? "weights"
                                                              : "gradients");
    if (kl_object_kind(o) != KL_KIND_OPTIMIZER)
        return kl_error(KL_ERROR_INVALID, "kl_optimizer_apply: expected an optimizer");
    if (count < 1)
        return kl_error(KL_ERROR_INVALID, "%s: no weights to update", kl_optimizer_name(o));
    kl_status status = kl_optimizer_build(o, count, weights);
    kl_scope *scope = status ? NULL : kl_scope_begin();
    if (!scope)
        return status ? status : kl_last_status();
    kl_tape_pause();
    status = apply_in_scope(o, count, weights, gradients);
    kl_tape_resume();
    kl_scope_end_keeping(scope, 0, NULL);
    return status;
}
