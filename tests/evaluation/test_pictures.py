"""Figures of images and results show what they are given, whatever the names, and say it in words."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import tlkeras
from tlkeras import InputError
from tlkeras.evaluation.illustration import HUES, SCALE

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 255, (12, 16, 24, 3)).astype("uint8")
LABELS = np.arange(12) % 3
NAMES = ["cat", "price $5 to $6_x^", "лиса"]
PROBABILITIES = np.eye(3)[(LABELS + (np.arange(12) < 5)) % 3] * 0.6 + 0.1 + 0.1 * np.linspace(1, 0, 12)[:, None]
FEATURES = RANDOM.normal(size=(12, 6)) + 3 * np.eye(6)[LABELS]


def _texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _drawn(figure, scale=0.25):
    """Draw a figure, which fails on texts that are no valid math."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=scale * figure.dpi)
    return np.asarray(Image.open(file).convert("RGB"))


def test_answers_are_sorted_into_right_wrong_and_most_confident_mistakes():
    asked = []

    def maps(indices):
        asked.append(indices)
        return np.ones((len(indices), 2, 2))

    figure = tlkeras.answered_images(IMAGES, LABELS, PROBABILITIES, NAMES, columns=3, maps=maps)
    texts = _texts(figure)
    assert figure.get_suptitle() == "7 of 12 answers are right (58.3%)"
    assert {"Right", "Wrong", "Most confident mistakes"} < set(texts)
    assert asked[0].tolist() == [0, 1, 2]  # probabilities fall from the first image to the last
    assert sum(text.startswith("✓") for text in texts) == 3
    assert sum("\nlabel: " in text for text in texts) == 5
    assert "✗ price $5 to $6_… 80%\nlabel: cat" in texts
    assert len(figure.axes) == 3 + 2 + 3 + 3
    np.testing.assert_array_equal(np.asarray(figure.axes[-1].images[0].get_array()).shape[:2], 256)
    assert "Most confident mistakes: price $5 to $6_… 80% (label cat)" in figure.alt
    _drawn(figure)


def test_rows_without_images_are_left_out():
    figure = tlkeras.answered_images(IMAGES, LABELS, np.eye(3)[LABELS], NAMES, maps=np.ones((12, 2, 2)))
    assert not {"Wrong", "Most confident mistakes"} & set(_texts(figure))
    assert len(tlkeras.answered_images(IMAGES[:1], [0], [[1.0]], ["only"]).axes) == 1


def test_neighbors_are_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    figure = tlkeras.nearest_neighbors(IMAGES, FEATURES, [2, 5], k=4)
    expected = NearestNeighbors(metric="cosine").fit(FEATURES).kneighbors(FEATURES[[2, 5]], 5, return_distance=False)
    listed = [re.findall(r"image (\d+) \(", row) for row in figure.alt.split("Neighbors of")[1:]]
    assert [[int(index) for index in row] for row in listed] == expected[:, 1:].tolist()
    assert len(figure.axes) == 10


def test_neighbors_leave_out_the_group_of_the_image_and_count_its_class():
    groups = np.arange(12) // 6
    figure = tlkeras.nearest_neighbors(IMAGES, FEATURES, 0, labels=LABELS, class_names=NAMES, groups=groups, k=20)
    assert len(figure.axes) == 1 + 6
    assert figure.get_suptitle() == "2 of 6 nearest neighbors have the label of their image"
    _drawn(figure)


def test_the_map_has_the_components_of_scikit_learn_and_names_all_classes():
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    figure = tlkeras.feature_map(FEATURES, LABELS, NAMES, title="Cost $5")
    expected = PCA(2).fit_transform(normalize(FEATURES))
    for label, drawn in enumerate(figure.axes[0].collections):
        np.testing.assert_allclose(np.abs(drawn.get_offsets()), np.abs(expected[label == LABELS]), atol=1e-6)
    assert [text.get_text() for text in figure.legends[0].texts] == NAMES
    _drawn(figure)


@pytest.mark.parametrize("classes", [1, 100])
def test_maps_take_one_class_and_a_hundred(classes):
    labels = np.arange(200) % classes
    features = np.eye(100)[labels] + RANDOM.normal(0, 0.1, (200, 100))
    figure = tlkeras.feature_map(features, labels, [f"class ${number}" for number in range(classes)])
    assert bool(figure.legends) == (classes == 1)
    assert "class $0" in _texts(figure)
    assert figure.alt.startswith(f"200 images of {'1 class' if classes == 1 else '100 classes'} on")


