/* Everything that klayers offers. */
#ifndef KLAYERS_KLAYERS_H
#define KLAYERS_KLAYERS_H

#include "klayers/activations.h"
#include "klayers/base.h"
#include "klayers/callbacks.h"
#include "klayers/config.h"
#include "klayers/constraints.h"
#include "klayers/initializers.h"
#include "klayers/layer.h"
#include "klayers/losses.h"
#include "klayers/metrics.h"
#include "klayers/model.h"
#include "klayers/object.h"
#include "klayers/ops.h"
#include "klayers/optimizers.h"
#include "klayers/regularizers.h"
#include "klayers/saving.h"
#include "klayers/tensor.h"
#include "klayers/training.h"
#include "klayers/layers/attention.h"
#include "klayers/layers/convolution.h"
#include "klayers/layers/core.h"
#include "klayers/layers/image.h"
#include "klayers/layers/merging.h"
#include "klayers/layers/normalization.h"
#include "klayers/layers/pooling.h"
#include "klayers/layers/preprocessing.h"
#include "klayers/layers/recurrent.h"
#include "klayers/layers/regularization.h"
#include "klayers/layers/reshaping.h"

#endif
