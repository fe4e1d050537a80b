#!/usr/bin/env python3
"""Makes the files of tests/saving/files by real Keras 3, with what it predicts beside them."""

import json
import os

import keras
import numpy as np
import tensorflow as tf

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")


def keep(name, model, inputs):
    model.save(os.path.join(HERE, name + ".keras"))
    if any(a.dtype == object for a in inputs):
        outputs = [np.asarray(a) for a in model([tf.constant(a.tolist(), dtype) for a, dtype in
                                                 zip(inputs, ["string" if a.dtype == object
                                                              else a.dtype for a in inputs])])]
    else:
        outputs = model.predict(inputs, verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    inputs = inputs if isinstance(inputs, list) else [inputs]

    def tensor(a):
        a = np.asarray(a)
        dtype = "string" if a.dtype == object else str(a.dtype)
        return {"dtype": dtype, "shape": list(a.shape), "values": a.ravel().tolist()}

    with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as file:
        json.dump({"inputs": [tensor(a) for a in inputs], "outputs": [tensor(a) for a in outputs]},
                  file)
        file.write("\n")


def functional():
    """Two inputs and outputs, a mask, a nested model, operations on tensors, a trained state."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    x = keras.Input((4,), name="x")
    words = keras.layers.Embedding(11, 3, mask_zero=True)(ids)
    state = keras.layers.LSTM(5)(words)
    shared = keras.layers.Dense(5, activation="relu")
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5),
                              keras.layers.Dropout(0.3, seed=3),
                              keras.layers.BatchNormalization()], name="inner")
    both = keras.layers.Add()([state, inner(shared(x))])
    both = both * 2.0 + state
    outputs = [keras.layers.Dense(2, activation="softmax", name="out")(both),
               keras.layers.Dense(1, name="second", kernel_regularizer="l2")(both)]
    model = keras.Model([ids, x], outputs)
    model.compile(optimizer="adam", loss={"out": "sparse_categorical_crossentropy",
                                          "second": "mse"})
    inputs = [np.arange(12, dtype="int32").reshape(2, 6) % 11,
              np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)]
    model.fit(inputs, [np.array([0, 1]), np.array([[1.0], [2.0]])], verbose=0)
    keep("functional", model, inputs)


def sequential():
    model = keras.Sequential([keras.Input((8, 8, 1)),
                              keras.layers.Conv2D(3, 3, activation="relu"),
                              keras.layers.BatchNormalization(), keras.layers.MaxPooling2D(),
                              keras.layers.Flatten(), keras.layers.Dense(4),
                              keras.layers.Dense(2)])
    keep("sequential", model, np.linspace(-1, 1, 128, dtype="float32").reshape(2, 8, 8, 1))


def table():
    norm = keras.layers.Normalization()
    norm.adapt(np.array([[1.0, 20.0], [3.0, 40.0], [5.0, 90.0]], dtype="float32"))
    model = keras.Sequential([keras.Input((2,)), norm, keras.layers.Dense(3, activation="tanh")])
    keep("table", model, np.array([[2.0, 30.0], [0.0, 10.0]], dtype="float32"))


def attention():
    """Attention layers by position and by name, with masks, wrappers and low-rank corrections."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    words = keras.layers.Embedding(11, 4, mask_zero=True, lora_rank=2)(ids)
    x = keras.layers.MultiHeadAttention(2, 3, dropout=0.1)(words, words, use_causal_mask=True)
    x = keras.layers.MultiHeadAttention(2, 3, value_dim=2, use_gate=True)(query=x, value=words,
                                                                         key=words)
    x = keras.layers.GroupQueryAttention(3, 4, 2)(x, words, words)
    y = keras.layers.Attention(use_scale=True, score_mode="concat")([x, words])
    y = keras.layers.AdditiveAttention()([y, words])
    y = keras.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de",
                                 activation="relu", lora_rank=2, lora_alpha=3)(y)
    y = keras.layers.TimeDistributed(keras.Sequential([keras.Input((2, 3)),
                                                       keras.layers.Flatten(),
                                                       keras.layers.Dense(5, lora_rank=1)]))(y)
    table = keras.layers.ReversibleEmbedding(11, 5, tie_weights=False)
    y = keras.layers.Add()([y, table(ids)])
    model = keras.Model(ids, [table(y, reverse=True), y])
    for weight in model.weights:
        if weight.name.startswith("lora"):
            shape = weight.shape
            weight.assign(np.linspace(-0.5, 0.5, int(np.prod(shape))).reshape(shape))
    keep("attention", model, np.array([[1, 5, 3, 0, 0, 0], [2, 10, 4, 4, 9, 1]], dtype="int32"))


