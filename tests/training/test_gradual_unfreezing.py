"""Gradual unfreezing inside one `fit`: who trains when, how fast, and what a killed run comes back to."""

import errno
import itertools
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.errors import InputError
from tlkeras.training.gradual_unfreezing import GradualUnfreezing

pytestmark = pytest.mark.backends
layers = keras.layers


def small_model(dropout=0.0):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="pixels")
    x = layers.Dense(5, activation="tanh", name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dense(4, activation="tanh", name="second")(x)
    x = layers.Dropout(dropout, seed=1, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(3, name="predictions")(x), name="small")


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 6)).astype("float32"), rng.normal(size=(32, 3)).astype("float32")


def fit(model, callbacks, epochs, **kwargs):
    return model.fit(*data(), batch_size=8, epochs=epochs, shuffle=False, callbacks=callbacks, verbose=0, **kwargs)


class Watch(keras.callbacks.Callback):
    """Notes which layers train in each epoch, and the weights after each batch."""

    def on_train_begin(self, logs=None):
        self.training, self.weights = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.training.append(sorted({v.path.split("/")[-2] for v in self.model.trainable_variables}))

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.weights.append({v.path: keras.ops.convert_to_numpy(v).copy() for v in self.model.weights})


def test_only_norms_join_where_parameters_says_so():
    model, watch = small_model(), Watch()
    model.compile("adam", "mse")
    fit(model, [GradualUnfreezing({1: 2}, parameters="norm"), watch], epochs=2)
    assert watch.training == [["predictions"], ["norm", "predictions"]]


def test_blocks_join_when_the_schedule_says_and_what_is_frozen_does_not_move():
    model = small_model()
    model.compile("adam", "mse", metrics=["mae"])
    start = {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.weights}
    watch = Watch()
    history = fit(model, [GradualUnfreezing({1: 1, 3: None}), watch], 4)
    assert watch.training == [
        ["predictions"],
        ["predictions", "second"],
        ["predictions", "second"],
        ["first", "predictions", "second"],
    ]
    for path, value in watch.weights[11].items():  # the last batch before all of it trains
        moved = not np.array_equal(value, start[path])
        assert moved == path.startswith(("second", "predictions")), path
    for path in ("norm/moving_mean", "norm/moving_variance", "norm/gamma"):
        np.testing.assert_array_equal(watch.weights[-1][path], start[path])
    assert history.history["loss"] == sorted(history.history["loss"], reverse=True)
    assert set(history.history) == {"loss", "mae"}


def test_a_unfrozen_block_never_steps_further_than_a_new_optimizer_would():
    model = small_model()
    model.compile(keras.optimizers.Adam(0.001), "mse")
    watch = Watch()
    fit(model, [GradualUnfreezing({8: 1}), watch], 12)
    kernels = [weights["second/kernel"] for weights in watch.weights]
    steps = [abs(after - before).max() for before, after in itertools.pairwise(kernels[31:])]
    assert steps[0] == pytest.approx(0.001, rel=1e-2)  # Adam's first step is the learning rate; 3.16 of it otherwise
    assert max(steps) < 1.5 * 0.001


