"""`tlkeras doctor`: whether this machine can run the notebooks, how long they take on it, and what to mend."""

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
#: What the largest notebook takes, and what weights and a run leave on disk, in GB, with room to spare.
MEMORY, DISK = 2.0, 1.0
#: What the speed is measured with: images a batch, and their side, as in the notebooks.
BATCH, SIDE = 32, 96


_BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Attributes:
        name: What was looked at.
        ok: Whether it will do.
        found: What is there, in a few words.
        mend: What to do where it will not do; empty otherwise.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What `examine` found; `str()` prints it.

    Attributes:
        checks: Tuple of `Check`.
        minutes: Dict of notebook to the minutes it is expected to run here; empty where the machine's speed could not
            be measured.
    """

    checks: tuple[Check, ...]
    minutes: dict

    @property
    def ok(self):
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    def to_json(self):
        """The diagnosis as JSON takes it."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks], "minutes": self.minutes}

    def __str__(self):
        width = max(len(check.name) for check in self.checks)
        lines = []
        for check in self.checks:
            lines.append(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.found}")
            if check.mend:
                lines.append(f"{'':{width + 8}}mend: {check.mend}")
        if self.minutes:
            lines += ["", "Minutes that the notebooks are expected to run here:"]
            lines += [f"  {name:<32} {minutes:4.1f}" for name, minutes in self.minutes.items()]
        return "\n".join(lines)


def examine():
    """Looks at Python, packages, memory, disk and weights, then computes and trains for a moment.

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
    """Checks the version of Python against what the package asks for."""
    ok = (3, 11) <= tuple(version[:2]) <= (3, 13)
    mend = "" if ok else "make a virtual environment with Python 3.11, 3.12 or 3.13 and install tlkeras there."
    return Check("Python", ok, ".".join(map(str, version[:3])), mend)


def check_packages(requirements=None, backend=None):
    """Checks that every package that tlkeras asks for is installed, in a version that will do.

    Args:
        requirements: Iterable of requirements as in pyproject.toml; by default those of the installed tlkeras.
        backend: Of Keras; TensorFlow need not be installed where it is another one.
    """
    backend = backend or _backend()
    if backend not in _BACKENDS:
        named = f"The backend of Keras is {backend!r}"
        return Check("packages", False, named, f"name one of {', '.join(_BACKENDS)} by KERAS_BACKEND or in keras.json.")
    needs = _requirements("", requirements)
    if backend != "tensorflow":
        needs = [need for need in needs if need.name != "tensorflow"] + [Requirement(backend)]
    wrong = _unmet(needs)
    if wrong:
        found = ", ".join(f"{need.name} {_version(need.name) or 'is missing'}" for need in wrong)
        wanted = " ".join(f"'{need.name}{need.specifier}'" for need in wrong)
        return Check("packages", False, found, f"{_python()} -m pip install {wanted}")
    shown = ("keras", backend, "numpy", "scikit-learn")
    return Check("packages", True, ", ".join(f"{name} {_version(name)}" for name in shown))


def _backend():
    """The backend that Keras will take, by the environment or else by its file of settings."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(file.read_text()).get("backend", "tensorflow")
    except (OSError, ValueError):  # Keras writes one, with TensorFlow
        return "tensorflow"


def check_notebooks(requirements=None, in_jupyter=None):
    """Checks what the notebooks ask for beyond tlkeras itself: the extra `notebooks`.

    An old version fails; so does JupyterLab if it is missing, unless Jupyter of some kind is running this already. What
    else is missing passes, and is named: the cells that show it are passed over.

    Args:
        requirements: As in `check_packages`.
        in_jupyter: Whether this runs in a notebook; by default that is looked up.
    """
    in_jupyter = "ipykernel" in sys.modules if in_jupyter is None else in_jupyter
    wrong = _unmet(_requirements("notebooks", requirements))
    missing = [need for need in wrong if _version(need.name) is None]
    ok = all(need in missing and (in_jupyter or need.name != "jupyterlab") for need in wrong)
    found = ", ".join(f"{need.name} {_version(need.name) or 'is missing'}" for need in wrong) or "all packages are here"
    mend = f'{_python()} -m pip install ".[notebooks]" in the clone; tlkeras itself does without.'
    return Check("notebooks", ok, found, "" if ok else mend)


def check_memory(available=None):
    """Checks how much memory is free, in GB; where the system does not say, that passes."""
    available = _available_memory() if available is None else available
    if available is None:
        return Check("memory", True, "this system does not say")
    ok = available >= MEMORY
    mend = "" if ok else f"close other programs: the notebooks take up to {MEMORY:.0f} GB."
    return Check("memory", ok, f"{available:.1f} GB free", mend)


def check_disk(folder=".", free=None):
    """Checks how much room there is in a folder, in GB."""
    free = shutil.disk_usage(folder).free / 1e9 if free is None else free
    mend = "" if free >= DISK else f"make room: {DISK:.0f} GB should be free where the notebooks run."
    return Check("disk", free >= DISK, f"{free:.1f} GB free", mend)


def check_weights(name=BACKBONE):
    """Checks that the weights of a backbone are on this machine, so that no network is needed."""
    if backbone_info(name).offline:
        return Check("weights", True, f"{name} is here")
    return Check("weights", False, f"{name} is not here", "install tlkeras again, with its dependencies.")


def check_forward_pass():
    """Computes features of a batch of noise.

    Returns:
        `(check, seconds)`: the seconds are the median of five batches, None if it failed.
    """
    try:
        import numpy as np

        from tlkeras.backbones.build import backbone

        network = backbone(BACKBONE, image_size=SIDE, pooling="avg")
        pixels = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype("float32")
        network.predict_on_batch(pixels)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            features = network.predict_on_batch(pixels)
            seconds.append(time.perf_counter() - start)
        if not np.isfinite(features).all():
            return Check("forward pass", False, "the features are not finite", _REINSTALL), None
    except Exception as error:  # whatever a broken installation raises is what the learner must see
        return Check("forward pass", False, f"{type(error).__name__}: {first_line(error)}", _REINSTALL), None
    return Check("forward pass", True, f"{BATCH / median(seconds):.0f} images a second at {SIDE} x {SIDE}"), median(
        seconds
    )


def check_training_step():
    """Trains a small classifier for two steps and looks whether it has changed."""
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
    """Scales what the notebooks took where they were measured by how fast this machine is.

    Args:
        seconds: Of the batch of `check_forward_pass`, or None.

    Returns:
        Dict of notebook to minutes.

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


_REINSTALL = "install tlkeras into a fresh virtual environment; if that does not help, report the line above."


def _requirements(extra, requirements=None):
    """What tlkeras asks for, or what one of its extras asks for beyond that."""
    if requirements is None:
        try:
            requirements = metadata.requires("tlkeras") or []
        except metadata.PackageNotFoundError as error:
            raise InputError(
                f"tlkeras is not installed here, so what it needs is not known; in its clone run: {_python()} -m pip "
                "install ."
            ) from error
    needs = [Requirement(text) for text in requirements]
    plain = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return [need for need in needs if need not in plain and need.marker.evaluate({"extra": extra})] if extra else plain


def _python():
    """How this Python is called: by its name, unless that leads to another, as where no environment is activated."""
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
    """Free memory in GB, or None; Linux says what is available, others only what there is."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        line = next((line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable")), None)
        return line and int(line.split()[1]) / 1e6
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):
        return None
