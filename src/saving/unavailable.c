/* What kl_save_model and its kin say in a library built without libzip or HDF5. */
#include "klayers/saving.h"

#ifndef KL_HAVE_SAVING
static kl_status unavailable(void)
{
    return kl_error(KL_ERROR_UNSUPPORTED, "this build of klayers can't read or write .keras files: "
                                          "it was made without libzip or HDF5");
}

kl_status kl_save_model(kl_model *model, const char *path)
{
    return unavailable();
}

kl_model *kl_load_model(const char *path)
{
    unavailable();
    return NULL;
}

kl_status kl_save_weights(kl_model *model, const char *path)
{
    return unavailable();
}

kl_status kl_load_weights(kl_model *model, const char *path)
{
    return unavailable();
}
#endif
