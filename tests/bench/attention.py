#!/usr/bin/env python3
"""Attention against PyTorch's scaled_dot_product_attention and TensorFlow, in turns in one run.

attention.py BENCH_ATTENTION [ROUNDS]: the program that bench_attention.c gives. Peers that are not
installed are left out.
"""

import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
LENGTHS = (128, 512, 2048)


class Own:
    name = "klayers"

    def __init__(self, program):
        self.pipe = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)

    def run(self, length, causal, backward, threads, repetitions):
        print(length, int(causal), int(backward), threads, repetitions, file=self.pipe.stdin,
              flush=True)
        return float(self.pipe.stdout.readline())


def least(call, repetitions):
    best = 1e30
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


class Torch:
    name = "PyTorch"

    def __init__(self):
        import torch
        self.torch = torch

    def run(self, length, causal, backward, threads, repetitions):
        torch = self.torch
        torch.set_num_threads(threads)
        q, k, v = (torch.randn(1, 8, length, 64, requires_grad=backward) for _ in range(3))
        dy = torch.randn(1, 8, length, 64)
        attend = torch.nn.functional.scaled_dot_product_attention

        def forward():
            with torch.no_grad():
                attend(q, k, v, is_causal=causal)

        def both():
            torch.autograd.grad(attend(q, k, v, is_causal=causal), (q, k, v), dy)

        return least(both if backward else forward, repetitions)


class TensorFlow:
    name = "TensorFlow"

    def __init__(self, threads):
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.tf = tf

    def run(self, length, causal, backward, threads, repetitions):
        tf = self.tf
        q, k, v, dy = (tf.random.normal((1, 8, length, 64)) for _ in range(4))
        hidden = tf.where(tf.linalg.band_part(tf.ones((length, length), tf.bool), -1, 0), 0., -1e9)

        @tf.function(jit_compile=False)
        def attend(q, k, v):
            scores = tf.matmul(q, k, transpose_b=True) * 0.125
            return tf.matmul(tf.nn.softmax(scores + hidden if causal else scores), v)

        @tf.function(jit_compile=False)
        def both(q, k, v):
            with tf.GradientTape() as tape:
                tape.watch((q, k, v))
                y = attend(q, k, v)
            return tape.gradient(y, (q, k, v), dy)

        return least(lambda: (both if backward else attend)(q, k, v), repetitions)


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    threads = int(os.environ.get("THREADS", "1"))
    sides = [Own(program)]
    for make in (Torch, lambda: TensorFlow(threads)):
        try:
            sides.append(make())
        except ImportError:
            pass
    print(f"microseconds, {threads} thread(s), least of {rounds} rounds in turns")
    print(f"{'':28}" + "".join(f"{s.name:>12}" for s in sides))
    for length in LENGTHS:
        for backward in (False, True):
            for causal in (False, True):
                best = [1e30] * len(sides)
                repetitions = max(2, 2048 // length)
                for _ in range(rounds):
                    for i, side in enumerate(sides):
                        best[i] = min(best[i], side.run(length, causal, backward, threads,
                                                        repetitions))
                name = f"{length} {'causal ' if causal else ''}{'both' if backward else 'forward'}"
                print(f"{name:28}" + "".join(f"{b:12.0f}" for b in best), flush=True)


if __name__ == "__main__":
    main()
