/* .npy files of any bytes: loading fails or gives a tensor that can be read to its end. */
#include "fuzz/fuzz.h"
#include "klayers/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = fuzz_file(data, size, path);
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
