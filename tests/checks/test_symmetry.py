import numpy as np
import pytest
from PIL import Image

import tlkeras
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError


@pytest.fixture(scope="module")
def up_and_down(tmp_path_factory):
    """Two classes that differ in whether the bright half is the upper or the lower one."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, bright in (("up", slice(0, 8)), ("down", slice(8, 16))):
        (root / name).mkdir()
        for index in range(60):
            pixels = rng.integers(0, 100, (16, 16, 3), "uint8")
            pixels[bright] += 100
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return load_images(root, image_size=(16, 16))


def rows(images):
    return images.mean(axis=(2, 3))


def test_vertical_flip_is_unsafe_where_classes_are_up_and_down(up_and_down):
    symmetries = ("horizontal_flip", "vertical_flip", "half_turn")
    found = tlkeras.check_symmetry(up_and_down.train, up_and_down.validation, rows, symmetries)
    assert [(one.name, one.accuracy, one.accuracy_changed, one.verdict) for one in found] == [
        ("horizontal_flip", 1.0, 1.0, "safe"),
        ("vertical_flip", 1.0, 0.0, "unsafe"),
        ("half_turn", 1.0, 0.0, "unsafe"),
    ]


def test_a_few_images_leave_it_undecided(up_and_down):
    wobbly = lambda images: np.stack([images[:, 0, 0, 0], images[:, 0, -1, 0]], -1)  # noqa: E731
    (found,) = tlkeras.check_symmetry(
        up_and_down.train, up_and_down.validation.take(np.arange(5)), wobbly, ("horizontal_flip",), tolerance=0.0
    )
    assert found.verdict in ("undecided", "safe")


def test_quarter_turn_of_an_image_that_is_not_square_is_refused(up_and_down, clipart10):
    images = load_images(clipart10, image_size=(8, 16))
    with pytest.raises(InputError, match="square"):
        tlkeras.check_symmetry(images.train, images.validation, rows, ("quarter_turn",))


def test_what_is_no_split_is_refused(up_and_down):
    with pytest.raises(InputError, match="`validation` must be a split"):
        tlkeras.check_symmetry(up_and_down.train, up_and_down, rows)


def test_unknown_symmetry_is_refused(up_and_down):
    with pytest.raises(InputError, match="'diagonal'"):
        tlkeras.check_symmetry(up_and_down.train, up_and_down.validation, rows, ("diagonal",))
