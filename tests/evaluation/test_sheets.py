import io

import keras
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from tlkeras.augment.augmentation import Augmentation, augmentation
from tlkeras.errors import InputError
from tlkeras.evaluation.sheets import contact_sheet, preview


def test_contact_sheet_shows_each_image_in_its_place():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = np.asarray(contact_sheet([Image.new("RGB", (10, 10), color) for color in colors], columns=2, image_size=20))
    assert [tuple(sheet[row, column]) for row, column in ((16, 16), (16, 42), (42, 16))] == colors
    assert tuple(sheet[42, 42]) == (255, 255, 255)


def test_captions_are_drawn_below_and_cut_to_fit():
    image = Image.new("RGB", (10, 10))
    plain, captioned = (contact_sheet([image], captions, columns=1) for captions in ([], ["x" * 500]))
    assert captioned.width == plain.width and captioned.height > plain.height
    below = np.asarray(captioned)[plain.height - 6 :]
    assert below.min() < 128 and (below[:, -6:] == 255).all()


def test_each_line_of_a_caption_and_the_title_have_a_place_of_their_own():
    image = Image.new("RGB", (10, 10))
    one, two, titled = (
        contact_sheet([image], [caption], columns=1, title=title)
        for caption, title in (("a", ""), ("a\nb", ""), ("a", "suspects"))
    )
    assert two.height > one.height and titled.height > one.height
    np.testing.assert_array_equal(np.asarray(titled)[-one.height + 6 :], np.asarray(one)[6:])


def test_captions_beyond_ascii_have_letters_of_their_own():
    image = Image.new("RGB", (10, 10))
    sheets = [np.asarray(contact_sheet([image], [caption], columns=1)) for caption in ("ö", "д", "ł", "o", "?")]
    assert len({sheet.tobytes() for sheet in sheets}) == len(sheets)  # and no box in place of them
    odd = contact_sheet([image], ["caf\udce9\r.png"], columns=1, title="a\ttab")  # file names need not be text
    assert np.asarray(odd)[-14:].min() < 128


def test_groups_lie_on_one_background_each():
    images = [Image.new("RGB", (10, 20))] * 5  # narrow: left and right of it the background shows
    sheet = np.asarray(contact_sheet(images, columns=5, image_size=20, groups=["a", "a", "b", "c", "c"]))
    behind = [bool((sheet[16, 6 + 26 * index] == 255).all()) for index in range(5)]
    assert behind == [True, True, False, True, True]


def test_pixels_beyond_the_range_are_clipped():
    sheet = np.asarray(contact_sheet([np.full((10, 10, 3), 300.0)], columns=1, image_size=10))
    assert sheet[11, 11].tolist() == [255, 255, 255]


def test_preview_starts_each_row_with_the_original():
    images = np.stack([np.full((20, 20, 3), 50), np.full((20, 20, 3), 200)])
    sheet = np.asarray(preview(images, augmentation("photo"), columns=3, image_size=20))
    assert sheet[16, 16].tolist() == [50] * 3 and sheet[56, 16].tolist() == [200] * 3
    assert sheet[16, 42].tolist() != [50] * 3


def test_preview_by_layer_shows_each_layer_alone_as_far_as_it_goes_and_then_all():
    images = np.zeros((1, 20, 20, 3))
    images[:, :10] = 255
    flip, darker = keras.layers.RandomFlip("vertical", seed=0), keras.layers.RandomBrightness((-0.5, 0), seed=0)
    sheet = preview(images, Augmentation([flip, darker]), image_size=20, by_layer=True)
    assert sheet.alt == "4 pictures side by side: original; Flip; Brightness; all layers."
    original, flipped, dark, _ = (np.asarray(sheet)[6:26, 6 + 26 * k : 26 + 26 * k, 0] for k in range(4))
    np.testing.assert_array_equal(flipped, original[::-1])  # one of 24 draws is flipped with near certainty
    assert dark[:10].max() < 255 - 0.35 * 255 and not dark[10:].any()
    alone = preview(images, flip, image_size=20, by_layer=True)
    assert alone.size == (58, 46), "the original and one layer"


def test_sheets_have_a_text_alternative_in_notebooks():
    sheet = contact_sheet([Image.new("RGB", (10, 10))] * 3, ["bee\nwrong", "", "ant"], columns=2, title="Suspects")
    said = "Suspects. 3 pictures in rows of 2: bee, wrong; ant."
    data, about = DisplayFormatter().format(sheet)
    assert data["text/plain"] == about["image/png"]["alt"] == about["image/jpeg"]["alt"] == said
    picture = Image.open(io.BytesIO(data["image/png"]))
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(sheet))
    assert contact_sheet([Image.new("RGB", (10, 10))]).alt == "1 picture."


def test_gray_pixels_and_paths_of_files_are_taken(clipart10):
    gray = np.full((20, 20, 1), 90, "uint8")
    sheet = np.asarray(contact_sheet([gray, clipart10 / "bug" / "bee.jpg"], image_size=20, columns=2))
    assert sheet[16, 16].tolist() == [90] * 3 and sheet[6:26, 32:52].std() > 0
    assert preview(gray[None], augmentation("photo"), columns=2, image_size=20).size == (58, 46)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: preview(np.zeros((3, 4)), augmentation("photo")), r"ndarray of shape \(3, 4\)"),
        (lambda: preview(augmentation("photo"), np.zeros((1, 8, 8, 3))), "`augmentation` must be callable"),
        (lambda: preview(["bee.jpg"], augmentation("photo")), "Received: list"),
        (lambda: preview(np.zeros((1, 8, 8, 3)), augmentation("photo"), columns=0), "columns=0"),
        (lambda: contact_sheet("bee.jpg"), "Received: images='bee.jpg'"),
        (
            lambda: contact_sheet([np.zeros((8, 8, 3))] * 2, ["one"]),
            "one entry for each of the 2 images. Received: captions=",
        ),
        (lambda: contact_sheet([np.zeros((8, 8, 3))], None), "Received: captions=None"),
        (lambda: contact_sheet([np.zeros((8, 8, 3))] * 2, groups=[1]), r"Received: groups=\[1\]"),
        (lambda: preview(np.zeros((1, 8, 8, 3)), augmentation("photo"), columns="4"), "columns='4'"),
        (lambda: contact_sheet([np.zeros((8, 8, 2))]), r"ndarray of shape \(8, 8, 2\)"),
        (lambda: contact_sheet(["no-such-file.png"]), "there is no such file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_would_do(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