def test_slots_of_weights_that_go_on_training_are_kept():
    kept, alone = small_model(), small_model()
    for model in (kept, alone):
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    fit(kept, [GradualUnfreezing({2: 1})], 2)
    fit(alone, [GradualUnfreezing({2: 1})], 3)
    momentum = kept.optimizer.momentums[-2]
    assert abs(keras.ops.convert_to_numpy(momentum)).max() > 0
    fit(kept, [GradualUnfreezing({2: 1})], 3, initial_epoch=2)
    for a, b in zip(kept.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_callbacks_and_the_users_rates_go_on():
    model = small_model()
    optimizer = tlkeras.differential_optimizer(model, keras.optimizers.Adam(0.01), layer_decay=0.5)
    model.compile(optimizer, "mse")
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    fit(model, [GradualUnfreezing({1: None}), halve], 2)
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    rates = [row.learning_rate for row in tlkeras.learning_rate_table(model)]
    np.testing.assert_allclose(rates, [0.0025 / 4, 0.0025 / 2, 0.0025], rtol=1e-5)


class Scripted(keras.callbacks.Callback):
    """Logs values given in advance under the name of a metric."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("name", "values"), [("val_loss", [3, 2, 2, 2, 1, 1, 1]), ("val_accuracy", [0.1, 0.5, 0.5, 0.4, 0.9, 0.9, 0.9])]
)
def test_a_plateau_unfreezes_the_next_block(name, values):
    model = small_model()
    model.compile("sgd", "mse")
    watch, unfreeze = Watch(), GradualUnfreezing(on_plateau=1, monitor=name, patience=2)
    fit(model, [Scripted(name, values), unfreeze, watch], 7)
    assert [len(training) for training in watch.training] == [1, 1, 1, 1, 2, 2, 2]
    assert unfreeze._selection(7) == 2  # epochs 5 and 6 brought nothing either


@pytest.mark.one_backend
def test_an_improvement_by_more_than_min_delta_begins_the_wait_again():
    model = small_model()
    model.compile("sgd", "mse")
    watch, unfreeze = Watch(), GradualUnfreezing(on_plateau=1, monitor="val_loss", patience=2, min_delta=0.5)
    fit(model, [Scripted("val_loss", [3, 3, 2, 2, 1, 0.5, 0.5]), unfreeze, watch], 7)
    assert [len(training) for training in watch.training] == [1] * 7
    assert unfreeze._selection(7) == 1  # a gain of exactly 0.5 is none, so epochs 5 and 6 brought nothing


@pytest.mark.slow
def test_a_checkpoint_of_the_whole_model_goes_on_from_its_phase(tmp_path):
    whole, part = small_model(), small_model()
    for model in (whole, part):
        model.compile(keras.optimizers.Adam(0.01), "mse")
    fit(whole, [GradualUnfreezing({1: 1, 3: None})], 4)
    fit(part, [GradualUnfreezing({1: 1, 3: None})], 2)
    part.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    fit(again, [GradualUnfreezing({1: 1, 3: None})], 4, initial_epoch=2)
    for a, b in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class At(keras.callbacks.Callback):
    """Does something in the middle of an epoch."""

    def __init__(self, epoch, action):
        super().__init__()
        self.epoch, self.action = epoch, action

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, 2):
            self.action()


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt():
    raise KeyboardInterrupt


SCHEDULE = {"schedule": {1: 1, 3: None}}
PLATEAU = {"on_plateau": 1, "monitor": "loss", "patience": 1, "min_delta": 1e9}


def run_with_backup(backup, *callbacks, **how):
    """The program that is stopped and started again."""
    model = small_model(dropout=0.3)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
    # Without its count, the rate would not fall after epoch 3.
    reduce = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=3, min_delta=1e9)
    return model, fit(model, [GradualUnfreezing(**how, backup=backup, callbacks=reduce), reduce, *callbacks], 5)


def assert_resumes_to_the_same(backup, **how):
    assert backup.exists()
    resumed, history = run_with_backup(backup, **how)
    assert history.epoch == [3, 4]
    assert not backup.exists()
    undisturbed, _ = run_with_backup(None, **how)
    assert len(resumed.trainable_variables) == len(undisturbed.trainable_variables) == 6
    for a, b in zip(resumed.variables, undisturbed.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))
    for a, b in zip(resumed.optimizer.variables, undisturbed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))


@pytest.mark.one_backend
@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_result_of_an_undisturbed_one(tmp_path, children):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_gradual_unfreezing import SCHEDULE, At, kill, run_with_backup\n"
        "run_with_backup(sys.argv[2], At(3, kill), **SCHEDULE)"
    )
    backup = tmp_path / "run" / "backup.npz"
    child = children.start(program, Path(__file__).parent, backup)
    assert child.wait() == -signal.SIGKILL, child.stderr[-2000:]
    assert_resumes_to_the_same(backup, **SCHEDULE)


@pytest.mark.slow
def test_a_model_whose_layers_are_numbered_anew_goes_on_to_the_same_result(tmp_path):
    def run(backup, *callbacks):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, activation="tanh") for _ in range(3))])
        model.compile(keras.optimizers.Adam(0.01), "mse")
        unfreeze = GradualUnfreezing({1: 1, 2: None}, backup=backup)
        x = np.random.default_rng(0).normal(size=(24, 4))
        model.fit(x, np.sin(x), 8, epochs=5, shuffle=False, verbose=0, callbacks=[unfreeze, *callbacks])
        return model.get_weights()

    backup = tmp_path / "backup.npz"
    with pytest.raises(KeyboardInterrupt):
        run(backup, At(3, interrupt))
    for one, other in zip(run(backup), run(None), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.one_backend
@pytest.mark.slow
def test_an_interrupted_run_remembers_its_plateaus(tmp_path):
    backup = tmp_path / "backup.npz"
    with pytest.raises(KeyboardInterrupt):
        run_with_backup(backup, At(3, interrupt), **PLATEAU)
    assert_resumes_to_the_same(backup, **PLATEAU)


@pytest.mark.one_backend
@pytest.mark.slow
def test_a_disk_that_fills_up_costs_a_warning_and_leaves_the_last_good_backup(tmp_path, monkeypatch):
    backup = tmp_path / "backup.npz"

    def fill():
        monkeypatch.setattr(os, "fsync", full)

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.warns(UserWarning, match="epoch 4 could not be written .No space left") as caught,
        pytest.raises(KeyboardInterrupt),
    ):
        run_with_backup(backup, At(3, fill), At(4, interrupt), **SCHEDULE)
    assert {one.filename for one in caught if "epoch 4" in str(one.message)} == {__file__}  # the line that calls `fit`
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["backup.npz"]
    assert_resumes_to_the_same(backup, **SCHEDULE)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        run_with_backup(backup, **SCHEDULE)


def test_a_backup_of_another_model_is_refused(tmp_path):
    model = small_model()
    model.compile("sgd", "mse")
    with pytest.raises(KeyboardInterrupt):
        fit(model, [GradualUnfreezing({0: 1}, backup=tmp_path / "backup.npz"), At(1, interrupt)], 2)
    model.compile("adam", "mse")
    with pytest.raises(InputError, match="a different model, optimizer or schedule"):
        fit(model, [GradualUnfreezing({0: 1}, backup=tmp_path / "backup.npz")], 2)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "Exactly one of `schedule` and `on_plateau` must be given"),
        ({"schedule": {0: 1}, "on_plateau": 1}, "Exactly one of `schedule` and `on_plateau` must be given"),
        ({"schedule": {-1: 1}}, "counted from 0"),
        ({"schedule": [1, 2]}, "be a dict"),
        ({"on_plateau": 0}, ">= 1"),
        ({"on_plateau": 1, "mode": "up"}, "mode='up'"),
        ({"on_plateau": 1, "monitor": 3}, "monitor=3"),
        ({"on_plateau": 1, "patience": "2"}, "patience='2'"),
        ({"on_plateau": 1, "min_delta": "0"}, "min_delta='0'"),
        ({"schedule": {0: 1}, "batchnorm": False}, "batchnorm=False"),
        ({"on_plateau": 1, "callbacks": ["ReduceLROnPlateau"]}, "callbacks='ReduceLROnPlateau'"),
    ],
)
def test_what_cannot_be_used_is_named(how, message):
    with pytest.raises(InputError, match=message):
        GradualUnfreezing(**how)


def test_unknown_blocks_and_metrics_and_a_backup_out_of_reach_are_named_in_fit(tmp_path):
    model = small_model()
    model.compile("sgd", "mse")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        fit(model, [GradualUnfreezing({0: 1}, backup=tmp_path / "file" / "backup.npz")], 1)
    with pytest.raises(InputError, match="It is a folder"):
        GradualUnfreezing({0: 1}, backup=tmp_path)
    with pytest.raises(InputError, match="nowhere"):
        fit(model, [GradualUnfreezing({5: "nowhere"})], 1)
    with pytest.raises(InputError, match="val_loss"):
        fit(model, [GradualUnfreezing(on_plateau=1)], 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts what TensorFlow traces")
@pytest.mark.parametrize("schedule, phases", [({0: None}, 1), ({1: None}, 2)])
def test_the_training_step_is_traced_once_a_phase(schedule, phases):
    traced = []

    class Counted(keras.Model):
        def train_step(self, batch):
            traced.append(len(self.trainable_variables))
            return super().train_step(batch)

    small = small_model()
    model = Counted(small.inputs, small.outputs)
    model.compile("adam", "mse")
    fit(model, [GradualUnfreezing(schedule)], epochs=3)
    assert len(traced) == phases
