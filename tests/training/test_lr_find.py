"""The learning rate range test: a right suggestion, and no trace left behind."""

import random

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.data.loading import load_images
from tlkeras.errors import InputError
from tlkeras.training.lr_find import LearningRateCurve, lr_find

pytestmark = pytest.mark.backends
layers = keras.layers


def data(rows=64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 6)).astype("float32")
    return x, x[:, :3] * 2


def fresh_model(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(3, name="predictions"),
        ]
    )
    model.compile(optimizer, "mse", metrics=[keras.metrics.MeanAbsoluteError()])
    model.optimizer.build(model.trainable_variables)  # or the first step is traced twice
    return model


def model_with_state(**kwargs):
    """A model in the middle of its training, with BatchNorm, dropout and maybe a moving average."""
    model = fresh_model(keras.optimizers.Adam(0.01, **kwargs))
    model.fit(*data(), epochs=1, verbose=0)
    return model


def state(model):
    generators = keras.random.uniform((2,))  # draws from the global generator: the same draw, if it was put back
    values = [keras.ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables, generators)]
    return [*values, np.random.random(2), np.array([random.random()])]  # noqa: NPY002 (the global state is meant)


def assert_equal(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def untouched():
    return state(model_with_state(use_ema=True))


def test_everything_is_put_back_bit_for_bit(untouched):
    model = model_with_state(use_ema=True)
    optimizer, train_function = model.optimizer, model.train_function
    lr_find(model, data(), steps=20)
    assert model.optimizer is optimizer
    assert model.train_function is train_function
    assert not model.stop_training
    assert_equal(state(model), untouched)


def test_training_goes_on_as_if_nothing_had_been_tried():
    untouched = model_with_state()
    expected = untouched.fit(*data(), epochs=2, verbose=0)
    searched = model_with_state()
    lr_find(searched, data(), steps=20)
    found = searched.fit(*data(), epochs=2, verbose=0)
    assert_equal(searched.get_weights(), untouched.get_weights())
    assert found.history == expected.history


class Broken(keras.utils.PyDataset):
    """Fails in the middle, as a data set with one broken file does."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 5:
            raise self.error
        return data(8)


def test_everything_is_put_back_after_an_exception(untouched):
    model = model_with_state(use_ema=True)
    with pytest.raises(Exception, match="broken"):
        lr_find(model, Broken(RuntimeError("broken")), steps=20)
    assert_equal(state(model), untouched)


def test_an_optimizer_that_was_never_built_stays_so():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    model.compile("adam", "mse")
    lr_find(model, data(), steps=10)
    assert not model.optimizer.built


def linear_model(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer, "mse")
    return model


def test_losses_are_those_of_single_batches_at_the_given_rates():
    """Gradient descent on a square, by hand: loss w**2 for the error w, which each step multiplies by 1 - 2 rate."""
    x, y = np.eye(2, dtype="float32"), np.full((2, 1), 4.0, "float32")  # mean of two errors: gradient is the error
    curve = lr_find(linear_model("sgd"), (x, y), start=1e-3, stop=0.5, steps=15)
    error, expected = 4.0, []
    for rate in np.geomspace(1e-3, 0.5, 15):
        expected.append(error**2)
        error *= 1 - rate
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-4)
    np.testing.assert_allclose(curve.learning_rates, np.geomspace(1e-3, 0.5, 15))


def test_accumulated_gradients_and_several_steps_per_execution_give_the_curve_of_the_plain_run():
    batch = (np.eye(2, dtype="float32"), np.full((2, 1), 4.0, "float32"))
    plain = lr_find(linear_model("sgd"), batch, start=1e-3, stop=0.5, steps=15)
    accumulating = linear_model(keras.optimizers.SGD(gradient_accumulation_steps=4))
    several = linear_model("sgd")
    several.compile("sgd", "mse", steps_per_execution=5)
    for model in (accumulating, several):
        curve = lr_find(model, batch, start=1e-3, stop=0.5, steps=15)
        np.testing.assert_allclose(curve.losses, plain.losses, rtol=1e-5)
    assert several.steps_per_execution == 5 and accumulating.optimizer.gradient_accumulation_steps == 4


def test_a_diverging_run_ends_early_with_finite_losses_and_a_rate_that_converges():
    x, y = np.eye(2, dtype="float32"), np.full((2, 1), 4.0, "float32")
    curve = lr_find(linear_model("sgd"), (x, y), start=1e-3, stop=1e6, steps=60)
    assert 10 < len(curve.losses) < 60
    assert np.isfinite(curve.losses).all()
    assert curve.suggestion < 2  # above which gradient descent on this square diverges


@pytest.mark.one_backend
def test_differential_rates_are_swept_together():
    model = fresh_model("sgd")
    model.compile(tlkeras.differential_optimizer(model, keras.optimizers.SGD(0.5), multipliers={"*": 0.01}), "mse")
    slow = lr_find(model, data(), start=1e-4, stop=10.0, steps=30)
    model.compile(keras.optimizers.SGD(0.5), "mse")
    plain = lr_find(model, data(), start=1e-6, stop=0.1, steps=30)
    np.testing.assert_allclose(slow.losses, plain.losses, rtol=1e-4)


def test_weights_unfrozen_late_are_swept_from_their_first_step():
    model = fresh_model("sgd")
    tlkeras.freeze(model, first=1)
    model.compile(tlkeras.differential_optimizer(model, keras.optimizers.Adam(0.01)), "mse")
    model.fit(*data(), epochs=2, verbose=0)
    tlkeras.unfreeze(model)
    assert len(lr_find(model, data(), steps=20).losses) > 10


def test_what_is_excluded_from_weight_decay_is_not_decayed():
    def losses(weight_decay, excluded=()):
        optimizer = keras.optimizers.SGD(weight_decay=weight_decay)
        optimizer.exclude_from_weight_decay(var_names=list(excluded))
        model = keras.Sequential([keras.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
        model.compile(optimizer, "mse")
        x = np.array([[1.0], [-1.0]], "float32")  # the bias has no gradient, and stays 0 with or without decay
        return lr_find(model, (x, 4 * x), start=1e-2, stop=0.5, steps=10).losses

    without = losses(0.0)
    np.testing.assert_array_equal(losses(0.5, ["kernel"]), without)
    assert losses(0.5)[-1] > without[-1]


def test_a_schedule_and_loss_scaling_do_not_stand_in_the_way():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    for optimizer in (
        keras.optimizers.SGD(schedule),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=4.0),
    ):
        model = linear_model(optimizer)
        assert len(lr_find(model, (np.eye(2), np.ones((2, 1))), stop=1e-3, steps=12).losses) == 12
        assert model.optimizer is optimizer


def test_the_steepest_descent_of_a_logistic_curve_is_its_inflection():
    rates = np.geomspace(1e-6, 1, 121)
    losses = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # falls fastest at 1e-3
    curve = LearningRateCurve(rates, losses)
    assert np.log10(curve.suggestion) == pytest.approx(-3, abs=0.05)
    assert curve.smoothed.shape == (121,)
    assert repr(curve) == "LearningRateCurve(121 rates from 1e-06 to 1, suggestion=0.001)"


def test_smoothing_leaves_a_constant_loss_as_it_is_up_to_both_ends():
    curve = LearningRateCurve(np.geomspace(1e-4, 1, 20), np.full(20, 3.0))
    np.testing.assert_allclose(curve.smoothed, 3.0)


def test_there_is_no_suggestion_where_the_loss_only_rises():
    assert LearningRateCurve(np.geomspace(1e-3, 1, 20), np.linspace(1, 2, 20)).suggestion is None
    assert LearningRateCurve(np.array([]), np.array([])).suggestion is None


@pytest.mark.one_backend
def test_a_split_of_images_is_taken_as_fit_takes_its_batches():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), "uint8")
    images = load_images(pixels, labels=[0, 1] * 20, image_size=(8, 8))
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    curve = lr_find(model, images.train, start=1e-9, stop=1e-6, steps=10, batch_size=8)
    assert len(curve.losses) == 10


def test_the_curve_is_drawn_with_the_suggestion():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    curve = LearningRateCurve(np.geomspace(1e-3, 1, 20), np.linspace(2, 1, 20))
    figure, ax = pyplot.subplots()
    assert curve.plot(ax) is ax
    assert ax.get_xscale() == "log"
    assert len(ax.get_lines()) == 3
    pyplot.close(figure)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"start": 0.0}, "start=0.0"),
        ({"start": 1.0, "stop": 0.1}, r"above `start` \(1\)"),
        ({"start": "1e-6"}, "start='1e-6'"),
        ({"steps": 3}, "steps=3"),
        ({"steps": 20.0}, "integer"),
        ({"divergence": 0}, r"in \(1, inf\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"data": "data/clipart10"}, "data='data/clipart10'"),
        ({"data": np.eye(6)}, r"a pair of arrays \(x, y\)"),
        ({"data": (np.eye(6), None)}, r"\(ndarray, NoneType\)"),
        ({"data": (np.eye(6)[:0], np.eye(3)[:0])}, "an empty array"),
    ],
)
def test_what_cannot_be_used_is_named(how, message):
    with pytest.raises(InputError, match=message):
        lr_find(linear_model("sgd"), **{"data": data()} | how)


def test_a_model_that_cannot_be_trained_is_refused():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    for wrong, message in (("mobilenet_v2", "keras.Model.*Received: model='mobilenet_v2'"), (model, "not compiled")):
        with pytest.raises(InputError, match=message):
            lr_find(wrong, data())
    model.compile("sgd", "mse")
    model.trainable = False
    with pytest.raises(InputError, match="no trainable variable"):
        lr_find(model, data())


def test_several_optimizers_in_one_are_refused_and_nothing_is_changed():
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("MultiOptimizer is new in Keras 3.15")
    several = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD()))
    model = linear_model(several)
    with pytest.raises(InputError, match="no single learning rate"):
        lr_find(model, (np.eye(2), np.ones((2, 1))))
    assert model.optimizer is several
