#!/usr/bin/env python3
"""The rows of bench_image by a peer: image.py tensorflow|torch THREADS"""
import math
import os
import sys
import time

peer, threads = sys.argv[1], int(sys.argv[2])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np  # noqa: E402


def measure(name, call, times):
    least = 1e30
    for i in range(times + 2):
        start = time.perf_counter()
        call()
        took = time.perf_counter() - start
        if i >= 2:
            least = min(least, took)
    print(f"{name:28} {least * 1e3:9.3f} ms", flush=True)


rng = np.random.default_rng(1)
hd = rng.uniform(0, 255, (1, 1080, 1920, 3)).astype("float32")
small = rng.uniform(0, 255, (128, 32, 32, 3)).astype("float32")
batch = rng.uniform(0, 255, (128, 224, 224, 3)).astype("float32")
N = 3

if peer == "tensorflow":
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras
    L = keras.layers

    def row(name, layer, x, times):
        x = tf.constant(x)
        call = tf.function(lambda t: layer(t, training=True))
        layer(x[:1], training=True)
        measure(name, lambda: call(x).numpy if False else tf.identity(call(x)), times)

    row("resize_1080_224", L.Resizing(224, 224), hd, 10)
    row("resize_1080_224_uint8", L.Resizing(224, 224), hd.astype("uint8"), 10)
    row("resize_1080_224_antialias", L.Resizing(224, 224, antialias=True), hd, 10)
    row("resize_32_64", L.Resizing(64, 64), small, 10)
    row("flip", L.RandomFlip(), batch, N)
    row("translation", L.RandomTranslation(0.2, 0.2), batch, N)
    row("rotation", L.RandomRotation(0.2), batch, N)
    row("zoom", L.RandomZoom(0.2), batch, N)
    row("shear", L.RandomShear(0.2, 0.2), batch, N)
    row("perspective", L.RandomPerspective((1.0, 1.0)), batch, N)
    row("crop", L.RandomCrop(200, 200), batch, N)
    row("mel_hour", L.MelSpectrogram(), rng.uniform(-1, 1, (1, 57600000)).astype("float32"), 1)
else:
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(threads)

    def channels_last(x):
        return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(
            memory_format=torch.channels_last)

    with torch.inference_mode():
        x, s, b = channels_last(hd), channels_last(small), channels_last(batch)
        byte = x.to(torch.uint8)
        measure("resize_1080_224", lambda: F.interpolate(x, (224, 224), mode="bilinear"), 10)
        measure("resize_1080_224_uint8",
                lambda: F.interpolate(byte, (224, 224), mode="bilinear"), 10)
        measure("resize_1080_224_antialias",
                lambda: F.interpolate(x, (224, 224), mode="bilinear", antialias=True), 10)
        measure("resize_32_64", lambda: F.interpolate(s, (64, 64), mode="bilinear"), 10)
        measure("flip", lambda: torch.flip(b, (2, 3)), N)
        angle = torch.rand(128) * 2 * math.pi * 0.2
        maps = torch.stack([torch.cos(angle), -torch.sin(angle), angle * 0, torch.sin(angle),
                            torch.cos(angle), angle * 0], 1).reshape(128, 2, 3)
        measure("rotation", lambda: F.grid_sample(
            b, F.affine_grid(maps, b.shape, align_corners=False), padding_mode="reflection",
            align_corners=False), N)
        sound = torch.rand(57600000) * 2 - 1
        window, mel = torch.hann_window(2048), torch.rand(1025, 128)

        def spectrogram():
            spec = torch.stft(sound, 2048, 512, window=window, return_complex=True)
            power = spec.abs().square().T @ mel
            return torch.maximum(db := 10 * torch.log10(power.clamp(min=1e-10)), db.max() - 80)
        measure("mel_hour", spectrogram, 1)
