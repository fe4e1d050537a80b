/*
 * .keras files of any bytes: loading fails or gives a model. Memory asked for at once stays in
 * proportion, whatever sizes the file declares. The archive's checksums keep changed bytes from
 * HDF5, which is not what is tested here.
 */
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "klayers/klayers.h"

#define MOST_AT_ONCE ((size_t)96 << 20)

static void *allocate(size_t size, void *user)
{
    if (size > MOST_AT_ONCE)
        abort();
    return malloc(size);
}

static void *reallocate(void *memory, size_t size, void *user)
{
    if (size > MOST_AT_ONCE)
        abort();
    return realloc(memory, size);
}

static void release(void *memory, void *user)
{
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    const kl_allocator allocator = {allocate, reallocate, release, NULL};
    if (!ready && kl_set_allocator(&allocator))
        abort();
    ready = true;
    char path[64];
    int file = fuzz_file(data, size, path);
    unsigned errors = kl_error_count();
    kl_model *model = kl_load_model(path);
    close(file);
    if (!model && kl_error_count() == errors)
        abort();
    kl_layer_release(model);
    return 0;
}
