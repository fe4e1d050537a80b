/* .npy files of any bytes: loading fails or gives a tensor that can be read to its end. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "klayers/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memfd_create("npy", 0);
    if (file < 0)
        abort();
    for (size_t at = 0; at < size;) {
        ssize_t wrote = write(file, data + at, size - at);
        if (wrote <= 0)
            abort();
        at += (size_t)wrote;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    unsigned errors = kl_error_count();
    kl_tensor *tensor = kl_npy_load(path);
    close(file);
    if (!tensor && kl_error_count() == errors)
        abort();
    if (tensor) {
        char *text = kl_tensor_to_text(tensor);
        kl_free_text(text);
    }
    kl_release(tensor);
    return 0;
}
