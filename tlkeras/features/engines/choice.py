"""Which engine runs a network: the one asked for, or the fastest that gives Keras' own answers."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.features.engines.exported import ExportFolder
from tlkeras.features.engines.keras_engine import PRECISIONS, KerasEngine
from tlkeras.features.engines.onnxruntime_engine import OnnxRuntimeEngine
from tlkeras.features.engines.openvino_engine import OpenVinoEngine

ENGINES = ("auto", "keras", "onnxruntime", "openvino")

#: How far an engine's features may lie from Keras', relative to the largest.
TOLERANCE = 1e-3

#: Exporting a network takes as long as Keras needs for some hundreds of images, so fewer are left to Keras.
WORTH_EXPORTING = 500

_RUNTIMES = {runtime.name: runtime for runtime in (OnnxRuntimeEngine, OpenVinoEngine)}


def check_engine(name, precision):
    """Refuses an engine or a precision that there is not.

    Raises:
        InputError: One of the two is not among the choices, or the engine does not compute in that precision.
    """
    if name not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(map(repr, ENGINES))}. Received: engine={name!r}")
    if precision not in PRECISIONS:
        raise InputError(
            f"precision must be None, 'float32', 'bfloat16' or 'float16'. Received: precision={precision!r}"
        )
    if name in _RUNTIMES and precision not in (None, "float32"):
        raise InputError(f"precision={precision!r} is for engine='keras'; {name} computes in float32 here.")


def make_engine(name, network, batch_shape, *, precision=None, folder=None, images=None):
    """Makes the engine that runs a network.

    Args:
        name: `"keras"`, `"onnxruntime"`, `"openvino"`; or `"auto"` for the fastest of those installed whose features
            equal Keras' to 1e-3 on a probe batch.
        network: Function that gives the `keras.Model`; not called where an exported form of it is at hand.
        batch_shape: `(images, height, width, channels)` of the batches that will come.
        precision: Of the Keras engine; see there.
        folder: Where exported forms are kept; None to keep none.
        images: How many images are to be run, as far as is known; `"auto"` exports nothing for a few.

    Returns:
        An engine: a function from pixels `(n, height, width, channels)` to float32 features `(n, features)`. It has a
        `name` and a `batch_size`: the images to give to a core at a time, from a thread for each core; or None where
        one call takes all cores, or a GPU.

    Raises:
        InputError: The engine asked for is not installed, or cannot run this network as Keras does.
    """
    check_engine(name, precision)
    # A GPU is faster than any runtime on the CPU.
    if name == "keras" or precision not in (None, "float32") or (name == "auto" and _has_accelerator()):
        return KerasEngine(network(), precision)
    exports = ExportFolder(folder)
    # A fixed draw, so that what is remembered of it holds for the next process.
    probe = np.random.default_rng(0).integers(0, 256, batch_shape).astype("float32")
    if name == "auto":
        return _fastest(network, exports, probe, images)
    try:
        return _verified(_RUNTIMES[name], network, exports, probe)
    except ImportError as error:
        raise InputError(
            f"engine={name!r} needs packages that are not installed ({error}); run: pip install "
            f"'tlkeras[{'onnx' if name == 'onnxruntime' else name}]', or leave engine='auto'."
        ) from error
    except Exception as error:  # the exporters and runtimes each have errors of their own
        raise InputError(
            f"{name} cannot run this network as Keras does ({first_line(error)}); take engine='keras'."
        ) from error


def _fastest(network, exports, probe, images):
    setting = _setting(probe)
    if exports.remembered().get("fastest", {}).get("setting") != setting:
        if images is not None and images < WORTH_EXPORTING:
            return KerasEngine(network())
        exports.remember(fastest={"setting": setting, "name": _race(network, exports, probe)})
    name = exports.remembered().get("fastest", {}).get("name", "keras")
    if name == "keras":
        return KerasEngine(network())
    return _verified(_RUNTIMES[name], network, exports, probe)


def _race(network, exports, probe):
    """Runs the probe on each engine, and returns the name of the fastest that agrees with Keras."""
    engines = [KerasEngine(network())]
    for runtime in _RUNTIMES.values():
        try:
            engines.append(_verified(runtime, network, exports, probe))
        except ImportError:
            continue
        except Exception as error:
            print(f"tlkeras: not using {runtime.name}: {first_line(error)}", file=sys.stderr)
    return min(engines, key=lambda engine: _seconds(engine, probe)).name


def _verified(runtime, network, exports, probe):
    """Starts a runtime; the first time its answers are compared with Keras' own."""
    path = _exported(runtime, network, exports)
    engine = runtime(path, probe.shape[1:])
    fact = f"{runtime.name} {runtime.version()} {path.name} {probe.shape}"
    if not exports.remembered().get(fact):
        expected = KerasEngine(network())(probe)
        difference = np.abs(engine(probe) - expected).max() / max(np.abs(expected).max(), 1e-30)
        if not difference <= TOLERANCE:
            raise RuntimeError(f"its features differ from Keras' by {difference:.1e} of the largest")
        exports.remember(**{fact: True})
    return engine


def _exported(runtime, network, exports):
    there = [exports.path(format) for format in runtime.formats if exports.path(format).is_file()]
    if there:
        return there[0]
    *others, last = runtime.formats
    for format in others:
        try:
            return exports.export(network, format)
        except Exception:  # the next format has another exporter
            continue
    return exports.export(network, last)


def _seconds(engine, probe):
    """For a batch, with all cores at work."""
    at_once = (os.cpu_count() or 1) if engine.batch_size else 1
    durations = []
    with ThreadPoolExecutor(at_once) as pool:
        for _ in range(4):  # the first one warms up, and is the slowest
            start = time.perf_counter()
            list(pool.map(engine, [probe] * at_once))
            durations.append(time.perf_counter() - start)
    return min(durations) / at_once


def _setting(probe):
    """What the choice of the fastest depends on besides the network."""
    parts = [keras.backend.backend(), os.cpu_count(), *probe.shape]
    for runtime in _RUNTIMES.values():
        try:
            parts.append(f"{runtime.name} {runtime.version()}")
        except ImportError:
            continue
    return " ".join(map(str, parts))


def _has_accelerator():
    """Whether Keras computes on another device than the processor."""
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        import torch

        return torch.accelerator.is_available()
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX's way of saying no
        return False
