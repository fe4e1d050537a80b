/* What a fuzz target defines, for libFuzzer and for run_corpus.c alike. */
#ifndef KL_TESTS_FUZZ_FUZZ_H
#define KL_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file in memory that holds the bytes; its path goes into `path`. The caller closes it. */
static inline int fuzz_file(const uint8_t *data, size_t size, char path[64])
{
    int file = memfd_create("fuzz", 0);
    if (file < 0)
        abort();
    for (size_t at = 0; at < size;) {
        ssize_t wrote = write(file, data + at, size - at);
        if (wrote <= 0)
            abort();
        at += (size_t)wrote;
    }
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
