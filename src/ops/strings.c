/* Strings to numbers. */
#include "base/hash.h"
#include "base/string_table.h"
#include "ops/common.h"

typedef struct hash_attrs {
    int64_t bins;
    bool salted;
    uint64_t salt[2];
} hash_attrs;

static kl_status expect_strings(const kl_tensor *x)
{
    if (x->dtype == KL_STRING)
        return KL_OK;
    return kl_error(KL_ERROR_DTYPE, "expected strings, got %s", kl_dtype_name((kl_dtype)x->dtype));
}

static kl_status hash_forward(kl_op_frame *f)
{
    const hash_attrs *a = f->attrs;
    kl_tensor *x = f->in[0];
    if (expect_strings(x))
        return kl_last_status();
    if (a->bins < 1)
        return kl_error(KL_ERROR_RANGE, "the number of bins must be at least 1, got %lld",
                        (long long)a->bins);
    kl_tensor *out = f->out[0] = kl_op_output(f, KL_INT64, x->rank, x->shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    int64_t *to = (int64_t *)(void *)out->data;
    for (int64_t i = 0; i < x->size; i++) {
        kl_string text = kl_tensor_string_at(x, i);
        uint64_t hash = a->salted ? kl_siphash(a->salt, text.at, text.length)
                                  : kl_fingerprint64(text.at, text.length);
        to[i] = (int64_t)(hash % (uint64_t)a->bins);
    }
    return KL_OK;
}

static const kl_op string_hash_op = {
    .size = sizeof(kl_op),
    .name = "string_hash",
    .attrs_size = sizeof(hash_attrs),
    .forward = hash_forward,
};

kl_tensor *kl_op_string_hash(kl_tensor *a, int64_t bins, const uint64_t *salt)
{
    hash_attrs attrs = {.bins = bins, .salted = salt != NULL};
    if (salt) {
        attrs.salt[0] = salt[0];
        attrs.salt[1] = salt[1];
    }
    return kl_run1(&string_hash_op, &attrs, 1, &a, 0);
}

typedef struct lookup_attrs {
    int64_t offset, missing;
} lookup_attrs;

static kl_status fill_table(kl_string_table *table, const kl_tensor *vocabulary)
{
    for (int64_t i = 0; i < vocabulary->size; i++) {
        kl_string text = kl_tensor_string_at(vocabulary, i);
        bool added;
        if (kl_string_table_add(table, text.at, text.length, &added) < 0)
            return kl_last_status();
        if (!added)
            return kl_error(KL_ERROR_INVALID, "the vocabulary has \"%.*s\" twice",
                            (int)(text.length < 60 ? text.length : 60), text.at);
    }
    return KL_OK;
}

static kl_status lookup_forward(kl_op_frame *f)
{
    const lookup_attrs *a = f->attrs;
    kl_tensor *x = f->in[0], *vocabulary = f->in[1];
    if (expect_strings(x) || expect_strings(vocabulary))
        return kl_last_status();
    if (vocabulary->rank != 1)
        return kl_error(KL_ERROR_SHAPE, "the vocabulary must have 1 axis, got %d",
                        vocabulary->rank);
    kl_tensor *out = f->out[0] = kl_op_output(f, KL_INT64, x->rank, x->shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_string_table table = {0};
    kl_status status = fill_table(&table, vocabulary);
    int64_t *to = (int64_t *)(void *)out->data;
    for (int64_t i = 0; !status && i < x->size; i++) {
        kl_string text = kl_tensor_string_at(x, i);
        int64_t at = kl_string_table_find(&table, text.at, text.length);
        to[i] = at < 0 ? a->missing : at + a->offset;
    }
    kl_string_table_clear(&table);
    return status;
}

static const kl_op string_lookup_op = {
    .size = sizeof(kl_op),
    .name = "string_lookup",
    .attrs_size = sizeof(lookup_attrs),
    .forward = lookup_forward,
};

kl_tensor *kl_op_string_lookup(kl_tensor *a, kl_tensor *vocabulary, int64_t offset, int64_t missing)
{
    lookup_attrs attrs = {offset, missing};
    return kl_run1(&string_lookup_op, &attrs, 2, (kl_tensor *[]){a, vocabulary}, 0);
}
