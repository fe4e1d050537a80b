/* Convolution by plain loops; included once per element type with T and NAME set. */

/* Input offset of output position o under tap k, or -1 if it is in the padding. */
static int64_t NAME(source)(const kl_conv_shape *s, int64_t n, const int64_t o[3],
                            const int64_t k[3])
{
    int64_t at = n;
    for (int d = 0; d < 3; d++) {
        int64_t i = o[d] * s->stride[d] + k[d] * s->dilation[d] - s->pad[d];
        if (i < 0 || i >= s->in[d])
            return -1;
        at = at * s->in[d] + i;
    }
    return at * s->in_channels;
}

typedef enum NAME(pass) { NAME(FORWARD), NAME(INPUT), NAME(KERNEL) } NAME(pass);

static void NAME(direct_taps)(const kl_conv_shape *s, NAME(pass) pass, T *x, T *w, T *y, int64_t n,
                              const int64_t o[3])
{
    int64_t ci = s->in_channels / s->groups, co = s->out_channels / s->groups;
    int64_t k[3];
    for (k[0] = 0; k[0] < s->kernel[0]; k[0]++)
        for (k[1] = 0; k[1] < s->kernel[1]; k[1]++)
            for (k[2] = 0; k[2] < s->kernel[2]; k[2]++) {
                int64_t from = NAME(source)(s, n, o, k);
                if (from < 0)
                    continue;
                T *taps =
                    w + ((k[0] * s->kernel[1] + k[1]) * s->kernel[2] + k[2]) * ci * s->out_channels;
                for (int64_t g = 0; g < s->groups; g++)
                    for (int64_t i = 0; i < ci; i++) {
                        T *xi = x + from + g * ci + i;
                        T *wi = taps + i * s->out_channels + g * co, *yi = y + g * co;
                        if (pass == NAME(FORWARD))
                            for (int64_t j = 0; j < co; j++)
                                yi[j] += *xi * wi[j];
                        else if (pass == NAME(KERNEL))
                            for (int64_t j = 0; j < co; j++)
                                wi[j] += *xi * yi[j];
                        else
                            for (int64_t j = 0; j < co; j++)
                                *xi += wi[j] * yi[j];
                    }
            }
}

static void NAME(direct_all)(const kl_conv_shape *s, NAME(pass) pass, T *x, T *w, T *y)
{
    int64_t o[3];
    for (int64_t n = 0; n < s->batch; n++)
        for (o[0] = 0; o[0] < s->out[0]; o[0]++)
            for (o[1] = 0; o[1] < s->out[1]; o[1]++)
                for (o[2] = 0; o[2] < s->out[2]; o[2]++) {
                    int64_t at = ((n * s->out[0] + o[0]) * s->out[1] + o[1]) * s->out[2] + o[2];
                    NAME(direct_taps)(s, pass, x, w, y + at * s->out_channels, n, o);
                }
}

static void NAME(direct_forward)(const kl_conv_shape *s, const T *x, const T *w, const T *bias,
                                 kl_epilogue epilogue, T *y)
{
    int64_t count = s->batch * s->out[0] * s->out[1] * s->out[2];
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < s->out_channels; j++)
            y[i * s->out_channels + j] = bias ? bias[j] : 0;
    NAME(direct_all)(s, NAME(FORWARD), (T *)(uintptr_t)x, (T *)(uintptr_t)w, y);
    if (epilogue == KL_EPILOGUE_RELU)
        for (int64_t i = 0; i < count * s->out_channels; i++)
            y[i] = y[i] < 0 ? 0 : y[i];
}

static void NAME(direct_input_grad)(const kl_conv_shape *s, const T *dy, const T *w, T *dx)
{
    int64_t count = s->batch * s->in[0] * s->in[1] * s->in[2] * s->in_channels;
    memset(dx, 0, (size_t)count * sizeof(T));
    NAME(direct_all)(s, NAME(INPUT), dx, (T *)(uintptr_t)w, (T *)(uintptr_t)dy);
}

static void NAME(direct_kernel_grad)(const kl_conv_shape *s, const T *x, const T *dy, T *dw)
{
    int64_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    int64_t count = taps * (s->in_channels / s->groups) * s->out_channels;
    memset(dw, 0, (size_t)count * sizeof(T));
    NAME(direct_all)(s, NAME(KERNEL), (T *)(uintptr_t)x, dw, (T *)(uintptr_t)dy);
}
