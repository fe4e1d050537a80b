#include <string.h>

#include "klayers/tensor.h"

typedef struct dtype_row {
    const char *name;
    size_t bytes;
} dtype_row;

static const dtype_row rows[] = {
#define ROW(id, name, bytes) [id] = {name, bytes},
    KL_DTYPE_LIST(ROW)
#undef ROW
};
_Static_assert(sizeof rows / sizeof *rows == KL_DTYPE_COUNT, "one row a dtype");

const char *kl_dtype_name(kl_dtype dtype)
{
    return (unsigned)dtype < KL_DTYPE_COUNT ? rows[dtype].name : "unknown";
}

bool kl_dtype_from_name(const char *name, kl_dtype *out)
{
    for (int i = 0; name && i < KL_DTYPE_COUNT; i++) {
        if (!strcmp(name, rows[i].name)) {
            *out = (kl_dtype)i;
            return true;
        }
    }
    return false;
}

size_t kl_dtype_size(kl_dtype dtype)
{
    return (unsigned)dtype < KL_DTYPE_COUNT ? rows[dtype].bytes : 0;
}

bool kl_dtype_is_float(kl_dtype dtype)
{
    return dtype == KL_FLOAT32 || dtype == KL_FLOAT64 || dtype == KL_FLOAT16 ||
           dtype == KL_BFLOAT16;
}

bool kl_dtype_is_integer(kl_dtype dtype)
{
    return dtype == KL_INT32 || dtype == KL_INT64 || dtype == KL_UINT8;
}
