"""What cannot be folded is kept beside its network, in one folder that holds nothing that runs code when it is read."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import keras
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from tlkeras.errors import InputError, first_line
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.utils.files import written_whole
from tlkeras.utils.validation import shown

#: Settings of the extractor that are not in its network.
_SETTINGS = ("image_size", "resize", "input", "on_error", "batch_size", "engine", "precision", "cache", "verbose")


def save_pipeline(pipeline: BaseEstimator, folder: str | os.PathLike) -> None:
    """Saves a fitted pipeline that starts with a `FeatureExtractor`, whatever classifier it ends in.

    Where `tlkeras.fold` can make one Keras model of the pipeline, that is the better way. An SVC with a kernel, trees
    or k-NN it cannot fold; those stay beside the network.

    The folder holds `network.keras`, which opens with Keras alone; `estimator.skops`, the steps after the extractor,
    which opens with skops and, unlike a pickle, runs no code when it is read; and `extractor.json`. Needs the extra
    `skops`.

    Args:
        pipeline: A fitted `sklearn.pipeline.Pipeline`: a `FeatureExtractor`, then any steps of scikit-learn.
        folder: Where to, a folder that is not there yet or is empty. It appears only when it is whole.

    Raises:
        InputError: The pipeline does not start with a `FeatureExtractor`, the folder cannot be written, or skops is not
            installed.
        sklearn.exceptions.NotFittedError: The pipeline is not fitted.

    Example:

    >>> import tempfile
    >>> import tlkeras
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> images = tlkeras.load_images("data/clipart10")
    >>> pipe = make_pipeline(tlkeras.FeatureExtractor(), KNeighborsClassifier(3))
    >>> pipe = pipe.fit(images.validation.paths, images.validation.labels)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tlkeras.save_pipeline(pipe, folder + "/saved")
    ...     again = tlkeras.load_pipeline(folder + "/saved")
    >>> bool((again.predict(images.test.paths[:9]) == pipe.predict(images.test.paths[:9])).all())
    True

    Reference: https://skops.readthedocs.io/en/stable/persistence.html
    """
    io = _skops_io()
    pipeline = getattr(pipeline, "best_estimator_", pipeline)
    if not isinstance(pipeline, Pipeline) or not isinstance(pipeline[0], FeatureExtractor) or len(pipeline) < 2:
        raise InputError(
            "save_pipeline takes a scikit-learn Pipeline that starts with a FeatureExtractor and has steps after it. "
            f"Received: {shown(pipeline)}"
        )
    check_is_fitted(pipeline[-1])
    extractor, rest = pipeline[0], pipeline[1:]
    with written_whole(folder) as part:
        extractor.build_network().save(part / "network.keras")
        io.dump(rest, part / "estimator.skops")
        settings = {name: getattr(extractor, name) for name in _SETTINGS}
        (part / "extractor.json").write_text(json.dumps(settings, indent=2, default=_plain) + "\n")


def _skops_io():
    try:
        import skops.io
    except ImportError as error:
        raise InputError(
            "save_pipeline and load_pipeline need skops, which is not installed; run: pip install skops"
        ) from error
    return skops.io


def _plain(value):
    """What JSON does not know: a size from NumPy, a path of the cache."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def load_pipeline(folder: str | os.PathLike, trusted: Sequence[str] | None = None) -> Pipeline:
    """Loads what `tlkeras.save_pipeline` saved.

    Args:
        folder: The folder.
        trusted: Names of types beyond those that skops knows to be safe, as in `skops.io.load`; the error names those
            that are missing. Trees and forests need `["sklearn.tree._tree.Tree"]`: a forged one could make scikit-learn
            read memory that is not its own, so trust it in files of your own.

    Returns:
        A fitted `sklearn.pipeline.Pipeline`, whose `FeatureExtractor` has the network itself for its backbone.

    Raises:
        InputError: The folder is not such a folder, the file holds types that are not trusted, or skops is not
            installed.

    Example: see `tlkeras.save_pipeline`.
    """
    io = _skops_io()
    folder = Path(folder)
    missing = [name for name in ("network.keras", "estimator.skops", "extractor.json") if not (folder / name).exists()]
    if missing:
        raise InputError(f"{str(folder)!r} holds no pipeline of save_pipeline: {', '.join(missing)} is missing.")
    try:
        rest = io.load(folder / "estimator.skops", trusted=trusted)
        settings = json.loads((folder / "extractor.json").read_text())
        network = keras.saving.load_model(folder / "network.keras", compile=False)
    except (BadZipFile, OSError, ValueError) as error:  # what JSON cannot read is a ValueError, too
        raise InputError(f"The pipeline in {str(folder)!r} cannot be read: {first_line(error)}") from error
    except io.exceptions.UntrustedTypesFoundException as error:
        unknown = io.get_untrusted_types(file=folder / "estimator.skops")
        raise InputError(
            f"{str(folder)!r} holds types not known to be safe; name them in trusted: {unknown}"
        ) from error
    return Pipeline([("extractor", FeatureExtractor(network, **settings)), *rest.steps])
