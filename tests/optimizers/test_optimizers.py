"""Differential learning rates, held to Keras' own MultiOptimizer: one optimizer for each block."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import optimizers

import tlkeras
from tlkeras import differential_class, differential_optimizer, learning_rate_table
from tlkeras.augment.layers import GridMask
from tlkeras.errors import InputError

pytestmark = pytest.mark.backends


def small_model(**kwargs):
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, activation="tanh", name="first", **kwargs),
            keras.layers.Dense(4, activation="tanh", name="second", **kwargs),
            keras.layers.Dense(3, name="predictions", **kwargs),
        ]
    )


PATTERNS = {"first": 0.1, "second": 0.5, "predictions": 2.0}


def numbers(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def apply_steps(optimizer, variables, steps=20):
    """Updates `variables` in place, with gradients that depend on them and on the step."""
    for step in range(steps):
        grads = [keras.ops.sin(keras.ops.convert_to_tensor(v) * 3 + step + i) for i, v in enumerate(variables)]
        optimizer.apply(grads, variables)


def updated(optimizer_of, steps=20):
    keras.utils.set_random_seed(1)
    model = small_model(use_bias=False)
    optimizer = optimizer_of(model)
    apply_steps(optimizer, model.trainable_variables, steps)
    return numbers(model.trainable_variables)


def layer_of(variable):
    return next(name for name in PATTERNS if f"/{name}/" in f"/{variable.path}")


MAKERS = {
    "SGD with momentum": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "Adam": lambda rate: optimizers.Adam(rate),
    "AdamW": lambda rate: optimizers.AdamW(rate, weight_decay=0.1),
    "AdamW accumulating": lambda rate: optimizers.AdamW(rate, gradient_accumulation_steps=2),
    "AdamW averaging": lambda rate: optimizers.AdamW(rate, use_ema=True, ema_overwrite_frequency=3),
    "RMSprop": lambda rate: optimizers.RMSprop(rate, momentum=0.5, centered=True),
    "Lion": lambda rate: optimizers.Lion(rate, weight_decay=0.1),
    "Nadam": lambda rate: optimizers.Nadam(rate),
    "Adadelta": lambda rate: optimizers.Adadelta(rate),
    "Adamax": lambda rate: optimizers.Adamax(rate),
    "Adafactor": lambda rate: optimizers.Adafactor(rate),
    "Muon": lambda rate: optimizers.Muon(rate, weight_decay=0.1, exclude_layers=["predictions"]),
    "a schedule": lambda rate: optimizers.SGD(optimizers.schedules.ExponentialDecay(rate, 5, 0.5)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_equals_an_optimizer_for_each_block(name):
    if not hasattr(optimizers, "MultiOptimizer"):
        pytest.skip("MultiOptimizer, the oracle, is new in Keras 3.15")
    make, steps = MAKERS[name], 6  # beyond where the schedule falls and the average is written
    ours = updated(lambda model: differential_optimizer(model, make(0.01), multipliers=PATTERNS), steps)
    each = {name: make(0.01 * factor) for name, factor in PATTERNS.items()}
    theirs = updated(lambda model: optimizers.MultiOptimizer(lambda variable: each[layer_of(variable)]), steps)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["AdamW averaging", "Adafactor", "Muon"])
def test_multipliers_of_one_change_no_bit(name):
    make = MAKERS[name]
    ours = updated(lambda model: differential_optimizer(model, make(0.01), layer_decay=1.0), steps=4)
    plain = updated(lambda model: make(0.01), steps=4)
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_adafactor_caps_its_rate_before_the_multiplier_can_act():
    capped = updated(
        lambda model: differential_optimizer(model, optimizers.Adafactor(5.0), multipliers=PATTERNS), steps=1
    )
    plain = updated(lambda model: optimizers.Adafactor(5.0), steps=1)
    np.testing.assert_array_equal(capped[-1], plain[-1])  # 5 and 10 are both above the cap, 1/sqrt(1)


def test_the_gradient_norm_is_clipped_over_all_blocks():
    start = updated(lambda model: optimizers.SGD(1.0), steps=0)
    make = lambda: optimizers.SGD(1.0, global_clipnorm=0.1)  # noqa: E731
    ours = updated(lambda model: differential_optimizer(model, make(), multipliers=PATTERNS), steps=1)
    plain = updated(lambda model: make(), steps=1)
    factors = PATTERNS.values()
    for before, a, b, factor in zip(start, ours, plain, factors, strict=True):
        np.testing.assert_allclose(a - before, factor * (b - before), atol=1e-7)


def test_the_optimizer_is_of_the_family_it_was_made_from():
    model = small_model()
    for cls in (optimizers.SGD, optimizers.AdamW, optimizers.Muon):
        scaled = differential_optimizer(model, cls(0.01), layer_decay=0.5)
        assert isinstance(scaled, cls)
        assert type(scaled) is differential_class(cls)


@pytest.mark.parametrize("make", [MAKERS["AdamW"], MAKERS["Nadam"], MAKERS["a schedule"]])
def test_passes_keras_own_serialization_test(make):
    from keras.src import testing

    optimizer = differential_optimizer(small_model(), make(0.01), layer_decay=0.5)
    testing.TestCase().run_class_serialization_test(optimizer)


def test_an_optimizer_class_of_the_users_own_works_and_is_saved():
    from keras.src import testing

    class Signs(optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, keras.ops.sign(gradient) * learning_rate)

    start = updated(lambda model: Signs(0.5), steps=0)
    after = updated(lambda model: differential_optimizer(model, Signs(0.5), multipliers=PATTERNS), steps=1)
    for before, now, factor in zip(start, after, PATTERNS.values(), strict=True):
        np.testing.assert_allclose(abs(now - before), 0.5 * factor, rtol=1e-5)
    testing.TestCase().run_class_serialization_test(differential_optimizer(small_model(), Signs(0.5), layer_decay=0.5))


def trained(model, optimizer, epochs=2, **kwargs):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 6)).astype("float32"), rng.normal(size=(24, 3)).astype("float32")
    if optimizer is not None:
        model.compile(optimizer, "mse")
        model.optimizer.build(model.trainable_variables)  # or the first step is traced twice
    return model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **kwargs)


def nested_model():
    inputs = keras.Input((6,))
    inner = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5, name="first"), keras.layers.Dense(4, name="second")]
    )
    return keras.Model(inputs, keras.layers.Dense(3, name="predictions")(inner(inputs)))


def test_a_saved_model_returns_with_multipliers_and_state_and_trains_on_alike(tmp_path):
    model = nested_model()
    trained(model, differential_optimizer(model, optimizers.AdamW(0.01), layer_decay=0.5))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is type(model.optimizer)
    assert [r.multiplier for r in learning_rate_table(again)] == [r.multiplier for r in learning_rate_table(model)]
    for a, b in zip(numbers(again.optimizer.variables), numbers(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    trained(model, None)
    trained(again, None)
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_opens_where_tlkeras_is_not_imported_with_the_plain_optimizer_and_its_state(tmp_path, monkeypatch):
    model = small_model()
    trained(model, differential_optimizer(model, optimizers.AdamW(0.01), layer_decay=0.5))
    model.save(tmp_path / "model.keras")
    for name in [name for name in keras.saving.get_custom_objects() if "Adam" in name]:
        monkeypatch.delitem(keras.saving.get_custom_objects(), name)
    with pytest.warns(UserWarning, match="`decay` is no longer supported and will be ignored"):
        plain = keras.models.load_model(tmp_path / "model.keras")
    assert type(plain.optimizer) is type(optimizers.AdamW())
    for a, b in zip(numbers(plain.optimizer.variables), numbers(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    keras.models.load_model(tmp_path / "model.keras", compile=False)


@keras.saving.register_keras_serializable("tests")
class Unnamed(keras.Model):
    """A subclassed model whose layers have the numbers that Keras gives them, other ones in each instance."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lower, self.upper = keras.layers.Dense(5), keras.layers.Dense(3)

    def call(self, x):
        return self.upper(self.lower(x))


