#include "kernels/gemm.h"

#define DEFINE_GEMM(NAME, T)                                                                       \
    bool NAME(const kl_gemm *g)                                                                    \
    {                                                                                              \
        int64_t batch = g->batch > 0 ? g->batch : 1;                                               \
        for (int64_t p = 0; p < batch; p++) {                                                      \
            const T *a = (const T *)g->a + p * g->a_batch;                                         \
            const T *b = (const T *)g->b + p * g->b_batch;                                         \
            T *c = (T *)g->c + p * g->c_batch;                                                     \
            for (int64_t i = 0; i < g->m; i++) {                                                   \
                for (int64_t j = 0; j < g->n; j++) {                                               \
                    T sum = g->bias ? ((const T *)g->bias)[j] : 0;                                 \
                    if (g->accumulate)                                                             \
                        sum += c[i * g->c_row + j];                                                \
                    for (int64_t k = 0; k < g->k; k++)                                             \
                        sum += a[i * g->a_row + k * g->a_col] * b[k * g->b_row + j * g->b_col];    \
                    c[i * g->c_row + j] = g->epilogue == KL_EPILOGUE_RELU && sum < 0 ? 0 : sum;    \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        return true;                                                                               \
    }

DEFINE_GEMM(kl_gemm_f32, float)
DEFINE_GEMM(kl_gemm_f64, double)
