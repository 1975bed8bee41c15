"""What a linear probe makes of the features of drawings, as they are and changed.

Accuracy and log loss of `tlkeras.linear_probe` on clipart10 in cross-validation (three times five folds,
near-duplicates kept together), and, trained on all of clipart10, on the rightly labeled unseen drawings of
`unseen_drawings.py`, which says where to get them.

Run: python benchmarks/drawn_features.py /tmp/openclipart/usr/share/openclipart/png
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import keras
import numpy as np
from PIL import Image
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from unseen_drawings import DATA, FOLDERS
from weight_mean import drawings

import tlkeras
from tlkeras.data.duplicates import fingerprint, near_duplicate_groups
from tlkeras.training.steps.batchnorm import recompute_statistics
from tlkeras.training.steps.data import as_batches


def near_duplicates_together(paths):
    """A number for each image, the same for near-duplicates."""
    return near_duplicate_groups([fingerprint(Image.open(path)) for path in paths])


def variants(root, paths, labels):
    """Names, and features of clipart10 and of the unseen drawings."""
    base = tlkeras.backbone("efficientnet_lite0")
    network = keras.Model(base.inputs[0], keras.layers.GlobalAveragePooling2D()(base.output))

    def features(images):
        return [network.predict(part, batch_size=32, verbose=0) for part in images]

    images = [tlkeras.read_images(paths), drawings(root)[0]]
    plain = features(images)
    yield "as they are", plain
    mirrored = features([part[:, :, ::-1] for part in images])
    yield "mean with mirrored", [(one + other) / 2 for one, other in zip(plain, mirrored, strict=True)]
    yield "padded", features([tlkeras.read_images(paths, resize="pad"), drawings(root, "pad")[0]])
    roots = [np.sqrt(part.clip(0)) for part in plain]
    yield "square roots", roots
    yield "square roots, length 1", [part / np.linalg.norm(part, axis=1, keepdims=True) for part in roots]
    before = network.get_weights()
    network.trainable = True
    recompute_statistics(network, as_batches((images[0], labels), 32))
    drawn = network.get_weights()
    for share in (0.1, 0.4, 1.0):
        network.set_weights([(1 - share) * one + share * other for one, other in zip(before, drawn, strict=True)])
        yield f"BatchNorm moved by {share}", features(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the package's PNG files")
    root = parser.parse_args().root
    paths = sorted(DATA.glob("*/*.jpg"))
    labels = np.array([sorted(FOLDERS).index(path.parent.name) for path in paths])
    groups, unseen_labels = near_duplicates_together(paths), drawings(root)[1]
    print("features                 accuracy  log loss  unseen: accuracy  log loss", flush=True)
    for name, (known, unseen) in variants(root, paths, labels):
        scores = []
        for seed in range(3):
            folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
            for train, test in folds.split(known, labels, groups):
                probe = tlkeras.linear_probe(known[train], labels[train], seed=seed)
                scores.append(measured(probe, known[test], labels[test]))
        held_out = np.mean(scores, axis=0)
        new = measured(tlkeras.linear_probe(known, labels), unseen, unseen_labels)
        print(f"{name:24} {held_out[0]:8.3f} {held_out[1]:9.2f} {new[0]:17.3f} {new[1]:9.2f}", flush=True)


def measured(probe, features, labels):
    """Accuracy and log loss."""
    return probe.score(features, labels), log_loss(labels, probe.predict_proba(features), labels=probe.classes_)


if __name__ == "__main__":
    main()
