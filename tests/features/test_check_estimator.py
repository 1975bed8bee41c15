"""scikit-learn's own checks of what an estimator must do."""

import copy
import datetime
import time
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras.src.saving import saving_lib
from sklearn.utils.estimator_checks import estimator_checks_generator

import tlkeras


def _network(shape):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input(shape), keras.layers.Conv2D(4, 3, padding="same", activation="relu")])
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    # Of a copy, since a check compares the pickle of a copy with that of its original, and Keras' first copy differs.
    return copy.deepcopy(model)


FLAT = tlkeras.FeatureExtractor(_network((None, None, 3)), input="flat", engine="keras")
IMAGES = tlkeras.FeatureExtractor(_network((8, 8, 3)), engine="keras")


@pytest.fixture(autouse=True)
def _one_date(monkeypatch):
    """Stop the clock: a pickled model holds the time twice, and a check compares pickles before and after `fit`."""
    date = datetime.datetime(2026, 1, 1)
    monkeypatch.setattr(saving_lib, "datetime", SimpleNamespace(datetime=SimpleNamespace(now=lambda: date)))
    monkeypatch.setattr(zipfile, "time", SimpleNamespace(time=date.timestamp, localtime=time.localtime))


def _checks(estimator):
    return [
        pytest.param(instance, check, id=check.func.__name__)
        for instance, check in estimator_checks_generator(estimator)
    ]


@pytest.mark.parametrize(("estimator", "check"), _checks(FLAT))
def test_flat_mode_passes_every_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("estimator", "check"), _checks(IMAGES))
def test_image_mode_passes_the_checks_that_apply(estimator, check):
    check(estimator)
