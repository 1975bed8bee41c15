import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tlkeras.checks.quality import measure_quality, poor_images


def photograph(seed, size=(240, 180)):
    """Colored structure of all sizes and a sharp edge, as photographs have."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(0, 40 / level, (2**level, 2**level, 3)) for level in range(1, 7)]
    scaled = [
        np.stack([Image.fromarray(layer[..., i].astype("float32")).resize(size, 2) for i in range(3)], -1)
        for layer in layers
    ]
    pixels = 128 + sum(scaled)
    width, height = size
    pixels[height // 3 : height // 2, width // 3 : width // 2] += 90
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def drawing(seed):
    image = Image.new("RGB", (200, 200), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((40 + seed, 50, 140, 150), outline="black", width=3)
    draw.line((30, 30, 100 + 3 * seed, 170), fill="gray", width=2)
    return image


def placeholder():
    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).text((60, 90), "image not found", fill=(120, 120, 120))
    return image


def kinds(images):
    return {index: kind for index, kind, _, _ in poor_images([measure_quality(image) for image in images])}


@pytest.fixture(scope="module")
def photographs():
    return [photograph(seed) for seed in range(60)]


@pytest.mark.parametrize("size", [(40, 30), (240, 180)])
def test_nothing_is_wrong_with_photographs_of_any_size(size):
    assert kinds([photograph(seed, size) for seed in range(20)]) == {}


def test_line_drawings_on_white_are_no_placeholders_among_their_like():
    assert kinds([drawing(seed) for seed in range(30)]) == {}


def test_one_thin_drawing_among_filled_ones_is_no_placeholder():
    filled = []
    for seed in range(40):
        image = Image.new("RGB", (200, 200), "white")
        ImageDraw.Draw(image).ellipse((20, 20 + seed, 180, 180), fill=(200, 30 + 4 * seed, 40))
        filled.append(image)
    stick = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(stick).line((90, 20, 110, 180), fill="gray", width=6)
    assert kinds([*filled, stick]) == {}


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("blank", lambda image: Image.new("RGB", image.size, "navy")),
        ("dark", lambda image: image.point(lambda value: value * 0.15)),
        ("overexposed", lambda image: image.point(lambda value: 218 + 37 * (value > 140))),
        ("blurred", lambda image: image.filter(ImageFilter.GaussianBlur(0.03 * image.width))),
        ("placeholder", lambda image: placeholder()),
    ],
)
def test_a_picture_that_shows_nothing_is_found_among_photographs(photographs, kind, spoil):
    images = [*photographs[:-1], spoil(photographs[-1])]
    assert kinds(images) == {len(images) - 1: kind}


def test_the_worse_the_fault_the_higher_the_score(photographs):
    images = [photographs[0].filter(ImageFilter.GaussianBlur(radius)) for radius in (8, 16)]
    light, heavy = (score for *_, score in poor_images([measure_quality(image) for image in images]))
    assert 0 < light < heavy <= 1


def test_an_image_of_one_pixel_is_measured():
    assert measure_quality(Image.new("RGB", (1, 1))).content == 0
