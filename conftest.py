"""Settings every test shares, before Keras is imported: quiet native logs, exact products; and the real images."""

import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
# Oracles are exact; GPUs round factors of float32 products to 11 bits unless told not to.
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
# Parallel workers are as many as the cores; native threads on top of them would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
# Tests compute features and do not find them in the user's cache; tests of the cache name a folder.
os.environ["TLKERAS_CACHE"] = "off"

import pytest

ROOT = Path(__file__).parent


def pytest_collection_finish(session):
    """Let the garbage collector look at what tests make, not again and again at millions of imported objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_sessionfinish(session):
    """Spare the collector a last walk through everything that all tests have left; the process ends anyway."""
    gc.freeze()


@pytest.fixture(scope="session")
def clipart10() -> Path:
    """The real images that ship with the project: 427 drawings in ten classes."""
    return ROOT / "data" / "clipart10"


@pytest.fixture(autouse=True)
def _examples_share_features(request, monkeypatch, tmp_path_factory):
    """Let the examples in docstrings look up the features that another of them has computed."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path_factory.getbasetemp().parent / "features of the examples"))


@pytest.fixture(autouse=True)
def _fixed_seed():
    import keras

    keras.utils.set_random_seed(0)
