/*
 * Keras's files: .keras (config, weights, optimizer and assets in one archive) and .weights.h5.
 * https://keras.io/guides/serialization_and_saving/. Needs libzip and HDF5 when the library is
 * built; without them every function here fails with KL_ERROR_UNSUPPORTED and says so. The two
 * libraries keep their own allocators.
 */
#ifndef KLAYERS_SAVING_H
#define KLAYERS_SAVING_H

#include "klayers/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes a model with its weights, what it was compiled with, the optimizer's state and assets.
 * Python Keras 3 opens the file. It is written beside the target and renamed.
 */
KL_API kl_status kl_save_model(kl_model *model, const char *path);
/*
 * Opens a .keras file, made here or by Python Keras; the caller's, compiled if it was. Custom
 * classes must be registered. Sizes are checked before anything is allocated for them, and nothing
 * outside the file is read; beyond that, HDF5 data made to do harm is as safe to open as the HDF5
 * library is.
 */
KL_API kl_model *kl_load_model(const char *path);

/* The weights alone, as a .weights.h5 file; loading checks every shape before it changes one. */
KL_API kl_status kl_save_weights(kl_model *model, const char *path);
KL_API kl_status kl_load_weights(kl_model *model, const char *path);

#ifdef __cplusplus
}
#endif
#endif
