import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.reading import ImageError, read_image, read_images
from tlkeras.errors import InputError


def gradient(height=40, width=60):
    """A smooth picture with a distinct corner everywhere."""
    rows, columns = np.mgrid[0:height, 0:width]
    down, right = rows * 255 / height, columns * 255 / width
    return np.stack([down, right, (down + right) / 2], -1).astype("uint8")


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def test_rgb_pixels_come_back_exactly(tmp_path):
    path = saved(tmp_path / "a.png", gradient())
    pixels = read_image(path, image_size=None)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, gradient())


@pytest.mark.parametrize("orientation, undo", [(3, 2), (6, 1), (8, 3)])
def test_exif_orientation_is_applied(tmp_path, orientation, undo):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", np.ascontiguousarray(np.rot90(gradient(), undo)), exif=exif)
    np.testing.assert_array_equal(read_image(path, image_size=None), gradient())


def test_grayscale_becomes_three_equal_channels(tmp_path):
    gray = gradient()[..., 0]
    path = saved(tmp_path / "a.png", gray)
    np.testing.assert_array_equal(read_image(path, image_size=None), np.stack([gray] * 3, -1))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grayscale_is_scaled_not_clipped(tmp_path, name):
    gray = np.linspace(0, 65535, 256, dtype="uint16").reshape(16, 16)
    path = saved(tmp_path / name, gray)
    np.testing.assert_array_equal(read_image(path, image_size=None)[..., 0].ravel(), np.arange(256))


def test_float_tiff_from_0_to_1_is_scaled(tmp_path):
    path = saved(tmp_path / "a.tif", np.linspace(0, 1, 256, dtype="float32").reshape(16, 16))
    np.testing.assert_array_equal(read_image(path, image_size=None)[..., 0].ravel(), np.arange(256))


def test_float_tiff_a_little_above_255_is_clipped(tmp_path):
    path = saved(tmp_path / "a.tif", np.linspace(0, 256.5, 64, dtype="float32").reshape(8, 8))
    expected = np.linspace(0, 256.5, 64, dtype="float32").round().clip(0, 255)
    np.testing.assert_array_equal(read_image(path, image_size=None)[..., 0].ravel(), expected)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("highest", [1, 100])
def test_arrays_of_any_type_are_pixels_from_0_to_255(dtype, highest):
    gray = np.full((4, 4), highest, dtype)
    for pixels in (gray, np.stack([gray] * 3, axis=-1)):
        assert (read_image(pixels, image_size=None) == highest).all()
        if dtype != "int8":
            with pytest.raises(ImageError, match="must be in \\[0, 255\\]"):
                read_image(pixels + pixels.dtype.type(300), image_size=None)


