"""BatchNorm statistics follow unlabeled images: exactly, with a prior, or not at all."""

from math import inf

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras.adaptation.shares import check_shares

pytestmark = pytest.mark.backends


def _network(classes=3):
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="first")(layers.Conv2D(4, 3, name="conv")(layers.Rescaling(1 / 255)(inputs)))
    x = layers.Dropout(0.9)(layers.ReLU()(x))
    nested = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(5, 3), layers.BatchNormalization(scale=False)])
    x = layers.GlobalAveragePooling2D()(nested(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def _batchnorms(model):
    return [one for one in model._flatten_layers() if isinstance(one, layers.BatchNormalization)]


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 100, (120, 8, 8, 3)).astype("float32")


def _inputs_of(model, pixels):
    """Compute what the two BatchNorm layers receive, by parts of the model."""
    first, _ = _batchnorms(model)
    before_first = keras.Model(model.inputs[0], model.get_layer("conv").output)(pixels)
    nested = next(layer for layer in model.layers if isinstance(layer, keras.Sequential))
    before_second = nested.layers[0](keras.ops.relu(first(before_first, training=False)))
    return [keras.ops.convert_to_numpy(one).astype("float64") for one in (before_first, before_second)]


def test_prior_0_gives_the_batch_statistics_that_numpy_computes_layer_by_layer(pixels):
    model = _network()
    result = tlkeras.adapt_batchnorm(model, pixels, prior=0, batch_size=120)
    for layer, received in zip(_batchnorms(model), _inputs_of(model, pixels), strict=True):
        np.testing.assert_allclose(layer.moving_mean, received.mean(axis=(0, 1, 2)), atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, received.var(axis=(0, 1, 2)), rtol=1e-4)
    assert (result.share, result.layers, result.images) == (1, 2, 120)
    again = tlkeras.adapt_batchnorm(model, pixels, prior=0, batch_size=17)
    assert again.distance == pytest.approx(0, abs=0.02)  # batches of another size lead to nearly the same statistics


def test_a_prior_blends_both_statistics_by_their_numbers_of_images(pixels):
    model = _network()
    first = _batchnorms(model)[0]
    first.moving_mean.assign(np.full(4, 2.0))
    tlkeras.adapt_batchnorm(model, pixels, prior=360)
    received = _inputs_of(model, pixels)[0]
    np.testing.assert_allclose(first.moving_mean, (360 * 2.0 + 120 * received.mean(axis=(0, 1, 2))) / 480, atol=1e-5)


def test_an_infinite_prior_changes_no_bit(pixels):
    model = _network()
    before = model.get_weights()
    tlkeras.adapt_batchnorm(model, pixels, prior=inf)
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def test_with_source_images_the_normalized_target_has_the_moments_of_the_normalized_source(pixels):
    model, target = _network(), 40 + 2 * pixels[:, ::-1]
    first = _batchnorms(model)[0]
    first.moving_mean.assign(np.full(4, 0.3))
    first.epsilon = 1e-7  # which limits the match where variances are as small as it is
    normalized = [_normalized(first, _inputs_of(model, pixels)[0])]
    tlkeras.adapt_batchnorm(model, target, prior=0, source=pixels)
    normalized.append(_normalized(first, _inputs_of(model, target)[0]))
    for moment in (np.mean, np.std):
        np.testing.assert_allclose(*(moment(one, axis=(0, 1, 2)) for one in normalized), rtol=1e-3, atol=1e-4)


def test_images_like_the_source_change_nothing_whatever_the_statistics_were(pixels):
    model = _network()
    before = model.predict(pixels, verbose=0)
    tlkeras.adapt_batchnorm(model, pixels, prior=0, source=pixels, batch_size=120)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), before, atol=1e-5)


def test_labels_choose_the_prior_with_the_lowest_log_loss(pixels):
    shifted, model = pixels + 100, _network()
    labels = model.predict(pixels, verbose=0).argmax(axis=1)
    result = tlkeras.adapt_batchnorm(model, shifted, source=pixels, labeled=(shifted, labels))
    assert len(result.losses) == 5 and result.losses[result.prior] == min(result.losses.values())
    right = model.predict(shifted, verbose=0)[np.arange(120), labels]
    assert -np.log(right).mean() == pytest.approx(result.losses[result.prior], rel=1e-3)
    assert "Log loss on the labeled images" in str(result)


def test_a_model_whose_predictions_would_collapse_stays_as_it_was(pixels, monkeypatch):
    model = _network()
    before = model.get_weights()
    with pytest.raises(tlkeras.InputError, match=r"from 4\.0 classes in use to 1\.0"):
        check_shares(np.full(4, 0.25), np.array([1.0, 0, 0, 0]), "")
    monkeypatch.setattr("tlkeras.adaptation.shares._LEAST_LEFT", 10)  # so that any change is a collapse
    with pytest.raises(tlkeras.InputError, match=r"collapse.*The BatchNorm statistics were left unchanged"):
        tlkeras.adapt_batchnorm(model, pixels, prior=0)
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def test_models_and_images_that_cannot_be_adapted_are_refused(pixels, tmp_path):
    model = _network()
    with pytest.raises(tlkeras.InputError, match=r"at least 100 images\. Received: 99"):
        tlkeras.adapt_batchnorm(model, pixels[:99])
    norm = keras.Sequential([keras.Input((8, 8, 3)), layers.LayerNormalization(), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(tlkeras.InputError, match="Its LayerNormalization layers store no statistics"):
        tlkeras.adapt_batchnorm(norm, pixels)
    with pytest.raises(tlkeras.InputError, match=r"`prior` must be a number in \[0, inf\]"):
        tlkeras.adapt_batchnorm(model, pixels, prior=-1)
    with pytest.raises(tlkeras.InputError, match="class indices below 3"):
        tlkeras.adapt_batchnorm(model, pixels, labeled=(pixels[:2], [0, 3]))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    before = model.get_weights()
    with pytest.raises(tlkeras.ImageError, match=r"broken.jpg"):
        tlkeras.adapt_batchnorm(model, [*pixels, str(tmp_path / "broken.jpg")])
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def _normalized(layer, received):
    return keras.ops.convert_to_numpy(layer(received, training=False))
