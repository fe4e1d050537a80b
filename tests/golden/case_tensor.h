/* Tensors of golden cases: reading them and comparing with what came out. */
#ifndef KL_TESTS_GOLDEN_CASE_TENSOR_H
#define KL_TESTS_GOLDEN_CASE_TENSOR_H

#include <klayers/klayers.h>

/* A tensor from its form in a case; NULL with the error set. Not for "sample". */
kl_tensor *case_tensor_read(const kl_config *config);

/*
 * Compares `got` with the form `expected` (null: got must be NULL too). On a difference returns
 * false and writes what differed into `out`.
 */
bool case_tensor_matches(const kl_config *expected, const kl_tensor *got, double rtol, char *out,
                         size_t size);

#endif
