import numpy as np
import pytest
from PIL import Image

from tlkeras.errors import InputError
from tlkeras.images.augmentation import augmentation
from tlkeras.images.sheets import contact_sheet, preview


def test_contact_sheet_shows_each_image_in_its_place():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = np.asarray(contact_sheet([Image.new("RGB", (10, 10), colour) for colour in colours], columns=2, side=20))
    assert [tuple(sheet[row, column]) for row, column in ((14, 14), (14, 38), (38, 14))] == colours
    assert tuple(sheet[38, 38]) == (255, 255, 255)


def test_captions_are_drawn_below_and_cut_to_fit():
    image = Image.new("RGB", (10, 10))
    plain, captioned = (contact_sheet([image], captions, columns=1) for captions in ([], ["x" * 500]))
    assert captioned.width == plain.width and captioned.height > plain.height
    assert np.asarray(captioned)[plain.height :].min() < 128


def test_pixels_beyond_the_range_are_clipped():
    sheet = np.asarray(contact_sheet([np.full((10, 10, 3), 300.0)], columns=1, side=10))
    assert sheet[9, 9].tolist() == [255, 255, 255]


def test_preview_starts_each_row_with_the_original():
    images = np.stack([np.full((20, 20, 3), 50), np.full((20, 20, 3), 200)])
    sheet = np.asarray(preview(images, augmentation("photo"), columns=3, side=20))
    assert sheet[14, 14].tolist() == [50] * 3 and sheet[38, 14].tolist() == [200] * 3
    assert sheet[14, 38].tolist() != [50] * 3


def test_preview_refuses_what_are_no_images():
    with pytest.raises(InputError, match=r"\(3, 4\)"):
        preview(np.zeros((3, 4)), augmentation("photo"))
