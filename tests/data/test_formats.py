import io
import struct
import sys
import types

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.reading import ImageError, read_image


def tiff(pixels, photometric, sample_format=1):
    """Write an uncompressed TIFF by hand, since Pillow does not write the kinds that it does not read."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, samples = pixels.shape
    data, bits = pixels.tobytes(), pixels.dtype.itemsize * 8
    extra = b""
    start = 8 + 2 + 11 * 12 + 4

    def per_sample(tag, value):
        nonlocal extra
        if samples <= 2:
            return (tag, 3, samples, struct.pack(f"<{samples}H", *[value] * samples).ljust(4, b"\0"))
        offset = start + len(extra)
        extra += struct.pack(f"<{samples}H", *[value] * samples)
        return (tag, 3, samples, struct.pack("<I", offset))

    number = lambda tag, value: (tag, 4, 1, struct.pack("<I", value))  # noqa: E731
    bits_entry, format_entry = per_sample(258, bits), per_sample(339, sample_format)
    entries = [
        number(256, width), number(257, height), bits_entry, number(259, 1), number(262, photometric),
        number(273, start + len(extra)), number(277, samples), number(278, height), number(279, len(data)),
        number(284, 1), format_entry,
    ]  # fmt: skip
    content = b"II*\0" + struct.pack("<IH", 8, len(entries))
    content += b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return content + struct.pack("<I", 0) + extra + data


RAMP = np.tile(np.linspace(0, 1, 64), (64, 1))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_integers_of_every_width_up_to_255_are_kept(dtype, channels):
    pixels = np.random.default_rng(0).integers(0, 127, (6, 5, *channels)).astype(dtype)
    expected = np.broadcast_to(pixels.reshape(6, 5, -1), (6, 5, 3))
    np.testing.assert_array_equal(read_image(pixels, None), expected)


@pytest.mark.parametrize(("name", "dtype"), [("a.tif", "int32"), ("a.tif", "float32"), ("a.png", "uint16")])
def test_deep_files_with_values_up_to_255_keep_them(tmp_path, name, dtype):
    Image.fromarray((RAMP * 255).astype(dtype)).save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name, None)[..., 0], np.round((RAMP * 255).astype(dtype)))


@pytest.mark.parametrize(("name", "dtype"), [("a.png", "uint16"), ("a.tif", "uint16"), ("a.tif", "int32")])
def test_files_that_use_12_of_16_bits_come_out_in_full_range(tmp_path, name, dtype):
    values = (RAMP * 4095).astype(dtype)
    Image.fromarray(values).save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name, None)[..., 0], np.round(values * (255 / 4095)))


@pytest.mark.parametrize(("dtype", "depth"), [("uint8", 255), ("uint16", 65535)])
def test_a_tiff_in_which_zero_is_white_is_inverted_at_every_depth(dtype, depth):
    content = tiff((RAMP * depth).astype(dtype), photometric=0)
    assert read_image(content, None)[0, [0, -1], 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff(np.stack([RAMP.astype("float32")] * 3, -1), 2, 3), "a TIFF with 3 x 32-bit floats"),
        (tiff(np.full((8, 8, 4), 99, "uint8"), 1), "a TIFF with 4 x 8-bit integers"),
        (tiff((RAMP * 3000 - 1000).astype("int16"), 1, 2), "its values range from -1000"),
        (b"\0\0\0\x1cftypheic" + bytes(40), "HEIC image.*pillow-heif"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b'<?xml version="1.0"?><svg></svg>', "an SVG drawing"),
    ],
    ids=["float RGB", "four bands", "signed", "HEIC", "PDF", "SVG"],
)
def test_a_sound_file_of_a_kind_that_is_not_read_is_named_and_not_called_damaged(content, message):
    with pytest.raises(ImageError, match=message) as caught:
        read_image(content)
    assert not caught.value.damaged


@pytest.mark.parametrize("content", [b"", b"no picture", tiff(np.zeros((8, 8, 4), "uint8"), 1)[:20]])
def test_what_is_empty_or_cut_off_is_called_damaged(content):
    with pytest.raises(ImageError) as caught:
        read_image(content)
    assert caught.value.damaged


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_named(channels):
    with pytest.raises(ImageError, match=f"{channels} channels"):
        read_image(np.zeros((4, 4, channels), "uint8"))


def test_formats_of_plugins_are_read(monkeypatch):
    plugin = types.ModuleType("some_plugin")
    exec(
        "from PIL import Image, ImageFile\n"
        "class PluginImage(ImageFile.ImageFile):\n"
        "    format = 'PLUGIN'\n"
        "    def _open(self):\n"
        "        self._size, self._mode = (4, 4), 'RGB'\n"
        "        self.tile = [('raw', (0, 0, 4, 4), 6, ('RGB', 0, 1))]\n",
        plugin.__dict__,
    )
    monkeypatch.setitem(sys.modules, "some_plugin", plugin)
    Image.init()
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    monkeypatch.setattr(Image, "OPEN", {**Image.OPEN})
    Image.register_open("PLUGIN", plugin.PluginImage, lambda prefix: prefix.startswith(b"PLUGIN"))
    pixels = np.arange(48, dtype="uint8").reshape(4, 4, 3)
    np.testing.assert_array_equal(read_image(b"PLUGIN" + pixels.tobytes(), None), pixels)


def test_avif_is_read_where_pillow_reads_it():
    file = io.BytesIO()
    try:
        Image.fromarray(np.full((16, 16, 3), 90, "uint8")).save(file, "AVIF")
    except (KeyError, OSError):
        pytest.skip("this Pillow has no AVIF")
    assert abs(int(read_image(file.getvalue(), None).mean()) - 90) < 4