def recurrent():
    """An encoder whose states start a decoder, both directions, cells, stacks, convolutions."""
    layers = keras.layers
    ids = keras.Input((6,), dtype="int32", name="ids")
    x = keras.Input((5, 3), name="x")
    frames = keras.Input((3, 4, 4, 1), name="frames")
    words = layers.Embedding(11, 3, mask_zero=True)(ids)
    encoded, h, c = layers.LSTM(4, return_state=True, return_sequences=True, dropout=0.2)(words)
    decoded = layers.LSTM(4, return_sequences=True, name="decoder")(x, initial_state=[h, c])
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum")(encoded)
    ends = layers.Bidirectional(layers.LSTM(3, name="there"), backward_layer=layers.GRU(
        3, go_backwards=True, reset_after=False, name="back"))(decoded)
    stack = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(2)])(x)
    cell = layers.RNN(layers.SimpleRNNCell(2), go_backwards=True)(both)
    moved = layers.ConvLSTM2D(2, 2, return_sequences=True)(frames)
    moved = layers.Flatten()(layers.ConvLSTM2D(1, 2, padding="same", name="last")(moved))
    simple = layers.SimpleRNN(2, activation="relu")(decoded)
    out = layers.Dense(2)(layers.Concatenate()([ends, stack, cell, moved, simple]))
    model = keras.Model([ids, x, frames], [out, both])
    inputs = [np.array([[1, 5, 3, 0, 0, 0], [2, 10, 0, 4, 9, 1]], dtype="int32"),
              np.linspace(-1, 1, 30, dtype="float32").reshape(2, 5, 3),
              np.sin(np.arange(96, dtype="float32")).reshape(2, 3, 4, 4, 1)]
    keep("recurrent", model, inputs)


def convolution():
    """Every convolution and adaptive pooling, in one, two and three dimensions."""
    layers = keras.layers
    image = keras.Input((6, 5, 2), name="image")
    x = layers.Conv2DTranspose(3, 3, strides=2, output_padding=1)(image)
    x = layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu")(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, padding="same")(x)
    x = layers.Conv2D(4, 3, groups=2, lora_rank=2)(x)
    x = layers.AdaptiveAveragePooling2D((3, 2))(x)
    line = layers.Reshape((6, 4))(x)
    line = layers.Conv1D(4, 2, padding="causal", dilation_rate=2)(line)
    line = layers.SeparableConv1D(3, 2)(line)
    line = layers.DepthwiseConv1D(2)(line)
    line = layers.Conv1DTranspose(2, 3, strides=2, padding="same")(line)
    line = layers.AdaptiveMaxPooling1D(3)(line)
    cube = layers.Reshape((2, 3, 2, 2))(x)
    cube = layers.Conv3DTranspose(2, 2, strides=(1, 2, 2))(cube)
    cube = layers.Conv3D(2, 2, padding="same")(cube)
    cube = layers.AdaptiveAveragePooling3D((2, 3, 2))(cube)
    cube = layers.AdaptiveMaxPooling3D(2)(cube)
    model = keras.Model(image, [line, cube])
    for weight in model.weights:
        if weight.name.startswith("lora"):
            shape = weight.shape
            weight.assign(np.linspace(-0.5, 0.5, int(np.prod(shape))).reshape(shape))
    keep("convolution", model, np.linspace(-1, 1, 120, dtype="float32").reshape(2, 6, 5, 2))


def normalization():
    """Every normalization, two of them around a layer; trained, so that moving state is saved."""
    layers = keras.layers
    image = keras.Input((6, 5, 4), name="image")
    x = layers.SpectralNormalization(layers.Conv2D(4, 2), power_iterations=2)(image)
    x = layers.GroupNormalization(2)(x)
    x = layers.GroupNormalization(-1, axis=1, center=False)(x)
    x = layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 2.0, "dmax": 1.0})(x)
    x = layers.LayerNormalization(axis=[1, 3])(x)
    x = layers.RMSNormalization()(x)
    x = layers.BatchNormalization(axis=1, scale=False)(x)
    x = layers.UnitNormalization(axis=[1, 2])(x)
    x = layers.SpectralNormalization(layers.Dense(3))(layers.Flatten()(x))
    model = keras.Model(image, layers.LayerNormalization(rms_scaling=True)(x))
    model.compile(optimizer="sgd", loss="mse")
    inputs = np.sin(np.arange(360, dtype="float32")).reshape(3, 6, 5, 4)
    model.fit(inputs, np.eye(3, dtype="float32"), epochs=2, verbose=0)
    keep("normalization", model, inputs)


