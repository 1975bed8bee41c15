"""Check whether this machine can run the notebooks, estimate how long they will take, and say what to fix."""

import json
import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement

from tlkeras.backbones.catalog import backbone_info
from tlkeras.errors import InputError, first_line
from tlkeras.teaching.materials import measured

BACKBONE = "efficientnet_lite0"
#: Memory that the largest notebook needs, and disk space for weights and a run, in GB, with a margin.
MEMORY, DISK = 2.0, 1.0
#: Images per batch and their height and width, to measure speed with. The notebooks use the same size.
BATCH, IMAGE_SIZE = 32, 96

_BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Attributes:
        name: Subject of the check, such as `"memory"`.
        ok: Whether the check passed.
        detail: What was found on the machine, in a few words.
        fix: Advice if the check failed, otherwise empty.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The result of `examine`; `str()` formats it for the terminal.

    Attributes:
        checks: Tuple of `Check`.
        minutes: Dict that maps each notebook to its expected run time on this machine, in minutes. Empty if the speed
            could not be measured.
    """

    checks: tuple[Check, ...]
    minutes: dict

    @property
    def ok(self):
        """True if every check passed."""
        return all(check.ok for check in self.checks)

    def to_json(self):
        """Return the diagnosis as a dict that can be stored as JSON."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks], "minutes": self.minutes}

    def __str__(self):
        width = max(len(check.name) for check in self.checks)
        lines = []
        for check in self.checks:
            lines.append(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.detail}")
            if check.fix:
                lines.append(f"{'':{width + 8}}fix: {check.fix}")
        if self.minutes:
            lines += ["", "Expected minutes per notebook on this machine:"]
            lines += [f"  {name:<32} {minutes:4.1f}" for name, minutes in self.minutes.items()]
        return "\n".join(lines)


def examine():
    """Check Python, packages, memory, disk and weights, then time a forward pass and run two training steps.

    Returns:
        `Diagnosis`.

    Example:

    >>> diagnosis = examine()
    >>> [check.name for check in diagnosis.checks]
    ['Python', 'packages', 'notebooks', 'memory', 'disk', 'weights', 'forward pass', 'training step']
    """
    first = (check_python(), check_packages(), check_notebooks(), check_memory(), check_disk(), check_weights())
    forward, seconds = check_forward_pass()
    return Diagnosis((*first, forward, check_training_step()), expected_minutes(seconds))


def check_python(version=sys.version_info):
    """Check that tlkeras supports this version of Python."""
    ok = (3, 11) <= tuple(version[:2]) <= (3, 13)
    fix = "" if ok else "create a virtual environment with Python 3.11, 3.12 or 3.13 and install tlkeras there."
    return Check("Python", ok, ".".join(map(str, version[:3])), fix)


def check_packages(requirements=None, backend=None):
    """Check that every required package is installed in a suitable version.

    Args:
        requirements: Iterable of requirements, as in pyproject.toml. Defaults to those of the installed tlkeras.
        backend: Name of the Keras backend. TensorFlow is required only if it is the backend. Defaults to the backend
            that Keras will use.
    """
    backend = backend or _backend()
    if backend not in _BACKENDS:
        named = f"The backend of Keras is {backend!r}"
        return Check("packages", False, named, f"set KERAS_BACKEND, or keras.json, to one of {', '.join(_BACKENDS)}.")
    needs = _requirements("", requirements)
    if backend != "tensorflow":
        needs = [need for need in needs if need.name != "tensorflow"] + [Requirement(backend)]
    wrong = _unmet(needs)
    if wrong:
        detail = ", ".join(f"{need.name} {_version(need.name) or 'is missing'}" for need in wrong)
        wanted = " ".join(f"'{need.name}{need.specifier}'" for need in wrong)
        return Check("packages", False, detail, f"{_python()} -m pip install {wanted}")
    shown = ("keras", backend, "numpy", "scikit-learn")
    return Check("packages", True, ", ".join(f"{name} {_version(name)}" for name in shown))


