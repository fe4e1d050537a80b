#include <string.h>

#include "layers/layer.h"

bool kl_is_channels_first(const char *data_format)
{
    return data_format && !strcmp(data_format, "channels_first");
}

int kl_channel_axis(const char *data_format, int rank)
{
    return kl_is_channels_first(data_format) ? 1 : rank - 1;
}
