"""Settings every test shares: quiet native logs, before Keras is imported, and the real images."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
# Features are computed, not found in the cache of who runs the tests; tests of the cache name a folder.
os.environ["TLKERAS_CACHE"] = "off"

import pytest

ROOT = Path(__file__).parent


@pytest.fixture(scope="session")
def clipart10() -> Path:
    """The real images that ship with the project: 427 drawings in ten classes."""
    return ROOT / "data" / "clipart10"


@pytest.fixture(autouse=True)
def _fixed_seed():
    import keras

    keras.utils.set_random_seed(0)
