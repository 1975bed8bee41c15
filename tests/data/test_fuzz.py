"""A thousand mutated files: each is read or named with a reason, quickly, whatever is in it."""

import faulthandler
import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.loading import load_images
from tlkeras.data.reading import ImageError, read_image

resource = pytest.importorskip("resource")  # not on Windows

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP"]
COUNT = 200  # of each format


def originals(format):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 15, 3), "uint8")).resize((60, 48))
    for image in (picture, picture.convert("L"), picture.convert("P")):
        if format in ("JPEG", "WEBP") and image.mode == "P":
            image = image.convert("RGB")
        file = io.BytesIO()
        image.save(file, format)
        yield file.getvalue()


def mutated(content, rng):
    """One of the ways files break: bits flipped, bytes replaced, cut off, parts lost, doubled or exchanged."""
    data = bytearray(content)
    first, second = sorted(rng.integers(0, len(data), 2).tolist())
    match rng.integers(7):
        case 0:
            for position in rng.integers(0, len(data), rng.integers(1, 20)):
                data[position] ^= 1 << int(rng.integers(8))
        case 1:
            for position in rng.integers(0, min(64, len(data)), rng.integers(1, 6)):  # the header
                data[position] = int(rng.integers(256))
        case 2:
            del data[first:]
        case 3:
            del data[first:second]
        case 4:
            data[first:first] = data[first:second]
        case 5:
            data[first:second] = rng.integers(0, 256, second - first, "uint8").tobytes()
        case 6:
            data[first : first + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("mutated"), np.random.default_rng(20261123)
    for format in FORMATS:
        sources = list(originals(format))
        for index in range(COUNT):
            path = root / ("even", "odd")[index % 2] / f"{index}.{format.lower()}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(mutated(sources[index % len(sources)], rng))
    return root


@pytest.fixture(autouse=True)
def no_hang():
    """Ends the run, with a traceback, if a decoder never comes back; a timer in Python could not interrupt it."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def test_every_mutated_file_is_read_or_named_with_a_reason(folder):
    outcomes, slowest = {"read": 0, "named": 0}, 0.0
    for path in sorted(folder.rglob("*.*")):
        start = time.perf_counter()
        try:
            pixels = read_image(path, (32, 32))
            assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
            outcomes["read"] += 1
        except ImageError as error:
            assert error.path == str(path) and error.reason and "\n" not in str(error)
            outcomes["named"] += 1
        slowest = max(slowest, time.perf_counter() - start)
    assert sum(outcomes.values()) == len(FORMATS) * COUNT
    assert min(outcomes.values()) > 100, f"the mutations are too weak or too strong: {outcomes}"
    assert slowest < 10


def test_mutated_files_do_not_stop_a_folder_from_loading(folder):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images = load_images(folder, image_size=(32, 32))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # in KiB
    read = [*images.train.paths, *images.validation.paths, *images.test.paths]
    assert len(read) + len(images.skipped) == len(FORMATS) * COUNT
    assert images.train.read().shape[1:] == (32, 32, 3)
    assert grown < 1.5 * 2**20


def claiming_to_be_huge(format):
    """A sound small file whose header is rewritten to the largest sides that the format has room for."""
    data = bytearray(next(originals(format)))
    match format:
        case "PNG":
            data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
            data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        case "JPEG":
            frame = data.index(b"\xff\xc0")
            data[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
        case "GIF":
            data[6:10] = struct.pack("<HH", 65535, 65535)
        case "BMP":
            data[18:26] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
        case "WEBP":
            data[26:30] = struct.pack("<HH", 16383, 16383)
    return bytes(data)


@pytest.mark.parametrize("format", FORMATS)
def test_small_file_that_claims_to_be_huge_is_named_at_once_and_in_little_memory(tmp_path, format):
    path = tmp_path / f"bomb.{format.lower()}"
    path.write_bytes(claiming_to_be_huge(format))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ImageError, match=path.name):
        read_image(path)
    assert time.perf_counter() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB
