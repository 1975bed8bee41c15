"""Choose the engine that runs a network: the requested engine, or LiteRT if its features match those from Keras."""

import importlib.util
import sys

import keras
import numpy as np

from tlkeras.errors import InputError, first_line, warn
from tlkeras.features.engines.exported import ExportFolder
from tlkeras.features.engines.keras_engine import PRECISIONS, KerasEngine
from tlkeras.features.engines.litert_engine import LiteRtEngine
from tlkeras.features.engines.onnxruntime_engine import OnnxRuntimeEngine
from tlkeras.features.engines.openvino_engine import OpenVinoEngine
from tlkeras.utils.validation import check_choice, invalid

ENGINES = ("auto", "keras", "litert", "onnxruntime", "openvino")

#: Largest difference allowed between an engine's features and those of Keras, relative to the largest feature.
TOLERANCE = 1e-4

_RUNTIMES = {runtime.name: runtime for runtime in (LiteRtEngine, OnnxRuntimeEngine, OpenVinoEngine)}

#: Package to install for each runtime.
_PACKAGES = {"litert": "ai-edge-litert", "onnxruntime": "'tlkeras[onnx]'", "openvino": "'tlkeras[openvino]'"}

#: Number of images used to compare an engine with Keras.
_PROBED = 2


def check_engine(name, precision):
    """Check the names of an engine and a precision.

    Raises:
        InputError: The engine or the precision is unknown, or the engine does not support the precision.
    """
    check_choice("engine", name, ENGINES)
    check_choice("precision", precision, PRECISIONS)
    if name in _RUNTIMES and precision not in (None, "float32"):
        raise invalid(
            "precision",
            precision,
            f"be None or 'float32' with engine={name!r}",
            "Only Keras supports other precisions.",
        )


def make_engine(name, network, batch_shape, *, precision=None, folder=None, verbose=False):
    """Create the engine that runs a network.

    Args:
        name: `"keras"`, `"litert"`, `"onnxruntime"`, `"openvino"` or `"auto"`. `"auto"` chooses LiteRT on a CPU if the
            network can be written for LiteRT and LiteRT's features match those of Keras to within 1e-4 on two images,
            and Keras otherwise. The choice does not vary from run to run.
        network: Function that returns the `keras.Model`. The function is not called if an exported file is available.
        batch_shape: `(images, height, width, channels)` of the batches to expect.
        precision: Precision of the Keras engine, as in `KerasEngine`. Defaults to None.
        folder: Folder in which to keep exported files. Defaults to None, which keeps no files.
        verbose: Whether to print to stderr why `"auto"` falls back to Keras. Defaults to False.

    Returns:
        An engine: a function that maps pixels `(n, height, width, channels)` to float32 features `(n, features)`. The
        engine has a `name` and a `batch_size`. The batch size is the number of images that each core takes at a time,
        with one thread per core, or None if each call uses all cores or a GPU.

    Raises:
        InputError: The requested engine is not installed, or its features for this network differ from those of Keras.
    """
    check_engine(name, precision)
    exports = ExportFolder(folder)
    if name != "auto":
        return KerasEngine(network(), precision) if name == "keras" else _named(name, network, exports, batch_shape)
    if (known := known_choice(name, precision, folder)) == "keras":
        return _keras(network, precision, exports.remembered().get(_fact()), verbose)
    failures = []

    def built():
        try:
            return network()
        except Exception as error:
            failures.append(error)
            raise

    try:
        engine = _verified(LiteRtEngine, built, exports, batch_shape, LiteRtEngine.formats[:1])
    except Exception as error:  # the writer and the runtime raise different kinds of errors
        if error in failures:  # such as weights that cannot be downloaded: then Keras has no network to run either
            raise
        reason = first_line(error)
        if isinstance(error, _DifferenceError):
            warn(
                f"LiteRT is not used for {network().name!r}, because {reason}. Keras is slower; please report this as "
                "a bug."
            )
        exports.remember(**{_fact(): reason})
        return _keras(network, precision, reason, verbose)
    if known is None:
        exports.remember(**{_fact(): "as Keras"})
    return engine


def known_choice(name, precision, folder):
    """Return the name of the engine that `make_engine` will choose, or None if only a trial run can tell."""
    if name != "auto":
        return name
    # A GPU is faster than any runtime on the CPU.
    if precision not in (None, "float32") or has_accelerator() or importlib.util.find_spec("ai_edge_litert") is None:
        return "keras"
    outcome = ExportFolder(folder).remembered().get(_fact()) if folder else None
    return outcome and ("litert" if outcome == "as Keras" else "keras")


def has_accelerator():
    """Return whether Keras computes on a device other than the CPU."""
    if keras.backend.backend() == "torch":  # Keras lists no devices for torch
        import torch

        return torch.accelerator.is_available()
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX raises this if there is no GPU
        return False


class _DifferenceError(RuntimeError):
    """Error for a runtime whose features differ from those of Keras."""


def _keras(network, precision, reason, verbose):
    if verbose and reason:
        print(f"tlkeras: computing features with Keras instead of LiteRT: {reason}", file=sys.stderr)
    return KerasEngine(network(), precision)


def _named(name, network, exports, batch_shape):
    try:
        return _verified(_RUNTIMES[name], network, exports, batch_shape)
    except ImportError as error:
        raise InputError(
            f"`engine={name!r}` needs packages that are not installed ({error}). Run `pip install {_PACKAGES[name]}`, "
            "or use engine='auto'."
        ) from error
    except Exception as error:  # the exporters and runtimes raise different kinds of errors
        raise InputError(
            f"{name} cannot run this network with the same results as Keras: {first_line(error)}. Use engine='keras'."
        ) from error


def _verified(runtime, network, exports, batch_shape, formats=None):
    """Start a runtime and, the first time it is used for this network, compare its features with those from Keras."""
    path = _exported(formats or runtime.formats, network, exports)
    image_shape = batch_shape[1:]
    engine = runtime(path, image_shape)
    fact = f"{runtime.name} {runtime.version()} {path.name} {image_shape}"
    if not exports.remembered().get(fact):
        # Use a fixed draw, so that the remembered result is also valid for the next process.
        probe = np.random.default_rng(0).integers(0, 256, (_PROBED, *image_shape)).astype("float32")
        expected = KerasEngine(network())(probe)
        difference = np.abs(engine(probe) - expected).max() / max(np.abs(expected).max(), 1e-30)
        if not difference <= TOLERANCE:
            raise _DifferenceError(
                f"its features differ from those of Keras by up to {difference:.1e} times the largest feature value"
            )
        exports.remember(**{fact: True})
    return engine


def _exported(formats, network, exports):
    there = [exports.path(format) for format in formats if exports.path(format).is_file()]
    if there:
        return there[0]
    *others, last = formats
    for format in others:
        try:
            return exports.export(network, format)
        except Exception:  # the next format uses a different exporter
            continue
    return exports.export(network, last)


def _fact():
    """Return the key under which the result of a trial run with the installed version of LiteRT is remembered."""
    return f"auto: litert {LiteRtEngine.version()}"
