/* The transforms, once for every instruction set: included by a source that defines KL_TABLE and
   is compiled with that set's flags. */
#include <math.h>
#include <string.h>

#include "kernels/spectrum_table.h"

#define LANES KL_SPECTRUM_LANES

#define T           float
#define TYPED(name) name##_float
#define SQRT        sqrtf
#define POW         powf
#include "kernels/spectrum_type.h"

#define T           double
#define TYPED(name) name##_double
#define SQRT        sqrt
#define POW         pow
#include "kernels/spectrum_type.h"

const kl_spectrum_table KL_TABLE = {bands_float, bands_double};