def _png(depth, gray, transparent):
    """Write a row of gray pixels, of which one level is transparent, as the PNG standard says."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(gray), 1, depth, 0, 0, 0, 0)
    row = b"\0" + struct.pack(f">{len(gray)}{'H' if depth == 16 else 'B'}", *gray)
    chunks = [
        (b"IHDR", header),
        (b"tRNS", struct.pack(">H", transparent)),
        (b"IDAT", zlib.compress(row)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@pytest.mark.parametrize("level", [0, 60])
def test_a_transparent_gray_level_is_white_in_8_and_16_bits(level):
    expected = np.where(np.array([0, 60, 128]) == level, 255, [0, 60, 128])
    for depth, factor in ((8, 1), (16, 257)):
        png = _png(depth, [0, 60 * factor, 128 * factor], level * factor)
        np.testing.assert_array_equal(read_image(png, image_size=None)[0, :, 0], expected)


def test_values_that_are_no_8_or_16_bit_pixels_are_refused(tmp_path):
    path = saved(tmp_path / "a.tif", np.full((4, 4), 70000, "int32"))
    with pytest.raises(ImageError, match="70000"):
        read_image(path)


def test_palette_image_gets_its_colors(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 128, 255])
    image.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif", image_size=None), np.full((4, 4, 3), (0, 128, 255)))


def test_cmyk_jpeg_is_close_to_the_same_picture_in_rgb(tmp_path):
    path = saved(tmp_path / "a.jpg", gradient(), "CMYK", quality=98)
    assert np.abs(read_image(path, image_size=None).astype(int) - gradient()).mean() < 4


def test_transparent_pixels_are_laid_over_white(tmp_path):
    pixels = np.zeros((2, 2, 4), "uint8")
    pixels[0, 0] = (200, 100, 0, 255)
    pixels[0, 1] = (0, 0, 0, 0)
    pixels[1, 0] = (255, 0, 0, 51)  # a fifth of red over white
    path = saved(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(
        read_image(path, image_size=None), [[[200, 100, 0], [255, 255, 255]], [[255, 204, 204], [255, 255, 255]]]
    )


def test_transparent_palette_color_is_laid_over_white(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 128, 255])
    image.save(tmp_path / "a.png", transparency=1)
    assert (read_image(tmp_path / "a.png", image_size=None) == 255).all()


def test_one_pixel_image_fills_the_size(tmp_path):
    path = saved(tmp_path / "a.png", np.full((1, 1, 3), (10, 20, 30), "uint8"))
    np.testing.assert_array_equal(read_image(path, (5, 7)), np.full((5, 7, 3), (10, 20, 30)))


def test_stretch_keeps_the_whole_picture(tmp_path):
    path = saved(tmp_path / "a.png", gradient(40, 60))
    pixels = read_image(path, (30, 30), "stretch").astype(int)
    expected = gradient(30, 30)
    assert pixels.shape == (30, 30, 3)
    assert np.abs(pixels - expected).max() <= 8


def test_crop_keeps_the_center(tmp_path):
    path = saved(tmp_path / "a.png", gradient(40, 60))
    np.testing.assert_array_equal(read_image(path, (40, 40), "crop"), gradient(40, 60)[:, 10:50])


def test_pad_keeps_the_whole_picture_and_fills_with_the_color_of_the_border(tmp_path):
    picture = np.full((40, 60, 3), (255, 250, 240), "uint8")
    picture[15:25, 20:40] = 0
    path = saved(tmp_path / "a.png", picture)
    pixels = read_image(path, (60, 60), "pad")
    np.testing.assert_array_equal(pixels[10:50], picture)
    assert (pixels[:10] == (255, 250, 240)).all() and (pixels[50:] == (255, 250, 240)).all()


def test_large_jpeg_read_small_is_close_to_full_decoding(tmp_path):
    rows, columns = np.mgrid[0:1200, 0:1600]
    waves = (127 + 60 * np.sin(rows / 23) + 60 * np.cos(columns / 31)).astype("uint8")
    path = saved(tmp_path / "a.jpg", np.stack([waves, waves[::-1], waves[:, ::-1]], -1), quality=95)
    full = Image.open(path).resize((100, 80), Image.Resampling.BILINEAR)
    assert np.abs(read_image(path, (80, 100)).astype(int) - np.asarray(full)).mean() < 1.5


def test_png_named_jpg_is_read_by_its_content(tmp_path):
    saved(tmp_path / "a.png", gradient())
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", image_size=None), gradient())


@pytest.mark.parametrize("name", ["with space.png", 'it\'s "quoted".png', "-rf.png", "größe-日本.png", "a\nb.png"])
def test_any_file_name_works(tmp_path, monkeypatch, name):
    saved(tmp_path / name, gradient())
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read_image(name, image_size=None), gradient())


def write_text(path):
    path.write_text("This is not a picture.")


def write_nothing(path):
    path.write_bytes(b"")


def write_truncated_jpeg(path):
    saved(path, gradient(200, 300), format="JPEG")
    path.write_bytes(path.read_bytes()[:2000])


def write_truncated_png(path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), "uint8")
    saved(path, noise, format="PNG")
    path.write_bytes(path.read_bytes()[:-3000])


@pytest.mark.parametrize(
    "write, reason",
    [
        (write_text, "not an image"),
        (write_nothing, "zero bytes"),
        (write_truncated_jpeg, "damaged"),
        (write_truncated_png, "damaged"),
        (lambda path: path.mkdir(), "pass the files in it instead"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, write, reason):
    path = tmp_path / "broken.jpg"
    write(path)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    assert isinstance(caught.value, InputError)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("times", [1.5, 4])  # Pillow itself only warns up to twice its limit
def test_decompression_bomb_is_refused_without_a_warning(tmp_path, monkeypatch, times):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = saved(tmp_path / "a.png", np.zeros((10, int(100 * times), 3), "uint8"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="decompression bomb"):
            read_image(path)


def test_broken_orientation_tag_does_not_lose_the_picture(tmp_path):
    path = saved(tmp_path / "a.jpg", gradient(), quality=95, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00\x09")
    assert read_image(path, image_size=None).shape == (40, 60, 3)


@pytest.mark.parametrize("size", [(224,), 0, (0, 10), (1.5, 2), "ab", (True, 3)])
def test_unusable_size_is_refused(tmp_path, size):
    with pytest.raises(InputError, match="height, width"):
        read_image(saved(tmp_path / "a.png", gradient()), size)


def test_unknown_resize_is_refused(tmp_path):
    with pytest.raises(InputError, match="'squash'"):
        read_image(saved(tmp_path / "a.png", gradient()), resize="squash")


def test_many_images_come_in_the_order_of_their_paths(tmp_path):
    paths = [saved(tmp_path / f"{value}.png", np.full((9, 9, 3), value, "uint8")) for value in range(40)]
    pixels = read_images(paths, (4, 6), workers=4)
    assert pixels.shape == (40, 4, 6, 3)
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], np.arange(40))


def test_threads_that_read_at_once_leave_the_warning_filters_as_they_were(tmp_path):
    path = saved(tmp_path / "a.png", gradient())
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: read_image(path, (8, 8)), range(200)))
    assert warnings.filters == before


def test_no_paths_give_an_empty_array():
    assert read_images([], (4, 6)).shape == (0, 4, 6, 3)


def test_one_unreadable_file_among_many_is_named(tmp_path):
    good = saved(tmp_path / "a.png", gradient())
    with pytest.raises(ImageError, match="gone"):
        read_images([good, tmp_path / "gone.png"])
    with pytest.raises(InputError, match="read_image` reads a single image"):
        read_images(str(good))
    for wrong in (3, None, (name for name in [good]), {"image": good}):
        with pytest.raises(InputError, match="be a sequence"):
            read_images(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "it is not a path"),
        (np.zeros((2, 8, 8, 3)), r"shape \(2, 8, 8, 3\)"),
        (np.full((8, 8, 3), "a"), "dtype <U1"),
    ],
)
def test_what_is_no_image_is_told_by_what_it_is(wrong, message):
    with pytest.raises(ImageError, match=message):
        read_image(wrong)
