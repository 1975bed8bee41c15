"""Images a second that reach `predict`: `load_images(...).batches` beside Keras' `image_dataset_from_directory`, and
beside what the default backbone can take.

The network is one pooling layer, so what is measured is reading, resizing and handing over. The files are cut-outs
of two photographs that come with scikit-learn, 500 x 375 pixels, JPEG. Run from the repository's root:
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

IMAGES, ROUNDS = 768, 5


def write_photos(root):
    rng = np.random.default_rng(0)
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    for index in range(IMAGES):
        left, top = rng.integers(0, 140), rng.integers(0, 52)
        folder = root / f"class{index % 2}"
        folder.mkdir(exist_ok=True)
        photos[index % 2].crop((left, top, left + 500, top + 375)).save(folder / f"{index}.jpg", quality=90)


with tempfile.TemporaryDirectory() as name:
    write_photos(Path(name))
    model = keras.Sequential([keras.Input((224, 224, 3)), keras.layers.GlobalAveragePooling2D()])
    keras_pipeline = keras.utils.image_dataset_from_directory(
        name, image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
    )
    whole = tlkeras.load_images(name, test_size=0, validation_size=0).train
    pipelines = {"tlkeras": whole.batches(32), "Keras": keras_pipeline}
    rates = {side: [] for side in pipelines}
    for turn in range(ROUNDS + 1):
        for side, batches in pipelines.items():
            start = time.perf_counter()
            assert len(model.predict(batches, verbose=0)) == IMAGES
            if turn:  # the first turn warms up
                rates[side].append(IMAGES / (time.perf_counter() - start))

median = {side: statistics.median(values) for side, values in rates.items()}
print(", ".join(f"{side}: {rate:.0f} images/s" for side, rate in median.items()))
print(f"ratio tlkeras / Keras: {median['tlkeras'] / median['Keras']:.2f}")

extractor, images = tlkeras.backbone("efficientnet_lite0", pooling="avg"), np.zeros((128, 224, 224, 3), "uint8")
extractor.predict(images, verbose=0)
start = time.perf_counter()
extractor.predict(images, verbose=0)
rate = len(images) / (time.perf_counter() - start)
print(f"EfficientNet-Lite0 alone: {rate:.0f} images/s; ratio tlkeras / backbone: {median['tlkeras'] / rate:.1f}")
