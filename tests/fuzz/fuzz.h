/* What a fuzz target defines, for libFuzzer and for run_corpus.c alike. */
#ifndef KL_TESTS_FUZZ_FUZZ_H
#define KL_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