def augmentation():
    """Every layer on images but Equalization, which Keras can't put in a model; at inference only
    the deterministic ones change them."""
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((12, 11, 3)), layers.CenterCrop(11, 10),
        layers.Pipeline([layers.RandomFlip(seed=1), layers.RandomRotation(0.1)]),
        layers.RandomTranslation(0.1, (-0.1, 0.2), fill_mode="wrap"),
        layers.RandomZoom((-0.2, 0.1), 0.3), layers.RandomPerspective(scale=0.2),
        layers.RandomElasticTransform(), layers.RandomContrast(0.2),
        layers.RandomBrightness(0.2, value_range=(0, 255)), layers.RandomErasing(fill_value=3.0),
        layers.RandomHue(0.2), layers.RandomSaturation(0.3), layers.RandomSharpness(0.3),
        layers.RandomGrayscale(), layers.RandomInvert(0.2), layers.RandomPosterization((3, 6)),
        layers.RandomColorDegeneration(0.2), layers.RandomGaussianBlur(0.5, 5, 0.5),
        layers.RandomColorJitter(brightness_factor=0.1, hue_factor=0.1), layers.AutoContrast(),
        layers.Solarization(0.2, 0.3), layers.RandAugment(factor=0.2),
        layers.AugMix(factor=0.2), layers.CutMix(), layers.MixUp(),
        layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2)),
        layers.Resizing(4, 3, interpolation="bicubic", antialias=True),
        layers.Flatten(), layers.Dense(2, kernel_initializer=keras.initializers.Constant(1e-3))])
    keep("augmentation", model, np.arange(792, dtype="float32").reshape(2, 12, 11, 3) % 251)


def sound():
    layers = keras.layers
    wave = keras.Input((300,), name="wave")
    bands = layers.MelSpectrogram(fft_length=64, sequence_stride=50, num_mel_bins=6,
                                  sampling_rate=2000)(wave)
    spectrum = layers.STFTSpectrogram(frame_length=32, mode="psd")(layers.Reshape((300, 1))(wave))
    small = keras.initializers.RandomUniform(-0.01, 0.01, seed=1)
    outputs = [layers.Dense(2, kernel_initializer=small)(layers.Flatten()(bands)), spectrum]
    model = keras.Model(wave, outputs)
    keep("sound", model, np.sin(np.arange(600, dtype="float32").reshape(2, 300) ** 1.1))


def activation():
    """Activation layers and those that regularize."""
    layers = keras.layers
    image = keras.Input((4, 3, 2), name="image")
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.25))(image)
    x = layers.SpatialDropout2D(0.3, seed=1)(x)
    x = layers.ReLU(max_value=0.9, negative_slope=0.1, threshold=0.2)(x)
    x = layers.GaussianNoise(0.1, seed=2)(x)
    x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.Softmax(axis=[1, 2])(x)
    line = layers.SpatialDropout1D(0.2)(layers.Reshape((12, 2))(x))
    slopes = keras.initializers.RandomUniform(0.1, 0.5, seed=1)
    line = layers.PReLU(slopes, alpha_regularizer="l2", name="slopes")(line)
    line = layers.GaussianDropout(0.4)(layers.ELU(0.5)(line))
    line = layers.AlphaDropout(0.3, noise_shape=(None, 1, 2))(line)
    cube = layers.SpatialDropout3D(0.5)(layers.Reshape((2, 2, 3, 2))(x))
    cube = layers.ActivityRegularization(l1=0.1, l2=0.2)(layers.Flatten()(cube))
    model = keras.Model(image, [layers.Softmax()(line), layers.Dense(3)(cube)])
    keep("activation", model, np.linspace(-2, 2, 48, dtype="float32").reshape(2, 4, 3, 2))


def reshaping():
    """Every layer that moves, pads, crops or enlarges, and Dot."""
    layers = keras.layers
    image = keras.Input((4, 5, 2), name="image")
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(image)
    x = layers.Cropping2D(((0, 1), (1, 2)))(x)
    x = layers.Conv2D(2, 2)(layers.UpSampling2D((2, 3), interpolation="bilinear")(x))
    cube = layers.ZeroPadding3D((0, 1, 0))(layers.Reshape((7, 6, 4, 2))(layers.Cropping2D(
        ((0, 0), (2, 2)))(layers.UpSampling2D(interpolation="bicubic")(layers.Cropping2D(
            ((0, 0), (3, 3)))(x)))))
    cube = layers.Cropping3D(((1, 0), (2, 1), (0, 1)))(layers.UpSampling3D((1, 2, 1))(cube))
    line = layers.Permute((2, 1))(layers.Reshape((-1, 6))(cube))
    line = layers.UpSampling1D(2)(layers.Cropping1D((1, 2))(layers.ZeroPadding1D(2)(line)))
    again = layers.RepeatVector(3)(layers.Flatten()(line))
    scores = layers.Dot((2, 2), normalize=True)([again, again])
    pair = layers.Dot(1)([layers.Dense(4)(layers.Flatten()(line)),
                          layers.Dense(4)(layers.Flatten()(image))])
    model = keras.Model(image, [scores, layers.Dense(3)(layers.Flatten()(cube)), pair])
    keep("reshaping", model, np.linspace(-1, 1, 80, dtype="float32").reshape(2, 4, 5, 2))


