#include "layers/preprocessing/image/augment.h"

int64_t kl_augment_seed(int64_t seed, int place)
{
    return seed == KL_NONE ? KL_NONE : (int64_t)((uint64_t)seed * 1000003U + (uint64_t)place);
}

#define COMMON(place)                                                                              \
    .seed = kl_augment_seed(o->seed, place), .data_format = o->data_format, .dtype = layer->policy
#define COLOR(place) .factor = factor, .value_range = o->value_range, COMMON(place)

kl_status kl_augment_add_layers(kl_layer *self, const kl_augment_options *o)
{
    const kl_layer *layer = self;
    const float pair[2] = {(float)o->factor[0], (float)o->factor[1]};
    const kl_floats factor = {pair, 2};
    int64_t kept = (int64_t)(8 * o->factor[1]);
    kept = kept > 1 ? kept : 1;
    /* One number of bits stands for 1 to that many. */
    const kl_ints bits = {&kept, 1};
    bool good =
        kl_add_sublayer(self, "random_shear",
                        kl_random_shear(.x_factor = factor, .y_factor = factor,
                                        .interpolation = o->interpolation, COMMON(1))) &&
        kl_add_sublayer(self, "random_translation",
                        kl_random_translation(.height_factor = factor, .width_factor = factor,
                                              .interpolation = o->interpolation, COMMON(2))) &&
        kl_add_sublayer(
            self, "random_rotation",
            kl_random_rotation(.factor = factor, .interpolation = o->interpolation, COMMON(3))) &&
        kl_add_sublayer(self, "solarization",
                        kl_solarization(.addition_factor = factor, .threshold_factor = factor,
                                        .value_range = o->value_range, COMMON(4))) &&
        kl_add_sublayer(
            self, "random_posterization",
            kl_random_posterization(.factor = bits, .value_range = o->value_range, COMMON(5))) &&
        kl_add_sublayer(self, "auto_contrast",
                        kl_auto_contrast(.value_range = o->value_range,
                                         .data_format = o->data_format, .dtype = layer->policy)) &&
        kl_add_sublayer(self, "equalization",
                        kl_equalization(.value_range = o->value_range,
                                        .data_format = o->data_format, .dtype = layer->policy));
    if (good && o->all)
        good = kl_add_sublayer(self, "random_brightness", kl_random_brightness(COLOR(6))) &&
               kl_add_sublayer(self, "random_color_degeneration",
                               kl_random_color_degeneration(COLOR(7))) &&
               kl_add_sublayer(self, "random_contrast", kl_random_contrast(COLOR(8))) &&
               kl_add_sublayer(self, "random_sharpness", kl_random_sharpness(COLOR(9)));
    return good ? KL_OK : kl_last_status();
}