def test_multipliers_follow_a_reload_that_gives_layers_new_numbers(tmp_path):
    model = Unnamed()
    model(np.zeros((1, 6)))
    trained(model, differential_optimizer(model, optimizers.AdamW(0.01), multipliers=slice(0.25, 1.0)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.lower.kernel.path not in model.optimizer.multipliers
    trained(model, None)
    trained(again, None)
    assert [row.multiplier for row in learning_rate_table(again)] == [0.25, 1.0]
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_layer_is_taken_for_another_whose_number_it_has_after_a_reload(tmp_path, monkeypatch):
    model = Unnamed()
    model(np.zeros((1, 6)))
    model.lower.trainable = False
    trained(model, differential_optimizer(model, optimizers.AdamW(0.01), multipliers=slice(0.25, 1.0)))
    model.save(tmp_path / "model.keras")
    number = int(model.lower.name.rpartition("_")[2]) if "_" in model.lower.name else 0
    monkeypatch.setattr(Unnamed, "__init__", numbered_from(number - 1))
    assert learning_rate_table(keras.models.load_model(tmp_path / "model.keras"))[-1].multiplier == 1.0


def numbered_from(number):
    def init(self, **kwargs):
        keras.Model.__init__(self, **kwargs)
        names = [f"dense_{number + i}" for i in range(2)]
        self.lower, self.upper = keras.layers.Dense(5, name=names[0]), keras.layers.Dense(3, name=names[1])
        self.lower.trainable = False

    return init


def test_a_setting_called_decay_of_an_optimizer_of_the_users_own_is_left_alone():
    class Decaying(optimizers.SGD):
        def __init__(self, learning_rate=0.01, decay=0.9, **kwargs):
            super().__init__(learning_rate, **kwargs)
            self.decay = decay

        def get_config(self):
            return {**super().get_config(), "decay": self.decay}

    model = small_model()
    model.compile(Decaying(decay=0.5), "mse")
    assert tlkeras.recompile(model).optimizer.decay == 0.5


@pytest.mark.one_backend
@pytest.mark.slow
def test_importing_tlkeras_before_or_after_keras_is_enough_to_open_files_with_its_multipliers_and_layers(
    tmp_path,
):
    model = small_model()
    model.compile(differential_optimizer(model, optimizers.AdamW(0.01), layer_decay=0.5), "mse")
    model.save(tmp_path / "model.keras")
    keras.Sequential([keras.Input((8, 8, 3)), GridMask(name="mask")]).save(tmp_path / "layer.keras")
    program = """
        import sys
        import tlkeras
        assert "keras" not in sys.modules
        import keras
        print(min(keras.models.load_model(sys.argv[1]).optimizer.multipliers.values()))
        keras.models.load_model(sys.argv[2])
        keras.saving.get_custom_objects().clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "tlkeras"]:
            del sys.modules[name]
        import tlkeras
        print(min(keras.models.load_model(sys.argv[1]).optimizer.multipliers.values()))
        print(keras.models.load_model(sys.argv[2]).layers[0].name)
    """
    files = [str(tmp_path / "model.keras"), str(tmp_path / "layer.keras")]
    command = [sys.executable, "-c", textwrap.dedent(program), *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["0.25", "0.25", "mask"], done.stderr[-2000:]


def test_callbacks_move_the_rate_and_the_ratios_stay():
    model = small_model()
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, min_delta=1e9)
    trained(model, differential_optimizer(model, optimizers.Adam(0.01), layer_decay=0.5), epochs=3, callbacks=[plateau])
    table = learning_rate_table(model)
    assert table[-1].learning_rate == pytest.approx(1e-4, rel=1e-5)
    assert [row.learning_rate / table[-1].learning_rate for row in table] == [0.25, 0.5, 1.0]


def test_loss_scaling_is_kept_around_the_scaled_optimizer():
    model = small_model()
    wrapped = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=8.0)
    scaled = differential_optimizer(model, wrapped, multipliers=PATTERNS)
    assert isinstance(scaled, optimizers.LossScaleOptimizer)
    weights = model.get_weights()
    trained(model, scaled)
    ours = model.get_weights()
    model.set_weights(weights)
    trained(model, differential_optimizer(model, optimizers.SGD(0.1), multipliers=PATTERNS))
    for a, b in zip(ours, model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_state_and_weight_decay_exclusions_of_the_given_optimizer_are_kept():
    keras.utils.set_random_seed(1)
    model = small_model()
    optimizer = optimizers.AdamW(0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    apply_steps(optimizer, model.trainable_variables, 3)
    scaled = differential_optimizer(model, optimizer, layer_decay=1.0)
    for a, b in zip(numbers(scaled.variables), numbers(optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    weights = model.get_weights()
    apply_steps(optimizer, model.trainable_variables, 1)
    expected = model.get_weights()
    model.set_weights(weights)
    apply_steps(scaled, model.trainable_variables, 1)
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_more_variables_than_the_plain_optimizer():
    model = small_model()
    plain, scaled = optimizers.AdamW(), differential_optimizer(model, optimizers.AdamW(), layer_decay=0.5)
    plain.build(model.trainable_variables)
    scaled.build(model.trainable_variables)
    assert [v.shape for v in scaled.variables] == [v.shape for v in plain.variables]


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="XLA says how much memory a compiled step takes")
@pytest.mark.parametrize("name", ["Adam", "AdamW", "Lion", "SGD with momentum"])
def test_a_compiled_step_takes_no_more_temporary_memory_than_the_plain_one(name):
    import jax

    def temporary_bytes(optimizer_of):
        model = keras.Sequential([keras.Input((64,)), *(keras.layers.Dense(64, name=name) for name in PATTERNS)])
        optimizer, variables = optimizer_of(model), model.trainable_variables
        optimizer.build(variables)
        values = [variable.value for variable in variables]
        step = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
        compiled = step.lower([variable.value for variable in optimizer.variables], values, values).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    make = MAKERS[name]
    plain = temporary_bytes(lambda model: make(0.01))
    assert temporary_bytes(lambda model: differential_optimizer(model, make(0.01), multipliers=PATTERNS)) <= plain


def factors_of(model, **how):
    model.compile(differential_optimizer(model, optimizers.SGD(1.0), **how))
    return [row.multiplier for row in learning_rate_table(model)]


def test_decay_falls_geometrically_from_the_head_down():
    assert factors_of(small_model(), layer_decay=0.5) == [0.25, 0.5, 1.0]
    assert factors_of(small_model(), layer_decay=0.5, head=3.0) == [0.25, 0.5, 3.0]


def test_a_slice_rises_geometrically_from_stem_to_head():
    assert factors_of(small_model(), multipliers=slice(0.01, 1.0)) == pytest.approx([0.01, 0.1, 1.0])


def test_named_blocks_and_layers_overrule_decay():
    model = small_model()
    assert factors_of(model, layer_decay=0.5, multipliers={"block1": 0.7}) == [0.7, 0.5, 1.0]
    assert factors_of(model, layer_decay=0.5, multipliers={"sec*": 0.7, "head": 3}) == [0.25, 0.7, 3.0]


def twins():
    """A model of two nested towers whose layers, and so the paths of their variables, have the same names."""
    inputs = keras.Input((6,))

    def tower(name):
        x = keras.Input((6,))
        return keras.Model(x, keras.layers.Dense(4, name="second")(keras.layers.Dense(5, name="first")(x)), name=name)

    both = keras.layers.Concatenate()([tower(name)(inputs) for name in ("left", "right")])
    return keras.Model(inputs, keras.layers.Dense(3, name="predictions")(both))


def test_equal_towers_have_equal_rates_and_are_told_apart_by_name_also_after_a_reload(tmp_path):
    model = twins()
    left, right = (model.get_layer(name) for name in ("left", "right"))
    assert [weight.path for weight in left.weights] == [weight.path for weight in right.weights]
    even = differential_optimizer(model, optimizers.SGD(0.1), layer_decay=0.5)
    assert [even.multiplier(v) for v in left.weights] == [even.multiplier(v) for v in right.weights]
    scaled = differential_optimizer(model, optimizers.AdamW(0.01), multipliers={"left/*": 0.25, "right/*": 0.5})
    trained(model, scaled)
    assert {scaled.multiplier(v) for v in left.weights} == {0.25}
    assert {model.optimizer.multiplier(v) for v in right.weights} == {0.5}
    again_in_memory = tlkeras.recompile(model, differential_optimizer(model, scaled, multipliers={"*": 2.0})).optimizer
    assert {again_in_memory.multiplier(v) for v in model.weights} == {2.0}
    model.compile(scaled, "mse")
    tlkeras.recompile(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert {again.optimizer.multiplier(v) for v in again.get_layer("left").weights} == {0.25}
    assert {again.optimizer.multiplier(v) for v in again.get_layer("right").weights} == {0.5}
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_later_start_of_one_of_two_equal_towers_is_its_own():
    model = twins()
    right = model.get_layer("right")
    right.trainable = False
    trained(model, differential_optimizer(model, optimizers.Adam(0.01)))
    right.trainable = True
    optimizer = tlkeras.recompile(model).optimizer
    starts = {id(v): optimizer._starts[i] for i, v in enumerate(optimizer._trainable_variables)}
    assert {starts[id(v)] for v in right.weights} == {6}
    assert {starts[id(v)] for v in model.get_layer("left").weights} == {0}


def test_rates_can_be_listed_before_compiling():
    model = small_model()
    table = learning_rate_table(model, differential_optimizer(model, optimizers.SGD(0.1), layer_decay=0.5))
    assert [row.learning_rate for row in table] == pytest.approx([0.025, 0.05, 0.1])
    assert [row.multiplier for row in learning_rate_table(model, optimizers.SGD(0.1))] == [1.0] * 3
    with pytest.raises(InputError, match=r"is not compiled\. Pass an `optimizer`"):
        learning_rate_table(model)
    with pytest.raises(InputError, match="`optimizer` must be a Keras optimizer"):
        learning_rate_table(model, "sgd")


def test_the_table_counts_what_trains_and_prints_it():
    model = small_model()
    model.get_layer("first").trainable = False
    model.compile(differential_optimizer(model, optimizers.SGD(0.1), layer_decay=0.5))
    table = learning_rate_table(model)
    assert [(row.variables, row.parameters) for row in table] == [(0, 0), (2, 24), (2, 15)]
    assert table[0].learning_rate == 0
    assert table[1].learning_rate == pytest.approx(0.05)
    assert "multiplier" in str(table)
    assert len(str(table).splitlines()) == 4


def test_unfreezing_after_a_recompile_keeps_the_multipliers(tmp_path):
    model = nested_model()
    optimizer = differential_optimizer(model, optimizers.Adam(0.01), layer_decay=0.5)
    for layer in model.layers[1].layers:
        layer.trainable = False
    trained(model, optimizer)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for layer in again.layers[1].layers:
        layer.trainable = True
    again.compile(type(again.optimizer).from_config(again.optimizer.get_config()), "mse")
    assert [row.multiplier for row in learning_rate_table(again)] == [0.25, 0.5, 1.0]


def test_another_choice_of_rates_in_mid_training_keeps_each_weights_own_count_of_steps():
    model = small_model()
    model.layers[0].trainable = False
    trained(model, differential_optimizer(model, optimizers.Adam(0.01), layer_decay=0.5))
    tlkeras.unfreeze(model)
    optimizer = differential_optimizer(model, model.optimizer, layer_decay=0.9)
    assert optimizer.starts == model.optimizer.starts and set(optimizer.starts) == {
        v.path for v in model.layers[0].variables
    }
    assert tlkeras.recompile(model).optimizer.starts == optimizer.starts


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"multipliers": {"first": 0.1}}, "'second/kernel' of block 'block2' matches no key"),
        ({"layer_decay": 0.5, "multipliers": {"block1": 0.1, "f*": 0.2}}, "'first/kernel' matches 'block1' and 'f\\*'"),
        ({"layer_decay": 0.5, "multipliers": {"nowhere": 0.1}}, "'nowhere'.*matches no variable"),
        ({"multipliers": [0.1, 0.2]}, "a dict that maps block or layer names .*Received: multipliers=\\[0.1, 0.2\\]"),
        ({"multipliers": {1: 0.1}}, "a dict that maps block or layer names"),
        ({"multipliers": {"*": 0.0}}, "must be a positive number"),
        ({"layer_decay": 1.5}, "layer_decay=1.5"),
        ({"layer_decay": "0.5"}, "layer_decay='0.5'"),
        ({"layer_decay": 0.5, "head": float("nan")}, "head=nan"),
        ({"multipliers": slice(0.1)}, "slice\\(a, b\\)"),
        ({"multipliers": slice(0.1, 1.0), "layer_decay": 0.5}, "slice\\(a, b\\), and `layer_decay` must then be None"),
    ],
)
def test_what_cannot_be_used_is_named(how, message):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5, name="first")(inputs)
    x = keras.layers.Dense(4, name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="predictions")(x))
    with pytest.raises(InputError, match=message):
        differential_optimizer(model, optimizers.SGD(), **how)


