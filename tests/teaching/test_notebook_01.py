"""Exercises of `01_the_whole_game`: right answers of any kind pass, wrong ones do not."""

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, in_gray, right",
    [
        ("less than 5", 0.78, True),
        ("5 to 20", 0.70, True),
        ("more than 20", 0.50, True),
        ("less than 5", 0.745, True),  # near the boundary, both
        ("5 to 20", 0.755, True),
        ("less than 5", 0.70, False),
        ("more than 20", 0.70, False),
        ("5 to 20", 0.80, False),
        (10, 0.70, False),
    ],
)
def test_01_1_is_judged_by_the_points_lost(prediction, in_gray, right, capsys):
    if right:
        check("01.1", prediction, [0.8], [in_gray])
        assert capsys.readouterr().out.startswith("01.1 is right")
    else:
        with pytest.raises(NotYet, match=r"points were lost|must be one of"):
            check("01.1", prediction, [0.8], [in_gray])


def test_01_1_says_whether_the_loss_is_more_than_chance(capsys):
    right = np.ones(85, bool)
    for lost, words in ((4, "cannot be distinguished from no change"), (9, "is more than chance")):  # p 0.125 and 0.004
        check("01.1", "less than 5" if lost == 4 else "5 to 20", right, np.arange(85) >= lost)
        assert f"{lost} became wrong and 0 right, which {words}" in " ".join(capsys.readouterr().out.split())


def _sorted_list(probabilities, labels):
    wrong = [i for i in range(len(labels)) if probabilities[i].argmax() != labels[i]]
    return sorted(wrong, key=lambda i: -max(probabilities[i]))


def _masked_array(probabilities, labels):
    confidence = np.where(probabilities.argmax(axis=1) == labels, -1, probabilities.max(axis=1))
    return np.argsort(-confidence)[: (confidence >= 0).sum()]


def _filtered_generator(probabilities, labels):
    order = np.argsort(probabilities.max(axis=1))[::-1]
    return tuple(order[probabilities.argmax(axis=1)[order] != labels[order]])


@pytest.mark.parametrize("answer", [_sorted_list, _masked_array, _filtered_generator])
def test_01_2_takes_any_function_that_finds_mistakes(answer, capsys):
    check("01.2", answer)
    assert capsys.readouterr().out.startswith("01.2 is right")


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda p, y: _sorted_list(p, y)[::-1], "not from most to least"),
        (lambda p, y: np.argsort(-p.max(axis=1)), "classified correctly"),
        (lambda p, y: _sorted_list(p, y)[:1], "are misclassified, not 1"),
        (lambda p: [], "TypeError"),
        ([1, 2], "must be a function"),
    ],
    ids=["ascending", "all images", "one only", "no labels", "list"],
)
def test_01_2_says_what_is_wrong(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("01.2", answer)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))


class Memory(keras.Model):
    """Answer with the class that it was told for each image, to stand for models of any accuracy."""

    def __init__(self, answers):
        super().__init__()
        self.told = answers

    def predict(self, pixels, verbose=0):
        return self.told if np.ndim(self.told) == 2 else np.eye(2)[self.told]


def test_01_3_compares_with_the_majority_class(images, capsys):
    labels = images.test.labels
    unsure, nearly = 0.4 + 0.2 * np.eye(2)[labels], np.where(np.arange(len(labels)) == 0, 1 - labels, labels)
    for right in (labels, unsure, nearly):
        check("01.3", Memory(right), images)
    assert "for the majority class" in capsys.readouterr().out.replace("\n", " ")
    largest = np.bincount(images.train.labels).argmax()
    with pytest.raises(NotYet, match="does not beat"):
        check("01.3", Memory(np.full_like(labels, largest)), images)
    with pytest.raises(NotYet, match="Keras model"):
        check("01.3", "model", images)
    with pytest.raises(NotYet, match="two of the splits"):
        check("01.3", Memory(labels), type(images)(**vars(images) | {"test": images.train}))
