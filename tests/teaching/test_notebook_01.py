"""Exercises of `01_feature_extraction`: right answers of any kind pass, wrong ones do not."""

import keras
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import tlkeras
from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, random, right",
    [
        ("between", 0.30, True),
        ("between", 0.21, True),
        ("majority", 0.21, True),
        ("majority", [0.17, 0.21], True),
        ("between", [0.17, 0.21], False),
        ("majority", 0.40, False),
        ("pretrained", 0.30, False),
        ("between", 0.80, False),
        ("somewhere", 0.30, False),
        (0.3, 0.30, False),
    ],
)
def test_01_1_is_judged_by_what_was_measured(prediction, random, right, capsys):
    if right:
        check("01.1", prediction, random, [0.2, 0.2], 0.6)
        assert capsys.readouterr().out.startswith("01.1 is right")
    else:
        with pytest.raises(NotYet):
            check("01.1", prediction, random, [0.2, 0.2], 0.6)


@pytest.mark.parametrize("accuracy", [0.4, np.float64(0.6)])
def test_01_2_takes_any_function_that_gives_a_likely_accuracy_for_the_side(accuracy):
    asked = []
    check("01.2", lambda side: asked.append(side) or accuracy)
    assert asked == [64]


@pytest.mark.parametrize(
    "answer",
    [0.5, lambda side: None, lambda side: ..., lambda side: 0.12, lambda side: 0.99, lambda side: [0.5], lambda: 0.5],
    ids=["number", "nothing", "stub", "chance", "training images", "list", "no side"],
)
def test_01_2_refuses_others(answer):
    with pytest.raises(NotYet):
        check("01.2", answer)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))


def test_01_3_refuses_what_does_not_beat_the_majority_class(images):
    lazy = make_pipeline(DummyClassifier()).fit(images.train.paths, images.train.labels)
    with pytest.raises(NotYet, match="majority"):
        check("01.3", lazy, images)


def test_01_3_takes_any_pipeline_that_does(images, capsys):
    tiny = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.AveragePooling2D(8), keras.layers.Flatten()])
    pipeline = make_pipeline(tlkeras.FeatureExtractor(tiny), KNeighborsClassifier(3))
    check("01.3", pipeline.fit(images.train.paths, images.train.labels), images)
    assert "majority class gives" in capsys.readouterr().out


def test_01_3_refuses_splits_that_share_an_image(images):
    leaky = type(images)(**vars(images) | {"test": images.train})
    with pytest.raises(NotYet, match="two of the splits"):
        check("01.3", DummyClassifier(), leaky)
    with pytest.raises(NotYet, match="load_images"):
        check("01.3", DummyClassifier(), images.train)
