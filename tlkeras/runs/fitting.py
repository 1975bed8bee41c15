"""The main job end to end: a folder of images becomes a run."""

import platform
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import keras

from tlkeras._version import __version__
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError
from tlkeras.evaluation.confusion import confusion_figure
from tlkeras.runs.folder import Run, write_report, written_run
from tlkeras.runs.measuring import digest, measure
from tlkeras.selection.strategies import train_auto, train_by_fine_tuning, train_on_features

PARTS = ("train", "validation", "test")
STRATEGIES = {"features": train_on_features, "finetune": train_by_fine_tuning, "auto": train_auto}


def fit_folder(
    directory,
    output,
    *,
    backbone="efficientnet_lite0",
    strategy="features",
    epochs=4,
    domain=None,
    image_size=(224, 224),
    resize="stretch",
    seed=0,
    strict=False,
    overwrite=False,
    verbose=False,
):
    """Trains a classifier on a folder of images, measures it on images it has not seen, and writes the run.

    Args:
        directory: Folder with a sub-folder of images for each class.
        output: Folder to write; see `tlkeras.runs.folder`.
        backbone: Name of the backbone.
        strategy: `"features"`, `"finetune"` or `"auto"`; see `tlkeras.selection.strategies`.
        epochs: Epochs of fine-tuning.
        domain: What the images are, for augmentation in fine-tuning; `None` for none.
        image_size: `(height, width)` in pixels.
        resize: How images are brought to that size, as in `tlkeras.read_image`.
        seed: Of the splits and of all that is random; one seed on one machine gives one result.
        strict: Whether a file that cannot be read is an error.
        overwrite: Whether a run that is there is replaced.
        verbose: Whether to show progress on stderr.

    Returns:
        What `metrics.json` holds, a dict.

    Raises:
        InputError: The images or the output folder cannot be used.
    """
    if Path(directory).exists() and not Path(directory).is_dir():
        raise InputError(f"{str(directory)!r} is not a directory; fit takes a folder with a sub-folder for each class.")
    start = perf_counter()
    keras.utils.set_random_seed(seed)
    images = load_images(directory, seed=seed, image_size=image_size, resize=resize, strict=strict)
    data = {
        "directory": str(directory),
        "skipped": [asdict(one) for one in images.skipped],
        # Each file with a digest of its content, by which `evaluate` knows images of the training again.
        "splits": {
            part: {Path(path).relative_to(directory).as_posix(): digest(path) for path in getattr(images, part).paths}
            for part in PARTS
        },
    }
    loaded = perf_counter()
    tuning = {} if strategy == "features" else {"epochs": epochs, "domain": domain}
    trained = STRATEGIES[strategy](images, backbone, seed=seed, verbose=verbose, **tuning)
    run = Run(trained.model, images.class_names, tuple(image_size), resize)
    ready = perf_counter()
    with written_run(output, run, overwrite) as folder:
        majority = images.class_names[Counter(images.train.labels.tolist()).most_common(1)[0][0]]
        test, validation = (measure(run, part, majority, verbose=verbose) for part in (images.test, images.validation))
        seconds = {"load": loaded - start, **trained.seconds, "measure": perf_counter() - ready}
        metrics = {
            "test": test.to_dict(),
            "validation": validation.to_dict(),
            "backbone": backbone,
            "strategy": strategy,
            **tuning,
            "choices": trained.choices,
            "image_size": list(image_size),
            "resize": resize,
            "seed": seed,
            "data": data,
            "versions": _versions(),
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }
        write_report(folder, metrics, confusion_figure(test))
    return metrics


def _versions():
    backend = keras.backend.backend()
    packages = ("keras", backend, "numpy", "scikit-learn", "pillow")
    return {
        "tlkeras": __version__,
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in packages},
    }
