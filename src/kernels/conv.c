#include "kernels/conv.h"

#include <stdint.h>
#include <string.h>

#define T       float
#define NAME(x) x##_f32
#include "kernels/conv_direct_impl.h"
#undef T
#undef NAME
#define T       double
#define NAME(x) x##_f64
#include "kernels/conv_direct_impl.h"

bool kl_conv_f32(const kl_conv_shape *s, const float *x, const float *w, const float *bias,
                 kl_epilogue epilogue, float *y)
{
    direct_forward_f32(s, x, w, bias, epilogue, y);
    return true;
}
bool kl_conv_input_grad_f32(const kl_conv_shape *s, const float *dy, const float *w, float *dx)
{
    direct_input_grad_f32(s, dy, w, dx);
    return true;
}
bool kl_conv_kernel_grad_f32(const kl_conv_shape *s, const float *x, const float *dy, float *dw)
{
    direct_kernel_grad_f32(s, x, dy, dw);
    return true;
}
bool kl_conv_f64(const kl_conv_shape *s, const double *x, const double *w, const double *bias,
                 kl_epilogue epilogue, double *y)
{
    direct_forward_f64(s, x, w, bias, epilogue, y);
    return true;
}
bool kl_conv_input_grad_f64(const kl_conv_shape *s, const double *dy, const double *w, double *dx)
{
    direct_input_grad_f64(s, dy, w, dx);
    return true;
}
bool kl_conv_kernel_grad_f64(const kl_conv_shape *s, const double *x, const double *dy, double *dw)
{
    direct_kernel_grad_f64(s, x, dy, dw);
    return true;
}
