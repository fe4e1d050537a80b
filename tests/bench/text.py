#!/usr/bin/env python3
"""Text for bench_text, and its rows by TensorFlow.

text.py corpus FILE MEGABYTES FOLDER...   paragraphs of the text files below the folders, a line each
text.py tensorflow FILE THREADS           TextVectorization over the lines of a corpus
"""
import os
import re
import sys
import time

BATCH = 1024


def paragraphs(folders):
    seen = set()
    for folder in folders:
        for path, names, files in os.walk(folder):
            names.sort()
            for name in sorted(files):
                if not re.search(r"\.(txt|rst|md|html|py)$|^[A-Z]+(-[\d.]+)?$|^copyright$", name):
                    continue
                try:
                    with open(os.path.join(path, name), encoding="utf-8") as file:
                        text = file.read()
                except (OSError, UnicodeDecodeError):
                    continue
                if name.endswith(".html"):
                    text = re.sub(r"<[^>]*>", " ", text)
                if name.endswith(".py"):
                    text = "\n\n".join(re.findall(r'"""(.*?)"""', text, re.S))
                for paragraph in re.split(r"\n\s*\n", text):
                    line = " ".join(paragraph.split())
                    if 80 <= len(line) <= 4000 and hash(line) not in seen:
                        seen.add(hash(line))
                        yield line


def make_corpus(path, megabytes, folders):
    size = 0
    with open(path, "w", encoding="utf-8") as out:
        for line in paragraphs(folders):
            out.write(line + "\n")
            size += len(line.encode()) + 1
            if size >= megabytes * 1000000:
                break
    print(f"{path}: {size / 1e6:.1f} MB")


def run_tensorflow(path, threads):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import keras

    with open(path, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    megabytes = sum(len(line) + 1 for line in lines) / 1e6
    batches = [tf.constant(lines[i:i + BATCH]) for i in range(0, len(lines), BATCH)]

    def measure(name, call):
        start, cpu = time.perf_counter(), time.process_time()
        call()
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"{name:20} {megabytes / took:9.1f} MB/s {megabytes / cpu:9.1f} MB a second of "
              "processor time", flush=True)

    def over_all(layer):
        call = tf.function(layer)
        call(batches[0])
        return lambda: [call(batch) for batch in batches]

    data = tf.data.Dataset.from_tensor_slices(lines).batch(BATCH)
    layer = keras.layers.TextVectorization(max_tokens=20000)
    measure("adapt", lambda: layer.adapt(data))
    words = layer.get_vocabulary()
    measure("int", over_all(layer))
    fixed = keras.layers.TextVectorization(max_tokens=20000, output_sequence_length=128,
                                           vocabulary=words)
    measure("int_128", over_all(fixed))
    few = keras.layers.TextVectorization(max_tokens=1000, output_mode="multi_hot",
                                         vocabulary=words[2:1001])
    measure("multi_hot_1000", over_all(few))
    pairs = keras.layers.TextVectorization(max_tokens=20000, ngrams=2)
    measure("adapt_bigrams", lambda: pairs.adapt(data))
    measure("int_bigrams", over_all(pairs))


if __name__ == "__main__":
    if len(sys.argv) > 4 and sys.argv[1] == "corpus":
        make_corpus(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    elif len(sys.argv) == 4 and sys.argv[1] == "tensorflow":
        run_tensorflow(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(__doc__)
