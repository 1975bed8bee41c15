"""Save pipelines that cannot be folded, together with their networks, in folders that are safe to load."""

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

#: Settings of the extractor that its network does not contain.
_SETTINGS = ("image_size", "resize", "input", "on_error", "batch_size", "engine", "precision", "cache", "verbose")


def save_pipeline(pipeline: BaseEstimator, folder: str | os.PathLike) -> None:
    """Save a fitted pipeline that starts with a `FeatureExtractor`, whatever its final estimator is.

    Prefer `tlkeras.fold` if it can convert the pipeline to one Keras model. `fold` does not support `SVC`, trees, k-NN
    or regressors; this function saves such an estimator together with the network.

    The folder contains `network.keras`, which Keras alone can load; `estimator.skops`, which contains the steps after
    the extractor and, unlike a pickle, runs no code when skops loads it; and `extractor.json`. This function needs the
    `skops` extra.

    Args:
        pipeline: A fitted `sklearn.pipeline.Pipeline`: a `FeatureExtractor`, then any scikit-learn steps.
        folder: Output folder, which must be empty or not exist yet. It appears only when it is complete.

    Raises:
        InputError: The pipeline does not start with a `FeatureExtractor`, the folder is not writable, or skops is not
            installed.
        sklearn.exceptions.NotFittedError: The pipeline is not fitted.

    Example:

    >>> import tempfile
    >>> import keras, tlkeras
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> images = tlkeras.load_images("data/clipart10", per_class=5)
    >>> network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    >>> pipe = make_pipeline(tlkeras.FeatureExtractor(network), KNeighborsClassifier(3))
    >>> pipe = pipe.fit(images.validation.paths, images.validation.labels)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tlkeras.save_pipeline(pipe, folder + "/saved")
    ...     again = tlkeras.load_pipeline(folder + "/saved")
    >>> bool((again.predict(images.test.paths[:3]) == pipe.predict(images.test.paths[:3])).all())
    True

    Reference: https://skops.readthedocs.io/en/stable/persistence.html
    """
    io = _skops_io()
    pipeline = getattr(pipeline, "best_estimator_", pipeline)
    if not isinstance(pipeline, Pipeline) or not isinstance(pipeline[0], FeatureExtractor) or len(pipeline) < 2:
        raise InputError(
            "`pipeline` must be a scikit-learn Pipeline that starts with a FeatureExtractor and has steps after it. "
            f"Received: {shown(pipeline)}."
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
            "`save_pipeline` and `load_pipeline` need skops, which is not installed. Run: pip install 'tlkeras[skops]'"
        ) from error
    return skops.io


def _plain(value):
    """Convert values that JSON does not support, such as NumPy numbers or the path of a cache."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def load_pipeline(folder: str | os.PathLike, trusted: Sequence[str] | None = None) -> Pipeline:
    """Load a pipeline saved by `tlkeras.save_pipeline`.

    Args:
        folder: Folder written by `save_pipeline`.
        trusted: Names of types to trust in addition to those that skops considers safe, as in `skops.io.load`. If this
            list lacks a type that a file contains, the error names that type. Trees and forests need
            `["sklearn.tree._tree.Tree"]`: a tree that was tampered with could make scikit-learn read memory out of
            bounds, so trust this type only in your own files. Defaults to None.

    Returns:
        A fitted `sklearn.pipeline.Pipeline`, whose `FeatureExtractor` has the saved network as its backbone.

    Raises:
        InputError: The folder contains no saved pipeline, a file contains types that are not trusted, or skops is not
            installed.

    Example: see `tlkeras.save_pipeline`.
    """
    io = _skops_io()
    folder = Path(folder)
    missing = [name for name in ("network.keras", "estimator.skops", "extractor.json") if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"`folder` must contain a pipeline saved by `save_pipeline`. Received: {str(folder)!r}, which "
            f"lacks {', '.join(missing)}."
        )
    try:
        rest = io.load(folder / "estimator.skops", trusted=trusted)
        settings = json.loads((folder / "extractor.json").read_text())
        network = keras.saving.load_model(folder / "network.keras", compile=False)
    except (BadZipFile, OSError, ValueError) as error:  # invalid JSON raises ValueError, too
        raise InputError(f"The pipeline in {str(folder)!r} cannot be read: {first_line(error)}") from error
    except io.exceptions.UntrustedTypesFoundException as error:
        unknown = io.get_untrusted_types(file=folder / "estimator.skops")
        raise InputError(
            f"The pipeline in {str(folder)!r} contains types that skops does not consider safe. If you trust the file, "
            f"pass trusted={unknown}."
        ) from error
    return Pipeline([("extractor", FeatureExtractor(network, **settings)), *rest.steps])
