import pytest

from tlkeras.data.loading import load_images


@pytest.fixture(scope="session")
def drawings(clipart10):
    """The splits of clipart10, loaded once."""
    return load_images(clipart10)
