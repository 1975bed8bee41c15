"""Which engine runs a network: the one asked for, or LiteRT where it gives Keras' own answers."""

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

#: How far an engine's features may lie from Keras', relative to the largest.
TOLERANCE = 1e-4

_RUNTIMES = {runtime.name: runtime for runtime in (LiteRtEngine, OnnxRuntimeEngine, OpenVinoEngine)}

#: What to install for each runtime.
_PACKAGES = {"litert": "ai-edge-litert", "onnxruntime": "'tlkeras[onnx]'", "openvino": "'tlkeras[openvino]'"}

#: Images that an engine is compared with Keras on.
_PROBED = 2


def check_engine(name, precision):
    """Check the names of an engine and a precision.

    Raises:
        InputError: One of the two is not among the choices, or the engine does not compute in that precision.
    """
    check_choice("engine", name, ENGINES)
    check_choice("precision", precision, PRECISIONS)
    if name in _RUNTIMES and precision not in (None, "float32"):
        raise invalid(
            "precision", precision, f"be None or 'float32' with engine={name!r}", "Only Keras supports others."
        )


def make_engine(name, network, batch_shape, *, precision=None, folder=None, verbose=False):
    """Make the engine that runs a network.

    Args:
        name: `"keras"`, `"litert"`, `"onnxruntime"`, `"openvino"`; or `"auto"` for LiteRT where the network can be
            written for it and its features equal Keras' to 1e-4 on two images, and Keras otherwise and on a GPU. The
            choice depends on nothing that varies from run to run.
        network: Function that returns the `keras.Model`; not called where an exported form of it is at hand.
        batch_shape: `(images, height, width, channels)` of the batches that will come.
        precision: Precision of the Keras engine; see there.
        folder: Folder where exported forms are kept; None to keep none.
        verbose: Whether to say on stderr why `"auto"` falls back to Keras.

    Returns:
        An engine: a function from pixels `(n, height, width, channels)` to float32 features `(n, features)`. It has a
        `name` and a `batch_size`: the images to give to a core at a time, from a thread for each core; or None where
        one call takes all cores, or a GPU.

    Raises:
        InputError: The engine asked for is not installed, or cannot run this network as Keras does.
    """
    check_engine(name, precision)
    exports = ExportFolder(folder)
    if name != "auto":
        return KerasEngine(network(), precision) if name == "keras" else _named(name, network, exports, batch_shape)
    if (known := known_choice(name, precision, folder)) == "keras":
        return _keras(network, precision, exports.remembered().get(_fact()), verbose)
    try:
        engine = _verified(LiteRtEngine, network, exports, batch_shape, LiteRtEngine.formats[:1])
    except Exception as error:  # the writer and the runtime each have errors of their own
        reason = first_line(error)
        if isinstance(error, _DifferenceError):
            warn(f"LiteRT is not used for {network().name!r}, since {reason}. This is slower, and worth a bug report.")
        exports.remember(**{_fact(): reason})
        return _keras(network, precision, reason, verbose)
    if known is None:
        exports.remember(**{_fact(): "as Keras"})
    return engine


def known_choice(name, precision, folder):
    """Return the name of the engine that `make_engine` will choose, or None if only a trial can tell."""
    if name != "auto":
        return name
    # A GPU is faster than any runtime on the CPU.
    if precision not in (None, "float32") or has_accelerator() or importlib.util.find_spec("ai_edge_litert") is None:
        return "keras"
    outcome = ExportFolder(folder).remembered().get(_fact()) if folder else None
    return outcome and ("litert" if outcome == "as Keras" else "keras")


def has_accelerator():
    """Return whether Keras computes on a device other than the CPU."""
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        import torch

        return torch.accelerator.is_available()
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX's way of saying no
        return False


class _DifferenceError(RuntimeError):
    """Raised for a runtime whose outputs differ from those of Keras."""


def _keras(network, precision, reason, verbose):
    if verbose and reason:
        print(f"tlkeras: computing features by Keras rather than LiteRT: {reason}", file=sys.stderr)
    return KerasEngine(network(), precision)


def _named(name, network, exports, batch_shape):
    try:
        return _verified(_RUNTIMES[name], network, exports, batch_shape)
    except ImportError as error:
        raise InputError(
            f"`engine={name!r}` needs packages that are not installed ({error}). Run: pip install {_PACKAGES[name]}. "
            "Or keep engine='auto'."
        ) from error
    except Exception as error:  # the exporters and runtimes each have errors of their own
        raise InputError(
            f"{name} cannot run this network as Keras does: {first_line(error)}. Use engine='keras'."
        ) from error


def _verified(runtime, network, exports, batch_shape, formats=None):
    """Start a runtime; the first time its answers are compared with those of Keras."""
    path = _exported(formats or runtime.formats, network, exports)
    image_shape = batch_shape[1:]
    engine = runtime(path, image_shape)
    fact = f"{runtime.name} {runtime.version()} {path.name} {image_shape}"
    if not exports.remembered().get(fact):
        # A fixed draw, so that what is remembered of it holds for the next process.
        probe = np.random.default_rng(0).integers(0, 256, (_PROBED, *image_shape)).astype("float32")
        expected = KerasEngine(network())(probe)
        difference = np.abs(engine(probe) - expected).max() / max(np.abs(expected).max(), 1e-30)
        if not difference <= TOLERANCE:
            raise _DifferenceError(f"its features differ from those of Keras by {difference:.1e} of the largest one")
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
        except Exception:  # the next format has another exporter
            continue
    return exports.export(network, last)


def _fact():
    """Name what is remembered of a network: whether this version of LiteRT runs it as Keras does."""
    return f"auto: litert {LiteRtEngine.version()}"