def categories():
    """Every layer on numbers and categories, its state adapted or given, into one Dense."""
    layers = keras.layers
    place = keras.Input((1,), dtype="string", name="place")
    code = keras.Input((2,), dtype="int64", name="code")
    number = keras.Input((3,), name="number")
    words = np.array([["Rome"], ["Oslo"], ["Rome"], ["K\u00f6ln"], ["\u4eac\u90fd"]])
    codes = np.array([[7, -3], [7, 12], [12, 2**40], [7, 5], [0, 0]])
    numbers = np.linspace(-3, 3, 300, dtype="float32").reshape(100, 3)
    learned = layers.StringLookup(output_mode="one_hot", num_oov_indices=2)
    learned.adapt(words)
    weighed = layers.StringLookup(output_mode="tf_idf", mask_token="")
    weighed.adapt(words)
    counted = layers.IntegerLookup(output_mode="count", mask_token=0)
    counted.adapt(codes)
    plain = layers.IntegerLookup(max_tokens=5, oov_method="farmhash", num_oov_indices=2, salt=3)
    plain.adapt(codes)
    text = layers.TextVectorization(output_mode="tf_idf", pad_to_max_tokens=False)
    text.adapt(words)
    binned = layers.Discretization(num_bins=5, output_mode="one_hot")
    binned.adapt(numbers)
    parts = [learned(place), weighed(place), counted(code),
             layers.Flatten()(binned(number)),
             layers.StringLookup(vocabulary=["Oslo", "Rome"], output_mode="multi_hot")(place),
             layers.StringLookup(vocabulary=["Oslo", "Rome"], idf_weights=[0.5, 2.0],
                                 output_mode="tf_idf")(place),
             layers.Hashing(5, output_mode="multi_hot", mask_value="Oslo")(place),
             layers.Hashing(4, output_mode="count", salt=[1, 2])(code),
             layers.CategoryEncoding(6, output_mode="count")(plain(code)),
             layers.Flatten()(layers.CategoryEncoding(4, output_mode="one_hot")(
                 layers.Discretization(bin_boundaries=[-1.0, 0.5, 2.0])(number))),
             layers.HashedCrossing(6, output_mode="one_hot")([place, layers.Hashing(9)(place)]),
             layers.Rescaling(0.25, offset=[1.0, 2.0, 3.0])(number)]
    parts = [layers.Rescaling(1.0)(part) for part in parts]
    out = layers.Dense(3)(layers.Concatenate()(parts))
    model = keras.Model([place, code, number], [out, text(place)] + parts)
    keep("categories", model, [np.array([["Rome"], ["Oslo"], ["Paris"], ["\u4eac\u90fd"]],
                                        dtype=object),
                               np.array([[7, 12], [0, 5], [99, -3], [2**40, 1]]),
                               np.array([[-3, -1.0, 0.25], [0.5, 2.0, 9.0], [0.0, -0.5, 1.0],
                                         [7.0, 1.5, -2.0]], dtype="float32")])


def slicing():
    """Parts of symbolic tensors: indices, slices, an ellipsis, new axes, operations on them."""
    x = keras.Input((5, 4, 3), name="x")
    steps = keras.Input((None, 3), name="steps")
    last = steps[:, -1]
    hidden = keras.layers.Dense(4, activation="tanh")(x[:, 0, :, 1:])
    outputs = [x[:, 1:4:2, -1], x[..., ::-1], x[:, -2:, 3], x[:, None, 2, 1:], x[:, 4:1:-1, ..., 0],
               last, steps[:, :2] * 2.0, hidden[..., 0] + hidden[:, :, 1],
               keras.layers.Dense(2)(last)]
    model = keras.Model([x, steps], outputs)
    keep("slicing", model, [np.sin(np.arange(120, dtype="float32")).reshape(2, 5, 4, 3),
                            np.cos(np.arange(42, dtype="float32")).reshape(2, 7, 3)])


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    os.makedirs(HERE, exist_ok=True)
    functional()
    sequential()
    table()
    attention()
    recurrent()
    convolution()
    augmentation()
    sound()
    normalization()
    activation()
    reshaping()
    categories()
    slicing()
