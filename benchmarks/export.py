"""Exported files beside Keras: answers, accuracy, size and time, by format and quantization.

    python benchmarks/export.py                                  # clipart10's run in LiteRT
    python benchmarks/export.py --data data/clipart10 FOLDER --formats litert onnx openvino saved_model
    python benchmarks/export.py --networks                       # other networks, random weights: agreement of features

Runs are trained with `refit=False`, so that two fifths of the images are held out. Networks have random weights (but
for EfficientNet-Lite) and see smooth noise. Their features are compared: "same answer" is the share of images with the
same largest feature. Times alternate between the files of a format in one process. `--quick` takes fewer images and
one network.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tlkeras
from tlkeras.exporters.comparing import compare_exports
from tlkeras.exporters.options import MODEL_FILES
from tlkeras.exporters.processor import has_int8_dot_products

#: Networks beside EfficientNet-Lite0, by the name of the catalog.
NETWORKS = (
    "efficientnet_lite1",
    "efficientnet_lite2",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "resnet50",
    "efficientnet_v2_b0",
    "convnext_tiny",
    "tiny_vit",
)


def tiny_vit(side=96, patch=16, width=64, depth=3):
    """Build a small vision transformer with random weights."""
    import keras

    layers = keras.layers
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(width, patch, strides=patch)(layers.Rescaling(1 / 127.5, -1.0)(inputs))
    x = layers.Reshape(((side // patch) ** 2, width))(x)
    for _ in range(depth):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, width // 4)(y, y)])
        y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(width)(y)])
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))


def network(name):
    """Build a network from pixels to features, with random weights but for EfficientNet-Lite."""
    import keras

    if name == "tiny_vit":
        return tiny_vit()
    backbone = tlkeras.backbone(name, weights="imagenet" if "lite" in name else None)
    pooled = backbone.outputs[0]
    if len(pooled.shape) == 4:
        pooled = keras.layers.GlobalAveragePooling2D()(pooled)
    return keras.Model(backbone.inputs, pooled)


def smooth_noise(count, shape):
    """Draw images of smooth noise, which excite a network more evenly than white noise does."""
    from PIL import Image

    random = np.random.default_rng(0)
    small = random.integers(0, 256, (count, 12, 12, 3), "uint8")
    size = shape[1], shape[0]
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in small])


def report(title, rows):
    """Print a table, with sizes and times relative to float32 in LiteRT."""
    print(f"\n{title}\n{rows}", flush=True)
    plain = next((row for row in rows if row["quantization"] == "none" and "refused" not in row), None)
    for row in rows:
        if plain is not None and "refused" not in row and row is not plain and row["format"] == plain["format"]:
            size, time = row["bytes"] / plain["bytes"], row["ms_1"] / plain["ms_1"]
            print(f"  {row['quantization']}: {size:.2f} of the size, {time:.2f} of the time", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["data/clipart10"], help="folders with a folder per class")
    parser.add_argument("--formats", nargs="+", default=["litert"], choices=list(MODEL_FILES))
    parser.add_argument("--networks", nargs="*", help="networks instead of runs; without names, all")
    parser.add_argument("--run", nargs="+", help="folders of runs instead of training them")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(f"8-bit dot products: {'yes' if has_int8_dot_products() else 'no'}")
    seconds = 0.3 if arguments.quick else 1.0
    if arguments.networks is not None:
        for name in arguments.networks or (NETWORKS[-1:] if arguments.quick else NETWORKS):
            model = network(name)
            pixels = smooth_noise(24 if arguments.quick else 64, model.input_shape[1:3])
            rows = compare_exports(model, arguments.formats, images=pixels, seconds=seconds)
            report(f"{name}, {model.count_params() / 1e6:.1f} million parameters, {model.input_shape[1]} pixels", rows)
        return
    for data in arguments.run or arguments.data:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.run is None:
                tlkeras.fit(data, Path(folder, "run"), refit=False, verbose=False)
            run = data if arguments.run else Path(folder, "run")
            report(data, compare_exports(run, arguments.formats, seconds=seconds))


if __name__ == "__main__":
    main()
