"""CPU seconds of a training step of all layers, and of ways to make it cheaper.

EfficientNet-Lite0, 16 images of 224 x 224, BatchNorm frozen. CPU time of the process and not the clock, so that other
work on the machine disturbs little; divided by the cores it is the least that the clock can show. Ways:

- `plain`: the model as it is, twice, for how far the measurement can be trusted;
- `bfloat16`: under the policy `mixed_bfloat16`;
- `batch4`, `batch8`, `batch32` or another number: so many images a step; seconds are those of 16 images all the same;
- `matmul` (TensorFlow): 1x1 convolutions as matrix products;
- `depthwise` (TensorFlow): filter gradients of 5x5 depthwise convolutions as matrix products of rows, one a channel,
  whose diagonals are summed.

Run: python benchmarks/training_step.py [WAY ...]; also with `TF_ENABLE_ONEDNN_OPTS=0`, with `KERAS_BACKEND=torch`, and
there with `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=1000000000`.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
from keras import layers

import tlkeras

TURNS = 7


def build(way):
    keras.config.set_dtype_policy("mixed_bfloat16" if way == "bfloat16" else "float32")
    model = tlkeras.unfreeze(tlkeras.image_classifier("efficientnet_lite0", classes=10), batchnorm="frozen")
    for layer in model.layers:
        if way == "matmul" and type(layer) is layers.Conv2D and (layer.kernel_size, layer.strides) == ((1, 1), (1, 1)):
            layer.call = as_matrix_product(layer)
        elif way == "depthwise" and is_wide_depthwise(layer):
            layer.call = with_filter_gradient_of_rows(layer)
    model.compile(keras.optimizers.SGD(1e-6), "sparse_categorical_crossentropy")
    return model


def is_wide_depthwise(layer):
    wanted = ((5, 5), (1, 1), "same")
    return type(layer) is layers.DepthwiseConv2D and (layer.kernel_size, layer.strides, layer.padding) == wanted


def as_matrix_product(layer):
    import tensorflow as tf

    def call(x):
        shape, (*_, inputs, outputs) = tf.shape(x), layer.kernel.shape
        product = tf.matmul(tf.reshape(x, [-1, inputs]), tf.reshape(layer.kernel.value, [inputs, outputs]))
        product = tf.reshape(product, [*tf.unstack(shape[:3]), outputs])
        return layer.activation(product + layer.bias.value if layer.use_bias else product)

    return call


def with_filter_gradient_of_rows(layer):
    import tensorflow as tf

    size = layer.kernel_size[0]
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    @tf.custom_gradient
    def convolution(x, kernel):
        def gradient(upstream):
            by_input = tf.compat.v1.nn.depthwise_conv2d_native_backprop_input(tf.shape(x), kernel, upstream, **options)
            return by_input, by_filter(x, upstream)

        return tf.nn.depthwise_conv2d(x, kernel, **options), gradient

    def by_filter(x, upstream):
        count, (height, width, channels) = tf.shape(x)[0], x.shape[1:]
        margin = size // 2
        rows = tf.transpose(tf.pad(x, [[0, 0], [margin, margin], [margin, margin], [0, 0]]), [3, 1, 0, 2])
        above = tf.reshape(tf.transpose(upstream, [3, 1, 0, 2]), [channels, height * count, width])
        products = tf.stack(
            [
                tf.matmul(
                    tf.reshape(rows[:, i : i + height], [channels, height * count, width + size - 1]),
                    above,
                    transpose_a=True,
                )
                for i in range(size)
            ]
        )
        sums = [tf.linalg.trace(products[:, :, j : j + width]) for j in range(size)]
        return tf.reshape(tf.stack(sums, axis=1), [size, size, channels, 1])

    return lambda x: convolution(x, tf.convert_to_tensor(layer.kernel.value))


def seconds(model, size):
    """Of processor time, for 16 images in batches of `size`."""
    images = np.random.default_rng(0).uniform(0, 255, (size, 224, 224, 3)).astype("float32")
    labels = np.arange(size) % 10
    start = time.process_time()
    model.train_on_batch(images, labels)
    return (time.process_time() - start) * 16 / size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ["bfloat16", "matmul", "depthwise"] if keras.backend.backend() == "tensorflow" else []
    parser.add_argument("ways", nargs="*", default=default)
    ways = ["plain", "plain again", *parser.parse_args().ways]
    models = {way: build(way) for way in ways}
    sizes = {way: int(way.removeprefix("batch")) if way.startswith("batch") else 16 for way in ways}
    turns = [{way: seconds(model, sizes[way]) for way, model in models.items()} for _ in range(1 + TURNS)]
    del turns[0]  # in which the steps are traced
    for way in ways:
        ratio = statistics.median(turn[way] / turn["plain"] for turn in turns)
        median = statistics.median(turn[way] for turn in turns)
        print(f"{keras.backend.backend()} {way:12} {median:.2f} s for 16 images, {ratio:.2f} of plain", flush=True)


if __name__ == "__main__":
    main()
