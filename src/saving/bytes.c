#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "saving/saving.h"

kl_status kl_bytes_read(const char *path, kl_bytes *out)
{
    *out = (kl_bytes){0};
    FILE *file = fopen(path, "rb");
    if (!file)
        return kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
    long size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    kl_status status = KL_OK;
    if (size < 0 || fseek(file, 0, SEEK_SET))
        status = kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
    else if (!(out->at = kl_malloc((size_t)size + 1)))
        status = KL_ERROR_MEMORY;
    else if (fread(out->at, 1, (size_t)size, file) != (size_t)size)
        status = kl_error(KL_ERROR_IO, "%s: it can't be read", path);
    out->size = size > 0 ? (size_t)size : 0;
    fclose(file);
    if (status) {
        kl_free(out->at);
        *out = (kl_bytes){0};
    }
    return status;
}

kl_status kl_bytes_write(const char *path, kl_bytes bytes)
{
    kl_str beside = {0};
    kl_str_printf(&beside, "%s.%ld.tmp", path, (long)getpid());
    char *name = kl_str_take(&beside);
    if (!name)
        return KL_ERROR_MEMORY;
    FILE *file = fopen(name, "wb");
    bool good = file && fwrite(bytes.at, 1, bytes.size, file) == bytes.size;
    if (file && fclose(file))
        good = false;
    if (good && rename(name, path))
        good = false;
    kl_status status = good ? KL_OK : kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
    if (status && file)
        remove(name);
    kl_free(name);
    return status;
}
