/*
 * Steps of an executor that run as one at inference: Dense or a convolution with the
 * BatchNormalization that alone reads it, and the ReLU that alone reads that; or a sum and its
 * ReLU.
 */
#ifndef KL_MODELS_FUSION_H
#define KL_MODELS_FUSION_H

#include "models/executor.h"

/* Marks the steps that can be joined; without memory fewer are. */
void kl_fusion_find(kl_executor *executor);
void kl_fold_free(kl_fold *fold);
/* Runs the steps from `step` on that are joined with it and sets the last one's output. False: they
   must run one by one. */
bool kl_fold_run(const kl_step *step, const kl_context *ctx, kl_tensor **values);

#endif
