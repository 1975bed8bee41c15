"""Exercises of `03_feature_extraction`: right answers of any kind pass, wrong ones do not."""

import keras
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import tlkeras
from tlkeras.teaching import NotYet, check
from tlkeras.teaching.exercises import notebook_03


@pytest.mark.parametrize(
    "prediction, many, right",
    [("half", 0.05, True), ("half", 0.06, True), ("a quarter", 0.025, True), ("the same", 0.1, True),
     ("a quarter", 0.05, False), ("the same", 0.05, False), (0.5, 0.05, False)],
)  # fmt: skip
def test_03_1_is_judged_by_the_simulation(prediction, many, right):
    if right:
        check("03.1", prediction, [0.1, 0.1], [many])
    else:
        with pytest.raises(NotYet):
            check("03.1", prediction, [0.1, 0.1], [many])


@pytest.mark.parametrize("accuracy", [0.4, np.float64(0.6), np.float32(0.5)])
def test_03_2_takes_any_function_that_gives_the_accuracy_for_the_side(accuracy, monkeypatch):
    asked = []
    monkeypatch.setattr(notebook_03, "measured_at", lambda side: accuracy - 0.02)  # three splits, drawn differently
    check("03.2", lambda side: asked.append(side) or accuracy - 0.1 * (side < 64))
    assert asked == [64, 32]


@pytest.mark.parametrize(
    "answer, hint",
    [
        (0.5, "must be a function"),
        (lambda side: None, "does not return"),
        (lambda side: 0.12, "too low"),
        (lambda side: 0.99, "too good"),
        (lambda side: [0.5], r"\[0, 1\]"),
        (lambda side: 0.6, "not what three splits give here, 54%"),
        (lambda side: 0.55, "exactly the same at 32 x 32"),
    ],
    ids=["number", "nothing", "chance", "training images", "list", "constant", "constant near the truth"],
)
def test_03_2_says_what_is_wrong(answer, hint, monkeypatch):
    monkeypatch.setattr(notebook_03, "measured_at", lambda side: 0.54)
    with pytest.raises(NotYet, match=hint):
        check("03.2", answer)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(32, 32))


def test_03_3_takes_any_pipeline_that_beats_the_majority_class(images, capsys):
    tiny = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.AveragePooling2D(8), keras.layers.Flatten()])
    for classifier in (KNeighborsClassifier(3), SVC(C=10), RandomForestClassifier(random_state=0)):
        pipeline = make_pipeline(tlkeras.FeatureExtractor(tiny), StandardScaler(), classifier)
        check("03.3", pipeline.fit(images.train.paths, images.train.labels), images)
    assert "for the majority class" in capsys.readouterr().out.replace("\n", " ")
    lazy = make_pipeline(DummyClassifier()).fit(images.train.paths, images.train.labels)
    with pytest.raises(NotYet, match="majority"):
        check("03.3", lazy, images)


def test_03_3_refuses_splits_that_share_an_image(images):
    leaky = type(images)(**vars(images) | {"test": images.train})
    with pytest.raises(NotYet, match="two of the splits"):
        check("03.3", DummyClassifier(), leaky)
    with pytest.raises(NotYet, match="load_images"):
        check("03.3", DummyClassifier(), images.train)
