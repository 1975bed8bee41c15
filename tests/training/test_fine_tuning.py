"""`fine_tune` improves on the probe, keeps the best weights whatever happens, and leaves a plain Keras model."""

import shutil
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras.training.steps.cached_trunk import CachedTrunk
from tlkeras.training.steps.data import as_batches, each_batch
from tlkeras.training.steps.l2_sp import pulled_to_start

pytestmark = pytest.mark.backends

SIZE = 16


def classifier(classes=3, augmentation=(), activation="softmax", units=None):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *augmentation,
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(8, 3, strides=2, use_bias=False, name="block1_conv"),
            layers.BatchNormalization(name="block1_bn"),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2, use_bias=False, name="block2_conv"),
            layers.BatchNormalization(name="block2_bn"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.1),
            layers.Dense(units or classes, activation=activation, name="predictions"),
        ]
    )


def stripes(count=48, classes=3, seed=0):
    """Stripes of another direction and period a class: what color alone does not tell."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    rows, columns = np.mgrid[:SIZE, :SIZE]
    waves = [np.sin(rows), np.sin(columns), np.sin(rows + columns)]
    images = np.stack([127 + 80 * np.roll(waves[label], rng.integers(8)) for label in labels])[..., None]
    return np.clip(images + rng.normal(0, 40, (count, SIZE, SIZE, 3)), 0, 255).astype("uint8"), labels


def weights_of(model):
    return [np.array(weight) for weight in model.get_weights()]


def assert_equal(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def train():
    return stripes(seed=0)


@pytest.fixture(scope="module")
def validation():
    return stripes(24, seed=1)


def test_lowers_the_validation_loss_of_the_probe(train, validation):
    model, options = classifier(), {"label_smoothing": 0, "verbose": False}  # the loss that is watched is that below
    tlkeras.fine_tune(model, train, validation, epochs=0, **options)
    probe = model.evaluate(*validation, verbose=0)[0]
    result = tlkeras.fine_tune(model, train, validation, epochs=8, learning_rate=5e-3, probe=False, **options)
    assert result.best_epoch > 0
    assert model.evaluate(*validation, verbose=0)[0] < probe


@pytest.mark.one_backend
def test_result_tells_phases_history_and_rates(train, validation):
    model = classifier()
    result = tlkeras.fine_tune(model, train, validation, epochs=2, layer_decay=0.5, verbose=False)
    assert [phase.name for phase in result.phases] == ["probe", "fine-tune", "average"]
    assert all(phase.seconds > 0 for phase in result.phases)
    assert len(result.history["val_loss"]) == 2
    rates = [row.learning_rate for row in result.learning_rates]
    np.testing.assert_allclose(np.array(rates[:-1]) / np.array(rates[1:]), 0.5)
    assert "probe" in str(result) and "weights of epoch" in str(result)
    assert repr(result).startswith("FineTuning(probe ") and len(repr(result)) < 120


def test_frozen_blocks_and_batchnorm_stay_bit_identical(train):
    model = classifier()
    model.get_layer("block2_bn").set_weights([np.full(16, value) for value in (1.5, 0.5, 0.1, 2.0)])
    before = {layer.name: [np.array(weight) for weight in layer.get_weights()] for layer in model.layers}
    tlkeras.fine_tune(model, train, epochs=2, blocks=1, cache=False, verbose=False)
    for name in ("block1_conv", "block1_bn", "block2_bn"):
        for one, other in zip(before[name], model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(before["block2_conv"][0], model.get_layer("block2_conv").get_weights()[0])


@pytest.mark.one_backend
@pytest.mark.slow
def test_saved_model_opens_with_keras_alone_and_without_a_warning(train, validation, tmp_path, children):
    model = classifier()
    tlkeras.fine_tune(model, train, validation, epochs=1, verbose=False)
    model.save(tmp_path / "model.keras")
    script = (
        "import sys, warnings, keras; warnings.simplefilter('error'); keras.saving.load_model(sys.argv[1]); "
        "assert 'tlkeras' not in sys.modules"
    )
    children.run(script, tmp_path / "model.keras")


def test_cached_trunk_gives_what_training_the_whole_model_gives(train, validation):
    found = []
    for cache in (True, False):
        model = classifier()
        model.layers[-2].rate = 0.0  # dropout draws other numbers on another graph
        result = tlkeras.fine_tune(
            model, train, validation, epochs=3, blocks=1, cache=cache, batch_size=48, label_smoothing=0, verbose=False
        )
        assert ("cache" in [phase.name for phase in result.phases]) == cache
        found.append(model.predict(validation[0], verbose=0))
    # One batch an epoch, so the order of images does not matter; float16 in the cache does, a little.
    np.testing.assert_allclose(*found, atol=2e-3)


@pytest.mark.one_backend
def test_cache_is_off_where_views_cost_more_than_they_save(train, monkeypatch, capsys):
    monkeypatch.setattr(keras.Model, "fit", interrupt)  # all that is asked here comes before
    model = classifier(augmentation=[layers.RandomFlip()])
    result = tlkeras.fine_tune(model, train, epochs=2, blocks=1, cached_views=4, probe=False)
    assert "cache" not in [phase.name for phase in result.phases]
    assert "No cache" in capsys.readouterr().err


def test_augmented_views_differ_and_are_refreshed_each_in_its_turn(train):
    trunk = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.RandomTranslation(0.2, 0.2), layers.Flatten()])
    cached = CachedTrunk(trunk, as_batches(train, 16), views=2, random=True, refresh=2, batch_size=48)
    seen = []
    for epoch in range(5):
        cached.set_epoch(epoch)
        seen.append(cached[0][0])
        np.testing.assert_array_equal(cached[0][1], train[1])
    same = [[np.array_equal(one, other) for other in seen] for one in seen]
    # Views a and b; a is drawn anew after two epochs, b after four.
    np.testing.assert_array_equal(same, np.equal.outer(*[["a", "b", "A", "b", "A"]] * 2))


def test_held_out_features_stay_in_order_to_the_last_short_batch(train):
    trunk = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Flatten()])
    images, labels = train[0][:19], train[1][:19]
    cached = CachedTrunk(trunk, as_batches((images, labels), 8), batch_size=8)
    features, numbers = map(np.concatenate, zip(*each_batch(cached), strict=True))
    np.testing.assert_array_equal(features, images.reshape(19, -1))
    np.testing.assert_array_equal(numbers, labels)
    assert [len(cached[index][1]) for index in range(len(cached))] == [8, 8, 3]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mix": layers.MixUp(0.2)}, "No cache: images are mixed"),
        ({"callbacks": keras.callbacks.Callback()}, "No cache: callbacks need"),
        ({"blocks": None}, "No cache: there is no frozen part"),
        ({"blocks": None, "cache": "auto"}, None),
    ],
    ids=["mix", "callbacks", "all trains", "auto"],
)
def test_a_cache_that_was_asked_for_and_cannot_be_is_told(train, monkeypatch, capsys, options, reason):
    monkeypatch.setattr(keras.Model, "fit", interrupt)  # all that is asked here comes before
    tlkeras.fine_tune(classifier(), train, probe=False, epochs=1, **{"blocks": 1, "cache": True} | options)
    said = capsys.readouterr().err
    assert reason in said if reason else "cache" not in said


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_probe(train, validation):
    model = classifier()
    tlkeras.fine_tune(model, train, validation, epochs=0, verbose=False)
    before = np.array(model.predict(validation[0], verbose=0))
    result = tlkeras.fine_tune(model, train, validation, epochs=3, learning_rate=1e30, probe=False, verbose=False)
    assert result.stopped == "not a number"
    np.testing.assert_array_equal(model.predict(validation[0], verbose=0), before)


def test_an_interruption_keeps_the_best_weights(train, validation):
    model, wrong = classifier(), (validation[0], (validation[1] + 1) % 3)  # so that the last weights are not the best
    tlkeras.fine_tune(model, train, epochs=0, verbose=False)
    losses, weights = [model.evaluate(*wrong, verbose=0)[0]], [weights_of(model)]

    def on_epoch_end(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt
        losses.append(logs["val_loss"])
        weights.append(weights_of(model))

    options = {
        "learning_rate": 1e-2,
        "label_smoothing": 0,
        "probe": False,
        "average_with_probe": None,
        "verbose": False,
    }
    noting = keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
    result = tlkeras.fine_tune(model, train, wrong, epochs=9, callbacks=noting, **options)
    best = int(np.argmin(losses))
    assert (result.stopped, result.best_epoch, len(losses)) == ("interrupted", best, 3)
    assert best < 2
    assert_equal(weights_of(model), weights[best])


@pytest.mark.one_backend
def test_stops_when_validation_no_longer_improves(train, validation):
    wrong = (validation[0], (validation[1] + 1) % 3)
    result = tlkeras.fine_tune(classifier(), train, wrong, epochs=20, patience=1, learning_rate=1e-2, verbose=False)
    assert result.stopped == "no improvement"
    assert len(result.history["loss"]) < 20


def test_without_validation_the_last_weights_stay(train):
    model, weights = classifier(), []
    noting = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(weights_of(model)))
    result = tlkeras.fine_tune(model, train, epochs=2, callbacks=noting, average_with_probe=None, verbose=False)
    assert result.best_epoch == 2 and result.stopped is None
    assert_equal(weights_of(model), weights[1])


@pytest.mark.parametrize(
    "options",
    [
        {"mix": layers.MixUp(0.2)},
        pytest.param({"batch_size": 1000}, marks=pytest.mark.one_backend),
    ],
    ids=lambda options: ",".join(options),
)
def test_blended_images_and_batches_larger_than_the_data_train(train, validation, options):
    model = classifier()
    result = tlkeras.fine_tune(model, train, validation, epochs=2, verbose=False, **options)
    assert np.isfinite(result.history["loss"]).all()
    assert model.evaluate(*validation, verbose=0)[1] > 1 / 3


def test_a_model_trained_on_one_hot_labels_is_evaluated_on_them(train):
    one_hot = (train[0], np.eye(3)[train[1]])
    model = classifier()
    tlkeras.fine_tune(model, one_hot, one_hot, epochs=1, verbose=False)
    right = model.predict(train[0], verbose=0).argmax(axis=1) == train[1]
    assert model.evaluate(*one_hot, verbose=0)[1] == pytest.approx(right.mean())


@pytest.mark.parametrize(
    ("learning_rate", "rows"),
    [pytest.param(1e-3, 48, marks=pytest.mark.one_backend), (3e-2, 3)],
)
@pytest.mark.slow
def test_of_probe_tuned_weights_and_their_mean_the_best_on_validation_data_stays(
    learning_rate, rows, train, validation
):
    options = {"patience": 3, "learning_rate": learning_rate, "label_smoothing": 0, "verbose": False}
    train, weights = tuple(part[:rows] for part in train), {}
    for name, more in {
        "probe": {"epochs": 0},
        "tuned": {"epochs": 3, "average_with_probe": 0.0},
        "auto": {"epochs": 3},
    }.items():
        model = classifier()
        tlkeras.fine_tune(model, train, validation, **options, **more)
        weights[name] = model.get_weights()
    losses = []
    for share in (0, 0.5, 1):
        model.set_weights(
            [(1 - share) * a + share * b for a, b in zip(weights["probe"], weights["tuned"], strict=True)]
        )
        losses.append(model.evaluate(*validation, verbose=0)[0])
    model.set_weights(weights["auto"])
    assert model.evaluate(*validation, verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)


def test_average_with_probe_recomputes_the_batchnorm_statistics_that_train(train):
    model = classifier()
    tlkeras.fine_tune(
        model,
        train,
        epochs=2,
        average_with_probe=0.5,
        batchnorm="train",
        learning_rate=1e-2,
        batch_size=48,
        verbose=False,
    )
    before_norm = keras.Model(model.inputs[0], model.get_layer("block1_conv").output).predict(train[0], verbose=0)
    norm = model.get_layer("block1_bn")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(norm.moving_mean), before_norm.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(norm.moving_variance), before_norm.var(axis=(0, 1, 2)), rtol=1e-3
    )
    assert norm.momentum == 0.99


def runs_of(train, validation=None, **options):
    """A classifier fine-tuned twice, and the weights at the end of each epoch."""
    model, epochs = classifier(), []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(weights_of(model)))
    options = {"runs": 2, "epochs": 2, "learning_rate": 1e-2, "callbacks": note, "verbose": False, **options}
    return model, tlkeras.fine_tune(model, train, validation, **options), epochs


def test_a_soup_is_the_mean_of_runs_from_one_start_averaged_with_the_probe_by_its_share(train):
    probe = classifier()
    tlkeras.fine_tune(probe, train, epochs=0, verbose=False)
    model, result, epochs = runs_of(train, average_with_probe=0.75)
    first, second = epochs[1], epochs[3]
    assert not np.array_equal(first[-2], second[-2])
    for start, one, other, found in zip(probe.get_weights(), first, second, model.get_weights(), strict=True):
        np.testing.assert_allclose(found, 0.75 * start + 0.25 * (one + other) / 2, atol=1e-5)
    assert (result.runs, result.average_with_probe, result.best_epoch, len(result.history["loss"])) == (2, 0.75, 4, 4)
    assert [phase.name for phase in result.phases] == ["probe", "fine-tune", "fine-tune", "average runs", "average"]
    assert result.kept == "an average of the mean weights of 2 runs (25%) and the starting weights (75%)"


def test_each_run_of_a_soup_begins_with_a_fresh_optimizer_and_the_same_weights(train):
    """One batch an epoch and nothing random: both runs are the same, and so is their mean."""
    one = classifier()
    one.layers[-2].rate = 0.0
    others = keras.models.clone_model(one)
    others.set_weights(one.get_weights())
    options = {"epochs": 3, "batch_size": 48, "ema_momentum": 0.9, "learning_rate": 1e-2, "verbose": False}
    tlkeras.fine_tune(one, train, **options)
    tlkeras.fine_tune(others, train, runs=2, **options)
    for weight, other in zip(one.get_weights(), others.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-5)


@pytest.mark.one_backend
def test_of_a_soup_what_has_the_lowest_loss_on_validation_data_stays(train, validation):
    model, result, epochs = runs_of(train, validation, average_with_probe=None, label_smoothing=0, cache=False)
    found, losses = model.evaluate(*validation, verbose=0)[0], []
    for weights in epochs:
        model.set_weights(weights)
        losses.append(model.evaluate(*validation, verbose=0)[0])
    best = [epochs[int(np.argmin(losses[:2]))], epochs[2 + int(np.argmin(losses[2:]))]]
    model.set_weights([(one + other) / 2 for one, other in zip(*best, strict=True)])
    losses.append(model.evaluate(*validation, verbose=0)[0])
    assert found == pytest.approx(min(losses), rel=1e-3)
    assert result.history["val_loss"] == pytest.approx(losses[:4], rel=1e-3)


def test_l2_sp_keeps_the_weights_near_their_start(train):
    start, moved = classifier().get_layer("block1_conv").get_weights()[0], []
    for strength in (0.0, 100.0):
        model = classifier()
        tlkeras.fine_tune(model, train, epochs=3, learning_rate=1e-2, l2_sp=strength, verbose=False)
        moved.append(np.abs(model.get_layer("block1_conv").get_weights()[0] - start).mean())
    assert moved[1] < 0.5 * moved[0]


def test_l2_sp_adds_to_the_regularizers_of_the_model_and_leaves_them():
    dense = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.5), kernel_initializer="ones")
    dense.build((None, 2))
    start = [(weight, np.zeros(weight.shape, "float32")) for weight in dense.trainable_weights]
    with pulled_to_start(start, 10.0):
        assert sum(map(float, dense.losses)) == pytest.approx(0.5 * 2 + 10 * 2)
    assert [float(loss) for loss in dense.losses] == [pytest.approx(0.5 * 2)]


def test_the_file_of_a_model_in_mixed_precision_opens_without_a_warning(train, tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        features = [layers.Rescaling(1 / 255), layers.GlobalAveragePooling2D()]
        model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *features, layers.Dense(3, "softmax", dtype="float32")])
        tlkeras.fine_tune(model, train, epochs=0, verbose=False)
        model.save(tmp_path / "model.keras")
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Skipping variable loading for optimizer")
            keras.models.load_model(tmp_path / "model.keras")
    finally:
        keras.config.set_dtype_policy(policy)


class Stream:
    """Batches whose images are counted by going through them."""

    def __init__(self, sizes):
        self.sizes, self.passes = sizes, 0

    def __len__(self):
        return len(self.sizes)

    def __iter__(self):
        self.passes += 1
        for start, size in zip(np.cumsum([0, *self.sizes]), self.sizes, strict=False):
            numbers = np.arange(start, start + size)
            yield np.stack([numbers, -numbers], axis=1).astype("float32"), numbers


@pytest.mark.parametrize(("sizes", "passes"), [((4, 4, 2), 1), ((2, 4, 4), 2)])
@pytest.mark.parametrize("bytes_in_memory", [0, 10**9])
def test_streams_are_read_once_to_be_cached_unless_a_batch_is_larger_than_the_first(
    monkeypatch, sizes, passes, bytes_in_memory
):
    monkeypatch.setattr("tlkeras.training.steps.cached_trunk.MEMORY_BYTES", bytes_in_memory)
    trunk, stream = keras.Sequential([keras.Input((2,)), layers.Rescaling(1.0)]), Stream(sizes)
    cached = CachedTrunk(trunk, stream, batch_size=10)
    features, labels = cached[0]
    assert stream.passes == passes and labels.tolist() == list(range(10)) and len(cached) == 1
    np.testing.assert_array_equal(features, np.stack([labels, -labels], axis=1))
    cached.close()


@pytest.mark.parametrize("bytes_in_memory", [0, 10**9])
def test_features_beyond_float16_are_cached_in_float32(monkeypatch, bytes_in_memory):
    monkeypatch.setattr("tlkeras.training.steps.cached_trunk.MEMORY_BYTES", bytes_in_memory)
    trunk = keras.Sequential([keras.Input((2,)), layers.Rescaling(1.0)])
    features = np.arange(20, dtype="float32").reshape(10, 2) * [1, 10_000]  # beyond 65504 from the second batch on
    cached = CachedTrunk(trunk, as_batches((features, np.zeros(10)), 3), batch_size=10)
    np.testing.assert_allclose(cached[0][0], features, rtol=1e-3)
    cached.close()


@pytest.mark.parametrize(
    ("activation", "units"),
    [("sigmoid", 1), *(pytest.param(*case, marks=pytest.mark.one_backend) for case in ((None, 2), ("sigmoid", 2)))],
)
def test_binary_and_multi_label_heads_and_logits_are_trained(activation, units):
    images, labels = stripes(classes=2)
    if activation == "sigmoid" and units == 2:
        labels = np.eye(2, dtype="int64")[labels]
    model = classifier(activation=activation, units=units)
    result = tlkeras.fine_tune(model, (images, labels), epochs=1, verbose=False)
    assert np.isfinite(result.history["loss"]).all()


@pytest.mark.slow
def test_takes_any_data_that_fit_takes(train, validation):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            part = slice(16 * index, 16 * index + 16)
            return train[0][part], train[1][part]

    kinds = [Batches()]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        kinds.append(tf.data.Dataset.from_tensor_slices(train).batch(16))
    if keras.backend.backend() == "torch":
        import torch

        tensors = torch.utils.data.TensorDataset(torch.from_numpy(train[0]), torch.from_numpy(train[1]))
        kinds.append(torch.utils.data.DataLoader(tensors, batch_size=16))
    for data, blocks in zip(kinds, (1, None), strict=False):
        result = tlkeras.fine_tune(classifier(), data, validation, epochs=2, blocks=blocks, verbose=False)
        assert len(result.history["loss"]) == 2


@pytest.mark.one_backend
def test_a_class_missing_from_validation_is_no_obstacle(train, validation):
    some = validation[1] != 2
    result = tlkeras.fine_tune(classifier(), train, (validation[0][some], validation[1][some]), epochs=1, verbose=False)
    assert np.isfinite(result.history["val_loss"]).all()


@pytest.mark.one_backend
@pytest.mark.parametrize("when", ["told by the disk's size", "while blocks are reserved"])
def test_a_full_disk_turns_the_cache_off(train, monkeypatch, capsys, tmp_path, when):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tlkeras.training.steps.cached_trunk.MEMORY_BYTES", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if when.startswith("told"):
        monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9 - 10, 10))
    else:
        monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    monkeypatch.setattr(keras.Model, "fit", interrupt)  # the cache comes before
    result = tlkeras.fine_tune(classifier(), train, epochs=1, blocks=1, cache=True, probe=False)
    assert [phase.name for phase in result.phases] == ["fine-tune"]
    said = capsys.readouterr().err
    assert ("10 are free" if when.startswith("told") else "No space left on device") in said
    assert not list(tmp_path.iterdir())


@pytest.mark.one_backend
def test_a_trunk_without_randomness_is_computed_once(train, monkeypatch):
    drawn, draw = [], CachedTrunk._draw
    monkeypatch.setattr(CachedTrunk, "_draw", lambda self, *view: (drawn.append(view), draw(self, *view)))
    tlkeras.fine_tune(classifier(), train, epochs=4, blocks=1, cache=True, verbose=False)
    assert drawn == [(0, 0)]


@pytest.mark.one_backend
def test_columns_of_class_numbers_are_evaluated_as_such(train):
    model = classifier()
    tlkeras.fine_tune(model, (train[0], train[1][:, None]), epochs=0, verbose=False)
    right = model.predict(train[0], verbose=0).argmax(axis=1) == train[1]
    assert model.evaluate(train[0], train[1][:, None], verbose=0)[1] == pytest.approx(right.mean())


def test_a_large_cache_lives_in_a_file_and_is_removed(train, validation, monkeypatch, tmp_path):
    monkeypatch.setattr("tlkeras.training.steps.cached_trunk.MEMORY_BYTES", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = []
    monkeypatch.setattr("tlkeras.training.steps.cached_trunk._reserve", files.append)
    result = tlkeras.fine_tune(classifier(), train, validation, epochs=2, blocks=1, cache=True, verbose=False)
    assert "cache" in [phase.name for phase in result.phases]
    assert len(files) == 2 and all(file.is_relative_to(tmp_path) for file in files)  # for training and validation
    assert not list(tmp_path.iterdir())
