#include "kernels/gemm_tile.h"

#include <stddef.h>

/* The most rows of a tile of one, two, ... vectors. */
#define ROWS      0, 4, 6
#define SHAPES(X) KL_TILE_ROWS_4(X, 1) KL_TILE_ROWS_6(X, 2)
#define VECTORS   2
#define LEAN

#define T       float
#define LANES   4
#define NAME(x) x##_portable_f32
#include "kernels/gemm_impl.h"
#undef T
#undef LANES
#undef NAME

#define T       double
#define LANES   2
#define NAME(x) x##_portable_f64
#include "kernels/gemm_impl.h"
#undef T
#undef LANES
#undef NAME
