import numpy as np
import pytest

from tlkeras.augment.corruptions import corrupt
from tlkeras.data.reading import read_images
from tlkeras.errors import InputError

KINDS = ["noise", "dark", "blur", "jpeg", "gray"]


@pytest.fixture(scope="module")
def images(clipart10):
    return read_images(sorted(clipart10.glob("fruit/*.jpg"))[:4], (96, 112))


@pytest.mark.parametrize("kind", KINDS)
def test_each_severity_changes_more_than_the_one_before(images, kind):
    before = images.copy()
    changes = [np.abs(corrupt(images, kind, severity).astype(int) - images).mean() for severity in range(1, 6)]
    assert np.diff([0, *changes]).min() > 0
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("kind", KINDS)
def test_result_is_uint8_of_the_same_shape_for_floats_too(images, kind):
    changed = corrupt(images.astype("float32"), kind, 2)
    assert changed.dtype == np.uint8 and changed.shape == images.shape
    np.testing.assert_array_equal(changed, corrupt(images, kind, 2))


def test_noise_has_the_declared_deviation_and_is_seeded():
    gray = np.full((4, 64, 64, 3), 128, "uint8")
    assert abs(corrupt(gray, "noise", 1).std() - 0.08 * 255) < 0.5
    np.testing.assert_array_equal(corrupt(gray, "noise", 1, seed=1), corrupt(gray, "noise", 1, seed=1))
    assert (corrupt(gray, "noise", 1, seed=1) != corrupt(gray, "noise", 1, seed=2)).any()


def test_gray_at_full_severity_has_no_color_and_the_same_lightness(images):
    changed = corrupt(images, "gray", 5)
    assert (changed == changed[..., :1]).all()
    luma = images @ [0.299, 0.587, 0.114]
    assert np.abs(changed[..., 0] - luma).max() <= 1


def test_dark_scales_every_pixel(images):
    np.testing.assert_array_equal(corrupt(images, "dark", 2), np.round(images * 0.6))


def test_blur_is_in_proportion_to_the_size():
    small, large = np.zeros((1, 56, 56, 3), "uint8"), np.zeros((1, 224, 224, 3), "uint8")
    small[:, :28], large[:, :112] = 255, 255
    widths = [
        ((one > 10) & (one < 245)).any(axis=(0, 2, 3)).mean()
        for one in (corrupt(small, "blur", 4), corrupt(large, "blur", 4))
    ]
    assert abs(widths[0] - widths[1]) < 0.03


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("fog", 1), "'fog'"),
        ((["dark"], 1), "'noise', 'dark'"),
        (("dark", 0), "between 1 and 5"),
        (("dark", 6), "between 1 and 5"),
        (("dark", 1.5), "between 1 and 5"),
    ],
)
def test_unusable_arguments_are_refused(images, arguments, message):
    with pytest.raises(InputError, match=message):
        corrupt(images, *arguments)


def test_what_are_no_rgb_images_of_one_size_is_refused(images):
    for wrong, message in (
        (np.zeros((4, 8)), r"\(4, 8\)"),
        (images.astype(str), "dtype <U3"),
        ([images[0], images[1, :8]], "different sizes"),
    ):
        with pytest.raises(InputError, match=message):
            corrupt(wrong, "dark")


def test_pixels_from_0_to_1_are_warned_of(images):
    with pytest.warns(UserWarning, match="Pixels must be in \\[0, 255\\]"):
        corrupt(images / 255, "dark")
