"""The exercise of `00_check_your_setup`."""

import pytest

import tlkeras
from tlkeras.teaching import NotYet, check


def test_00_1_takes_the_number_of_test_images_only(clipart10):
    images = tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))
    check("00.1", len(images.test), images)
    for wrong in (len(images.train), "many", None):
        with pytest.raises(NotYet):
            check("00.1", wrong, images)
