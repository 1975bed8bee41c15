"""Images a second of the input pipeline alone, beside Keras' own, and beside the extractors that it has to feed.

Every side is gone through in turn in one process, and ratios are taken turn by turn. The files are cut-outs of two
photographs that come with scikit-learn, 500 x 375 pixels, JPEG, as in ImageNet. Run from the repository's root:
`python benchmarks/input_pipeline.py`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

import tlkeras

IMAGES, BATCH, ROUNDS = 512, 32, 5


def write_photos(root):
    rng = np.random.default_rng(0)
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    for index in range(IMAGES):
        left, top = rng.integers(0, 140), rng.integers(0, 52)
        folder = root / f"class{index % 2}"
        folder.mkdir(exist_ok=True)
        photos[index % 2].crop((left, top, left + 500, top + 375)).save(folder / f"{index}.jpg", quality=90)


def extractors():
    """The default backbone by `predict`, and by ONNX Runtime where that is installed."""
    model = tlkeras.backbone("efficientnet_lite0", pooling="avg")
    pixels = np.random.default_rng(0).integers(0, 256, (128, 224, 224, 3), "uint8")
    yield "EfficientNet-Lite0, predict", lambda: len(model.predict(pixels, batch_size=BATCH, verbose=0))
    try:
        import onnxruntime
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder:
        model(pixels[:1])  # Keras exports only what was called
        model.export(f"{folder}/model.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    floats = pixels.astype("float32")
    yield (
        "EfficientNet-Lite0, ONNX Runtime",
        lambda: sum(
            len(session.run(None, {given.name: floats[start : start + BATCH]})[0]) for start in range(0, 128, BATCH)
        ),
    )


def main(root):
    write_photos(root)
    whole = tlkeras.load_images(root, test_size=0, validation_size=0).train
    in_keras = keras.utils.image_dataset_from_directory(
        root, image_size=(224, 224), batch_size=BATCH, shuffle=False, verbose=False
    )
    batches = whole.batches(BATCH)
    dataset = batches.as_dataset()
    pooling = keras.Sequential([keras.Input((224, 224, 3)), keras.layers.GlobalAveragePooling2D()])
    sides = {
        "read_images": lambda: len(whole.read()),
        "batches": lambda: sum(len(labels) for _, labels in batches),
        "batches, predict of a pooling layer": lambda: len(pooling.predict(batches, verbose=0)),
        "as_dataset, predict of a pooling layer": lambda: len(pooling.predict(dataset, verbose=0)),
        "image_dataset_from_directory": lambda: sum(len(labels) for _, labels in in_keras),
        "image_dataset_from_directory, predict": lambda: len(pooling.predict(in_keras, verbose=0)),
        **dict(extractors()),
    }
    rates = {side: [] for side in sides}
    for turn in range(ROUNDS + 1):
        for side, run in sides.items():
            start = time.perf_counter()
            count = run()
            if turn:  # the first turn warms up
                rates[side].append(count / (time.perf_counter() - start))
    for side, values in rates.items():
        print(f"{side:40} {statistics.median(values):6.0f} images/s")
    for ours in list(sides)[:4]:
        for other in list(sides)[4:]:
            ratios = [one / two for one, two in zip(rates[ours], rates[other], strict=True)]
            print(f"{ours} / {other}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
