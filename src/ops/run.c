#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

static _Thread_local kl_random *stream;
static _Thread_local kl_random default_stream;

kl_random *kl_random_enter(kl_random *next)
{
    kl_random *before = stream;
    stream = next;
    return before;
}

kl_random *kl_random_current(void)
{
    if (stream)
        return stream;
    /* A fresh key a draw: the default generator alone decides the numbers. */
    default_stream = (kl_random){kl_random_next_key(), 0};
    return &default_stream;
}

bool kl_op_shape_only(const kl_op_frame *frame)
{
    if (!frame) {
        kl_error_null("kl_op_shape_only", "frame");
        return false;
    }
    for (int i = 0; i < frame->inputs; i++)
        if (frame->in[i] && !frame->in[i]->buffer)
            return true;
    return false;
}

kl_tensor *kl_op_output(const kl_op_frame *frame, kl_dtype dtype, int rank, const int64_t *shape)
{
    if (!frame || (rank > 0 && !shape)) {
        kl_error_null("kl_op_output", frame ? "shape" : "frame");
        return NULL;
    }
    return kl_op_shape_only(frame) ? kl_stand_in(dtype, rank, shape) : kl_empty(dtype, rank, shape);
}

static bool is_half(const kl_tensor *t)
{
    return t && (t->dtype == KL_FLOAT16 || t->dtype == KL_BFLOAT16);
}

static void drop(kl_tensor *tensor)
{
    kl_release(kl_scope_detach(tensor));
}

/* Runs on float32 copies of half-precision inputs and casts the float outputs back. */
static kl_status run_half(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                          uint64_t optional, int outputs, kl_tensor **out)
{
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return kl_last_status();
    kl_tensor **wide = kl_scope_alloc((size_t)(inputs + 1) * sizeof *wide);
    kl_status status = wide ? KL_OK : kl_last_status();
    kl_dtype half = KL_FLOAT32;
    for (int i = 0; wide && i < inputs && !status; i++) {
        wide[i] = in[i];
        if (!is_half(in[i]))
            continue;
        /* float16 with bfloat16 gives float32, as in Keras. */
        half = half == KL_FLOAT32 || half == (kl_dtype)in[i]->dtype ? (kl_dtype)in[i]->dtype
                                                                    : KL_FLOAT64;
        wide[i] = kl_op_cast(in[i], KL_FLOAT32);
        if (!wide[i])
            status = kl_last_status();
    }
    for (int i = 0; i < inputs && !status; i++)
        if (in[i] && (in[i]->dtype == KL_FLOAT32 || in[i]->dtype == KL_FLOAT64))
            half = KL_FLOAT64;
    if (!status)
        status = kl_op_run(op, attrs, inputs, wide, optional, outputs, out);
    for (int i = 0; i < outputs && !status; i++) {
        if (out[i] && out[i]->dtype == KL_FLOAT32 && half != KL_FLOAT64 && half != KL_FLOAT32)
            out[i] = kl_op_cast(out[i], half);
        if (!out[i])
            status = kl_last_status();
    }
    if (status)
        memset(out, 0, (size_t)outputs * sizeof *out);
    kl_scope_end_keeping(scope, (size_t)outputs, out);
    return status;
}

kl_status kl_op_run(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                    uint64_t optional, int outputs, kl_tensor **out)
{
    bool half = false, symbolic = false;
    if (!op || (inputs > 0 && !in) || (outputs > 0 && !out))
        return kl_error_null("kl_op_run", !op ? "op" : !out ? "out" : "in");
    for (int i = 0; i < outputs; i++)
        out[i] = NULL;
    for (int i = 0; i < inputs; i++) {
        if (!in[i]) {
            if (i < 64 && optional >> i & 1)
                continue;
            return kl_error_null(op->name, "tensor");
        }
        symbolic = symbolic || in[i]->symbol;
        half = half || is_half(in[i]);
    }
    for (int i = 0; i < inputs && symbolic; i++)
        if (in[i] && in[i]->symbol)
            return in[i]->symbol->apply(op, attrs, inputs, in, outputs, out);
    if (half && !(op->flags & KL_OP_ANY_DTYPE))
        return run_half(op, attrs, inputs, in, optional, outputs, out);
    kl_op_frame frame = {.op = op,
                         .attrs = attrs,
                         .inputs = inputs,
                         .outputs = outputs,
                         .in = (kl_tensor **)(uintptr_t)in,
                         .out = out,
                         .recording = op->backward && kl_tape_wants(inputs, in)};
    /* What forward calls on its way is no step of its own. */
    kl_tape_pause();
    kl_status status = op->forward(&frame);
    kl_tape_resume();
    for (int i = 0; i < outputs && !status; i++)
        if (!out[i])
            status = kl_last_status() ? kl_last_status() : KL_ERROR_STATE;
    if (!status && frame.recording && !kl_op_shape_only(&frame))
        kl_tape_record(&frame);
    for (size_t i = 0; i < sizeof frame.saved / sizeof *frame.saved; i++)
        if (frame.saved[i])
            drop(frame.saved[i]);
    if (status) {
        for (int i = 0; i < outputs; i++) {
            drop(out[i]);
            out[i] = NULL;
        }
        kl_error_prefix(op->name);
    }
    return status;
}

kl_tensor *kl_custom_op(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in)
{
    kl_tensor *out = NULL;
    if (!op || op->size < sizeof *op || !op->forward || !op->name) {
        kl_error(KL_ERROR_INVALID, "an op needs its size, a name and a forward function");
        return NULL;
    }
    kl_op_run(op, attrs, inputs, in, 0, 1, &out);
    return out;
}