def test_optimizers_without_a_rate_of_their_own_are_refused():
    model = small_model()
    with pytest.raises(InputError, match="be a Keras optimizer"):
        differential_optimizer(model, "adam", layer_decay=0.5)
    if hasattr(optimizers, "MultiOptimizer"):
        with pytest.raises(InputError, match="an optimizer class with a learning rate"):
            several = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD()))
            differential_optimizer(model, several, layer_decay=0.5)


def test_a_variable_of_another_model_is_refused_when_the_optimizer_is_built():
    optimizer = differential_optimizer(small_model(), optimizers.SGD(), layer_decay=0.5)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="elsewhere")])
    with pytest.raises(InputError, match=r"elsewhere/kernel.*unknown"):
        optimizer.build(other.trainable_variables)


def test_the_table_of_what_is_no_model_or_not_compiled_is_refused():
    for model, message in ((small_model(), "not compiled"), (None, "keras.Model.*Received: model=None")):
        with pytest.raises(InputError, match=message):
            learning_rate_table(model)


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="MultiOptimizer is new in Keras 3.15")
def test_a_table_of_rates_refuses_an_optimizer_that_has_none():
    model = small_model()
    model.compile(keras.optimizers.MultiOptimizer(lambda variable: keras.optimizers.SGD(0.1)), "mse")
    with pytest.raises(InputError, match="MultiOptimizer"):
        learning_rate_table(model)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_two_mirrored_replicas_equal_one_device(children):
    program = """
        import numpy as np, tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        import keras
        from tlkeras import differential_optimizer

        def run(strategy):
            with strategy.scope():
                keras.utils.set_random_seed(0)
                dense = keras.layers.Dense
                model = keras.Sequential([keras.Input((6,)), dense(5, name="first"), dense(3, name="top")])
                optimizer = keras.optimizers.AdamW(0.01, weight_decay=1.0)
                optimizer = differential_optimizer(model, optimizer, multipliers={"first": 0.1, "top": 2.0})
                model.compile(optimizer, "mse")
            rng = np.random.default_rng(0)
            x, y = rng.normal(size=(32, 6)), rng.normal(size=(32, 3))
            model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
            return model.get_weights()

        one = run(tf.distribute.get_strategy())
        two = run(tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]))
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, atol=1e-5)
        print("equal")
    """
    assert children.run(textwrap.dedent(program)).endswith("equal\n")