def _backend():
    """Return the backend that Keras will use, from the environment or from the configuration file of Keras."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(file.read_text()).get("backend", "tensorflow")
    except (OSError, ValueError):  # Keras then writes one that names TensorFlow
        return "tensorflow"


def check_notebooks(requirements=None, in_jupyter=None):
    """Check the packages of the `notebooks` extra, which the notebooks need in addition to tlkeras.

    The check fails if a package is too old. It also fails if JupyterLab is missing, unless this code already runs in a
    notebook. Other missing packages are only listed, because cells that use them are skipped.

    Args:
        requirements: Iterable of requirements, as in pyproject.toml. Defaults to those of the installed tlkeras.
        in_jupyter: Whether this code runs in a notebook. Detected by default.
    """
    in_jupyter = "ipykernel" in sys.modules if in_jupyter is None else in_jupyter
    wrong = _unmet(_requirements("notebooks", requirements))
    missing = [need for need in wrong if _version(need.name) is None]
    ok = all(need in missing and (in_jupyter or need.name != "jupyterlab") for need in wrong)
    detail = ", ".join(f"{need.name} {_version(need.name) or 'is missing'}" for need in wrong) or "all installed"
    if ok and wrong:
        detail = f"complete for the notebooks; not installed: {', '.join(need.name for need in missing)}"
    fix = f'{_python()} -m pip install ".[notebooks]" in the clone; tlkeras itself works without them.'
    return Check("notebooks", ok, detail, "" if ok else fix)


def check_memory(available=None):
    """Check that enough memory (in GB) is free. The check passes if the system does not report its memory."""
    available = _available_memory() if available is None else available
    if available is None:
        return Check("memory", True, "not reported by this system")
    ok = available >= MEMORY
    fix = "" if ok else f"close other programs; the notebooks need up to {MEMORY:.0f} GB."
    return Check("memory", ok, f"{available:.1f} GB free", fix)


def check_disk(folder=".", free=None):
    """Check that enough disk space (in GB) is free in a folder."""
    free = shutil.disk_usage(folder).free / 1e9 if free is None else free
    fix = "" if free >= DISK else f"free up some space; the notebooks need {DISK:.0f} GB."
    return Check("disk", free >= DISK, f"{free:.1f} GB free", fix)


def check_weights(name=BACKBONE):
    """Check that the weights of a backbone are on this machine, so that no network connection is needed."""
    if backbone_info(name).offline:
        return Check("weights", True, f"{name} is installed")
    return Check("weights", False, f"{name} is not installed", "reinstall tlkeras with its dependencies.")


def check_forward_pass():
    """Compute the features of a batch of noise images, and time it.

    Returns:
        `(check, seconds)`. `seconds` is the median of five batches, or None if the check failed.
    """
    try:
        import numpy as np

        from tlkeras.backbones.build import backbone

        network = backbone(BACKBONE, image_size=IMAGE_SIZE, pooling="avg")
        pixels = np.random.default_rng(0).integers(0, 256, (BATCH, IMAGE_SIZE, IMAGE_SIZE, 3)).astype("float32")
        network.predict_on_batch(pixels)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            features = network.predict_on_batch(pixels)
            seconds.append(time.perf_counter() - start)
        if not np.isfinite(features).all():
            return Check("forward pass", False, "the features are not finite", _REINSTALL), None
    except Exception as error:  # whatever a broken installation raises must reach the learner
        return Check("forward pass", False, f"{type(error).__name__}: {first_line(error)}", _REINSTALL), None
    speed = f"{BATCH / median(seconds):.0f} images per second at {IMAGE_SIZE} x {IMAGE_SIZE}"
    return Check("forward pass", True, speed), median(seconds)


def check_training_step():
    """Train a small classifier for two steps and check that its loss falls."""
    try:
        import keras
        import numpy as np

        model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        x, y = np.random.default_rng(0).random((4, 8, 8, 3), "float32"), np.array([0, 1, 0, 1])
        losses = [float(model.train_on_batch(x, y)) for _ in range(2)]
        loss = float(model.evaluate(x, y, verbose=0))
        if not loss < losses[0]:
            return Check("training step", False, f"the loss went from {losses[0]:.3f} to {loss:.3f}", _REINSTALL)
    except Exception as error:  # as above
        return Check("training step", False, f"{type(error).__name__}: {first_line(error)}", _REINSTALL)
    return Check("training step", True, f"the loss falls, from {losses[0]:.3f} to {loss:.3f}")


def expected_minutes(seconds):
    """Scale the measured run times of the notebooks to the speed of this machine.

    Args:
        seconds: Seconds per batch from `check_forward_pass`, or None.

    Returns:
        Dict that maps each notebook to its expected run time in minutes. Empty if `seconds` is None.

    Example:

    >>> reference = measured("notebook_seconds")
    >>> expected_minutes(2 * reference["batch"]).keys() == reference["notebooks"].keys()
    True
    """
    if seconds is None:
        return {}
    reference = measured("notebook_seconds")
    ratio = seconds / reference["batch"]
    return {name: round(ratio * each / 60, 1) for name, each in reference["notebooks"].items()}


_REINSTALL = "install tlkeras into a new virtual environment; if that does not help, report the line above."


def _requirements(extra, requirements=None):
    """List the requirements of tlkeras, or those that an extra adds."""
    if requirements is None:
        try:
            requirements = metadata.requires("tlkeras") or []
        except metadata.PackageNotFoundError as error:
            raise InputError(
                f"tlkeras is not installed here, so its requirements are unknown. In a clone, run {_python()} -m pip "
                "install ."
            ) from error
    needs = [Requirement(text) for text in requirements]
    plain = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return [need for need in needs if need not in plain and need.marker.evaluate({"extra": extra})] if extra else plain


def _python():
    """Return the command that runs this Python: its name, or its path if the name alone would run another one."""
    name = Path(sys.executable).name
    return name if shutil.which(name) == sys.executable else shlex.quote(sys.executable)


def _unmet(needs):
    versions = {need.name: _version(need.name) for need in needs}
    return [
        need for need in needs if versions[need.name] is None or not need.specifier.contains(versions[need.name], True)
    ]


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _available_memory():
    """Return the available memory in GB (on systems other than Linux, the total memory), or None if it is unknown."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        line = next((line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable")), None)
        return line and int(line.split()[1]) / 1e6
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):
        return None
