"""Adaptation on images that no setting was chosen on: from drawings to photographs, and back.

The photographs, and some drawings, are those of the Debian package `tuxpaint-stamps-default`: every PNG file below the
folders in `FOLDERS`, nine classes of clipart10, 303 images. `tlkeras.fit` learns one collection, `tlkeras.adapt` adapts
the run to the other without its labels, and the accuracy is measured with them.

Run: apt-get download tuxpaint-stamps-default && dpkg -x tuxpaint-stamps-default*.deb /tmp/stamps
     python benchmarks/adaptation_photos.py /tmp/stamps/usr/share/tuxpaint/stamps
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tlkeras

DRAWINGS = Path("data/clipart10")

FOLDERS = {
    "bird": ["animals/birds"],
    "bug": ["animals/insects"],
    "clothing": ["clothes"],
    "flower": ["plants/flowers"],
    "fruit": ["food/fruit"],
    "house": ["town/houses"],
    "mammal": ["animals/mammals"],
    "music": ["symbols/music", "hobbies/music"],
    "vehicle": ["vehicles"],
}

METHODS = {
    "not adapted": None,
    "`--no-batchnorm`": {"batchnorm": False},
    "`adapt`": {},
    "`--self-training`": {"self_training": True},
}


def collect(root, folder):
    """Link the package's images into one folder per class."""
    for name, places in FOLDERS.items():
        (folder / name).mkdir()
        for place in places:
            for path in sorted((root / place).rglob("*.png")):
                (folder / name / "_".join(path.relative_to(root).parts)).symlink_to(path.resolve())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the package's stamps")
    options = parser.parse_args()
    classes = list(FOLDERS)
    with tempfile.TemporaryDirectory() as folder:
        stamps, drawings = Path(folder, "stamps"), Path(folder, "drawings")
        stamps.mkdir()
        drawings.mkdir()
        collect(options.root, stamps)
        for name in classes:  # a folder of its own, since `adapt` takes all images of a folder
            (drawings / name).symlink_to((DRAWINGS / name).resolve(), target_is_directory=True)
        print(f"| from, to | {' | '.join(METHODS)} |\n|---|{'---|' * len(METHODS)}")
        for source, target in ((drawings, stamps), (stamps, drawings)):
            run = tlkeras.fit(source, output=Path(folder, f"run of {source.name}"), verbose=False)
            cells = []
            for method in METHODS.values():
                adapted = run if method is None else tlkeras.adapt(run, target, **method)
                scores = adapted.evaluate(target)["scores"]
                cells.append(f"{scores['accuracy']:.3f} ± {scores['standard_error']:.3f}")
            print(f"| {source.name}, {target.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