def test_up_to_twenty_classes_differ_in_grayscale():
    figure = tlkeras.feature_map(RANDOM.normal(size=(20, 4)), np.arange(20), [str(number) for number in range(20)])
    looks = {
        (str(one.get_paths()[0].vertices), bool((one.get_facecolor() == 1).all())) for one in figure.axes[0].collections
    }
    assert len(looks) == 20


def test_thumbnails_do_not_cover_one_another():
    figure = tlkeras.feature_map(FEATURES, LABELS, NAMES, images=IMAGES)
    _drawn(figure, 1)
    boxes = [child.get_window_extent() for child in figure.axes[0].artists]
    assert len(boxes) > 3
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])


def test_equal_features_are_drawn_at_one_point():
    assert np.ptp(tlkeras.feature_map(np.ones((4, 3)), [0] * 4, ["only"]).axes[0].collections[0].get_offsets()) == 0


def test_dots_are_labeled_in_percent_with_intervals_and_baselines():
    values = {"frozen $5 ^_": (0.72, 0.68, 0.76), "лиса": 0.31}
    figure = tlkeras.dot_chart(values, title="Frozen wins. " * 12, baselines={"chance": 0.1}, highlight="лиса")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(values)
    assert list(axes.lines[0].get_xdata()) == pytest.approx([68, 76])
    assert {"72.0%", "31.0%", "chance 10.0%"} <= set(_texts(figure))
    assert "frozen $5 ^_ 72.0% (68.0% to 76.0%); лиса 31.0%; chance 10.0%." in figure.alt
    pixels = _drawn(figure)
    assert (pixels[:, -2:] == 255).all(), "a text is cut off"


def test_heat_maps_write_numbers_where_they_can_be_read():
    figure = tlkeras.heat_map([[0.9, np.nan], [0.4, 0.8]], ["a$", "b"], ["$c$", "d"], title="T", xlabel="x")
    assert {"90%", "40%", "80%", "a$", "$c$"} <= set(_texts(figure))
    assert "from 40% (b, $c$) to 90% (a$, $c$)" in figure.alt
    _drawn(figure)
    many = [f"class {number}" for number in range(100)]
    figure = tlkeras.heat_map(RANDOM.random((100, 100)), many, many)
    assert not figure.axes[0].texts
    assert max(figure.get_size_inches()) < 13


def test_figures_are_sharp_and_have_a_text_alternative_in_notebooks():
    data, metadata = tlkeras.heat_map([[0.5]], ["a"], ["b"])._repr_mimebundle_()
    size = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size
    shown = metadata["image/png"]
    assert size == pytest.approx((2 * shown["width"], 2 * shown["height"]), abs=2)
    assert shown["alt"] == data["text/plain"] == "1 row by 1 column, from 50% (a, b) to 50% (a, b)."


def test_the_palette_is_that_of_the_page_and_the_scale_darkens_steadily():
    style = Path(tlkeras.__file__).with_name("report").joinpath("templates/style.css").read_text()
    assert tuple(re.findall(r"--hue-\d: (#\w{6})", style)[: len(HUES)]) == HUES
    light = SCALE(np.linspace(0, 1, 50))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) < 0).all()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: tlkeras.answered_images(IMAGES, LABELS, PROBABILITIES[:, :2], NAMES),
        lambda: tlkeras.answered_images(IMAGES, LABELS + 1, PROBABILITIES, NAMES),
        lambda: tlkeras.nearest_neighbors(IMAGES, FEATURES[:5], 0),
        lambda: tlkeras.nearest_neighbors(IMAGES, FEATURES, 12),
        lambda: tlkeras.nearest_neighbors(IMAGES, FEATURES, 0, labels=LABELS),
        lambda: tlkeras.feature_map(FEATURES, LABELS[:5], NAMES),
        lambda: tlkeras.feature_map(FEATURES, LABELS, NAMES[:2]),
        lambda: tlkeras.feature_map(FEATURES, LABELS, NAMES, images=IMAGES[:3]),
        lambda: tlkeras.dot_chart({}),
        lambda: tlkeras.dot_chart({"a": 72}),
        lambda: tlkeras.dot_chart({"a": (0.7, 0.8, 0.9)}),
        lambda: tlkeras.dot_chart({"a": 0.7}, highlight="b"),
        lambda: tlkeras.heat_map([[0.5]], ["a"], ["b", "c"]),
        lambda: tlkeras.heat_map([[50]], ["a"], ["b"]),
    ],
)
def test_arguments_that_do_not_fit_are_refused(draw):
    with pytest.raises(InputError, match="Received"):
        draw()
