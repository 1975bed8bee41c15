"""Frozen means frozen: bit for bit, whatever is unfrozen, flat or nested, before or after a file, on any backend."""

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras import InputError, differential_optimizer, freeze, replace_head, trainable_table, unfreeze

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

STAGES = ("stem", "block1a", "block2a", "block3a")

#: A call, its argument, and the stages that train after it, the head apart.
CHOICES = {
    "all below the head frozen": (freeze, {}, ()),
    "last block": (unfreeze, {"last": 1}, STAGES[3:]),
    "half": (unfreeze, {"last": 0.5}, STAGES[2:]),
    "nothing frozen": (unfreeze, {}, STAGES),
}


def network(nested=False, norm=layers.BatchNormalization, bias=False):
    """Build four blocks of convolution and norm, and a head. A bias before a norm that trains has no gradient."""
    image = keras.Input((8, 8, 3))
    x = image
    for i, stage in enumerate(STAGES):
        x = layers.Conv2D(4, 3, strides=1 + i % 2, padding="same", use_bias=bias, name=f"{stage}_conv")(x)
        x = layers.Activation("tanh")(norm(name=f"{stage}_norm")(x))
    if nested:
        trunk, image = keras.Model(image, x, name="trunk"), keras.Input((8, 8, 3))
        x = trunk(image)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(2, activation="softmax", name="out", dtype="float32")(x))


def compiled(model, optimizer=None):
    """Compile a model and build its optimizer, since a step that creates variables is traced twice."""
    model.compile(optimizer or keras.optimizers.SGD(0.5, momentum=0.9), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


def values(model):
    """Return all weights as `layer/weight`, however deeply nested."""
    leaves = (layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model))
    return {
        f"{layer.name}/{w.name}": np.array(keras.ops.convert_to_numpy(w)) for layer in leaves for w in layer.weights
    }


def moved(model, epochs=2):
    """Return the weights that `fit` changes by as much as a bit."""
    before = values(model)
    model.fit(*data(8), batch_size=8, epochs=epochs, verbose=0)
    return changed(before, values(model))


def changed(before, after):
    return {name for name, value in after.items() if not np.array_equal(value, before[name])}


def data(size):
    rng = np.random.default_rng(0)
    return 3 + 2 * rng.normal(size=(16, size, size, 3)).astype("float32"), rng.integers(0, 2, 16)


def expected(stages, batchnorm):
    """Name the weights that move, by the layer names in `network`."""
    names = {"out/kernel", "out/bias", *(f"{stage}_conv/kernel" for stage in stages)}
    if batchnorm == "train":
        state = ("gamma", "beta", "moving_mean", "moving_variance")
        names |= {f"{stage}_norm/{name}" for stage in stages for name in state}
    return names


@pytest.fixture
def mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(policy)


def reloaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.backends
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize(
    ("choice", "nested", "batchnorm"),
    [
        ("all below the head frozen", True, "train"),
        ("last block", False, "frozen"),
        ("nothing frozen", True, "frozen"),
    ],
)
def test_fit_moves_what_is_unfrozen_and_not_a_bit_of_what_is_frozen_before_and_after_a_file(
    choice, batchnorm, nested, tmp_path
):
    change, selection, stages = CHOICES[choice]
    model = change(network(nested), **selection, batchnorm=batchnorm)
    assert moved(compiled(model)) == expected(stages, batchnorm)
    assert moved(reloaded(model, tmp_path)) == expected(stages, batchnorm)


@pytest.mark.backends
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize(("choice", "batchnorm", "nested"), [("last block", "train", True), ("half", "frozen", False)])
def test_mixed_precision_is_no_exception(choice, batchnorm, nested, mixed_precision, tmp_path):
    change, selection, stages = CHOICES[choice]
    model = compiled(change(network(nested), **selection, batchnorm=batchnorm))
    model = reloaded(model, tmp_path)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert moved(model) == expected(stages, batchnorm)


@pytest.mark.backends
def test_a_change_after_compile_and_fit_holds_in_the_next_fit():
    model = compiled(freeze(network(nested=True), batchnorm="train"))
    moved(model, epochs=1)
    unfreeze(model, last=2, batchnorm="train")
    assert moved(model) == expected(STAGES[2:], "train")
    freeze(model, end="block2a", batchnorm="train")
    assert moved(model) == expected(STAGES[3:], "train")


@pytest.mark.backends
def test_a_compiled_model_around_the_changed_one_or_beside_it_is_recompiled():
    outer = network(nested=True)
    beside = compiled(replace_head(outer, classes=3))
    moved(compiled(outer), epochs=1)
    moved(beside, epochs=1)
    freeze(outer.get_layer("trunk"), end="block2a")
    assert moved(outer) == moved(beside) - {"predictions/kernel", "predictions/bias"} | {"out/kernel", "out/bias"}
    assert moved(outer) == expected(STAGES[3:], "frozen")


@pytest.mark.backends
def test_layer_norm_trains_with_its_block_whatever_batchnorm_says():
    model = compiled(unfreeze(network(norm=layers.LayerNormalization), last=1, batchnorm="frozen"))
    norm = {"block3a_norm/gamma", "block3a_norm/beta"}
    assert moved(model) == expected(STAGES[3:], "frozen") | norm


AFFINE, MOMENTS = ("norm/gamma", "norm/beta"), ("norm/moving_mean", "norm/moving_variance")


@pytest.mark.backends
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize(
    ("parameters", "norm", "batchnorm", "moving", "kept_by_a_file"),
    [
        ("norm", layers.BatchNormalization, "frozen", AFFINE, False),
        ("norm", layers.BatchNormalization, "train", AFFINE + MOMENTS, True),
        ("norm", layers.LayerNormalization, "frozen", AFFINE, True),
        ("bias", layers.LayerNormalization, "frozen", ("conv/bias", "norm/beta"), False),
    ],
)
def test_norms_or_biases_train_alone_and_a_file_that_loses_this_is_announced_and_comes_back_frozen(
    parameters, norm, batchnorm, moving, kept_by_a_file, tmp_path, recwarn
):
    nested = batchnorm == "train"
    choose = {"last": 2, "batchnorm": batchnorm, "parameters": parameters}
    model = compiled(unfreeze(network(nested, norm, bias=batchnorm == "frozen"), **choose))
    announced = [str(warning.message) for warning in recwarn if "one flag per layer" in str(warning.message)]
    assert len(announced) == (not kept_by_a_file)
    head = {"out/kernel", "out/bias"}
    expected = head | {f"{stage}_{name}" for stage in STAGES[2:] for name in moving}
    assert moved(model) == expected
    again = reloaded(model, tmp_path)
    assert moved(again) == (expected if kept_by_a_file else head)
    if not kept_by_a_file:
        assert moved(unfreeze(again, **choose)) == expected
    frozen = freeze(model, batchnorm=batchnorm)
    assert {"/".join(weight.path.split("/")[-2:]) for weight in frozen.trainable_weights} == head


@pytest.mark.backends
def test_norms_join_an_optimizer_with_its_state_at_the_rate_of_their_block():
    model = freeze(network())
    compiled(model, differential_optimizer(model, keras.optimizers.SGD(0.5, momentum=0.9), layer_decay=0.1))
    moved(model, epochs=1)
    momentum = model.optimizer.momentums[0].numpy() if keras.backend.backend() == "tensorflow" else None
    unfreeze(model, last=1, parameters="norm")
    row = trainable_table(model)[-2]
    assert (row.trainable, row.batchnorm, row.learning_rate) == (8, "frozen", pytest.approx(0.05))
    assert len(model.optimizer.momentums) == 4
    if momentum is not None:
        np.testing.assert_array_equal(model.optimizer.momentums[-2], momentum)
    rates = [model.optimizer.multiplier(weight) for weight in model.trainable_weights]
    assert rates == [pytest.approx(0.1)] * 2 + [1.0] * 2


@pytest.mark.backends
def test_after_unfreezing_only_a_change_of_the_flag_trains_batchnorm_on_tensorflow_and_any_assignment_elsewhere():
    base = unfreeze(network(nested=True)).get_layer("trunk")
    norm = base.get_layer("stem_norm")
    base.trainable = True
    assert norm.trainable is (keras.backend.backend() != "tensorflow")
    base.trainable = False
    base.trainable = True
    assert norm.trainable and all(weight.trainable for weight in norm.trainable_weights)


def test_batchnorm_of_the_head_trains_with_the_head():
    trunk = network()
    x = layers.GlobalAveragePooling2D()(trunk.get_layer("block3a_norm").output)
    x = layers.BatchNormalization(name="head_norm")(x)
    model = keras.Model(trunk.input, layers.Dense(2, activation="softmax", name="out")(x))
    state = {f"head_norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    assert moved(compiled(freeze(model))) == expected((), "frozen") | state


def test_every_trainable_weight_of_a_real_backbone_gets_a_gradient_and_no_other():
    model = tlkeras.image_classifier(
        "mobilenet_v3_small", classes=2, weights=None, image_size=64, dropout=0, pooling="max"
    )
    unfreeze(model, start="expanded_conv_9")
    trainable = {f"{layer.name}/{w.name}" for layer in model.layers for w in layer.trainable_weights}
    steps_of_one_size = keras.optimizers.Lion(0.01)
    model.compile(steps_of_one_size, "sparse_categorical_crossentropy", run_eagerly=True)
    before = values(model)
    images, _ = data(64)
    model.train_on_batch(100 * images, np.arange(16) // 10)  # not as many of one class: their bias would cancel out
    assert changed(before, values(model)) == trainable


@pytest.mark.backends
def test_new_layers_on_a_base_train_while_it_is_frozen_and_a_new_layer_below_it_is_named():
    image = keras.Input((8, 8, 1))
    trunk = network()
    trunk = keras.Model(trunk.input, trunk.get_layer("block3a_norm").output, name="trunk")
    x = trunk(layers.Conv2D(3, 1, name="adapter")(image))
    x = layers.BatchNormalization(name="new_norm")(layers.Conv2D(4, 1, use_bias=False, name="new_conv")(x))
    x = layers.GlobalAveragePooling2D()(layers.Activation("gelu")(x))
    model = keras.Model(image, layers.Dense(2, activation="softmax", name="out")(x))
    with pytest.warns(UserWarning, match=r"not part of the pretrained base: adapter\. .*`trainable = True`"):
        compiled(freeze(model))
    before = values(model)
    images, labels = data(8)
    model.fit(images[..., :1], labels, verbose=0)
    state = {f"new_norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    assert changed(before, values(model)) == expected((), "frozen") | {"new_conv/kernel"} | state


def test_towers_are_frozen_to_the_same_depth_in_any_order():
    for reverse in (False, True):
        image = keras.Input((8, 8, 3))
        towers = []
        for name in ("left", "right"):
            whole = network()
            towers.append(keras.Model(whole.input, whole.get_layer("block3a_norm").output, name=name))
        pooled = [layers.GlobalAveragePooling2D()(tower(image)) for tower in (towers[::-1] if reverse else towers)]
        model = keras.Model(image, layers.Dense(2, name="out")(layers.Add()(pooled)))
        unfreeze(model, last=1)
        for tower in towers:
            assert [layer.name for layer in tower.layers if layer.trainable_weights] == ["block3a_conv"]
        optimizer = differential_optimizer(model, keras.optimizers.SGD(1.0), layer_decay=0.5)
        rates = [
            [optimizer.multiplier(layer.weights[0]) for layer in tower.layers if layer.weights] for tower in towers
        ]
        assert rates[0] == rates[1] == sorted(rates[0]) and rates[0][-1] == 0.5


def test_dropout_and_batchnorm_called_for_inference_in_the_graph_stay_so():
    """The guide's idiom, which `fit` overrules in Keras 3: harmless once the layers themselves are frozen."""
    trunk, image = network(), keras.Input((8, 8, 3))
    trunk = keras.Model(trunk.input, trunk.get_layer("block3a_norm").output)
    x = layers.GlobalAveragePooling2D()(trunk(image, training=False))
    model = keras.Model(image, layers.Dense(2, activation="softmax", name="out")(x))
    assert moved(compiled(freeze(model))) == expected((), "frozen")


@pytest.mark.backends
def test_a_composite_layer_keeps_its_own_weights_and_its_sublayers_apart():
    class Token(layers.Layer):
        def __init__(self):
            super().__init__(name="token")
            self.inner = layers.Dense(4, name="inner")

        def build(self, shape):
            self.value = self.add_weight(shape=(4,), name="value")
            self.inner.build(shape)

        def call(self, x):
            return self.inner(x) + self.value

    model = keras.Sequential([keras.Input((4,)), Token(), layers.Dense(4, name="middle"), layers.Dense(2, name="out")])
    assert freeze(model).trainable_weights == model.get_layer("out").weights
    names = {w.name for w in unfreeze(model, start="inner").trainable_weights if "token" in w.path}
    assert names == {"kernel", "bias"}
    assert len(unfreeze(model).trainable_weights) == len(model.weights)


@keras.saving.register_keras_serializable("tests")
class Composite(layers.Layer):
    """Made of sublayers that Keras does not save one by one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build((*shape[:-1], 4))

    def call(self, x):
        return self.norm(self.conv(x))


def test_flags_that_a_file_would_lose_are_announced_and_a_second_call_restores_them(tmp_path):
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(Composite(name="second")(layers.MaxPooling2D()(Composite(name="first")(image))))
    model = keras.Model(image, layers.Dense(2, name="out")(x))
    with pytest.warns(UserWarning, match=r"first, second.*load_model.*again"):
        unfreeze(model, last=1)
    kept = [weight.trainable for weight in model.weights]
    again = reloaded(model, tmp_path)
    assert [weight.trainable for weight in again.weights] != kept  # or the warning could go
    with pytest.warns(UserWarning, match="first, second"):
        unfreeze(again, last=1)
    assert [weight.trainable for weight in again.weights] == kept


def test_flags_that_a_file_keeps_are_not_warned_of(recwarn):
    sequence = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(3)),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    for model in (sequence, network(nested=True)):
        unfreeze(freeze(model), last=1)
    assert not [str(warning.message) for warning in recwarn if "load_model" in str(warning.message)]


def test_lora_kernels_stay_frozen_when_their_layer_is_unfrozen():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="adapted"), layers.Dense(2, name="out")])
    model.get_layer("adapted").enable_lora(1)
    adapted = {w.name for w in unfreeze(model).get_layer("adapted").trainable_weights}
    assert adapted == {"bias", "lora_kernel_a", "lora_kernel_b"}


def test_freeze_counts_from_the_stem_and_unfreeze_from_the_head():
    model = network()
    for frozen in range(5):
        below = [layer.trainable for layer in freeze(model, first=frozen, batchnorm="train").layers if layer.weights]
        above = [
            layer.trainable for layer in unfreeze(model, last=4 - frozen, batchnorm="train").layers if layer.weights
        ]
        assert below == above == [False] * 2 * frozen + [True] * (9 - 2 * frozen)


def test_a_nested_model_is_frozen_by_its_name():
    base = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3)], name="base")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1), base, *head])
    tlkeras.unfreeze(tlkeras.freeze(model, end="base"), start="base")
    assert [layer.trainable for layer in tlkeras.blocks(model).layers] == [False, True, True, True]
    assert tlkeras.blocks(tlkeras.freeze(model, end="base")).head.layers[0].trainable


def test_the_model_itself_is_returned_and_state_is_untouched_where_nothing_changes():
    model = compiled(freeze(network()))
    optimizer = model.optimizer
    assert freeze(model) is model
    assert model.optimizer is optimizer


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda model: unfreeze(model, last=5),
            "`last` must be between 0 and 4 for this model, whose blocks are stem, block1",
        ),
        (lambda model: freeze(model, first=-1), "`first` must be between 0 and 4"),
        (lambda model: unfreeze(model, last="block1"), "To pass a name, use `start`."),
        (lambda model: freeze(model, end=2), "To pass a number, use `first`."),
        (lambda model: freeze(model, first=1, end="block1"), "`first` and `end` are mutually exclusive"),
        (lambda model: unfreeze(model, start="block9"), "No block or layer is called 'block9'. Did you mean"),
        (lambda model: freeze(model, first=2.0), "(0, 1]"),
        (lambda model: unfreeze(model, last=1, batchnorm=False), "`batchnorm` must be 'frozen' or 'train'"),
        (lambda model: unfreeze(model, parameters="norms"), "`parameters` must be 'all', 'norm' or 'bias'"),
        (lambda model: unfreeze(network(norm=layers.Identity), last=1, parameters="norm"), "no normalization layers"),
        (lambda model: trainable_table(keras.Sequential()), "has no weights to map"),
        (lambda model: trainable_table("mobilenet_v2"), "`model` must be a keras.Model"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_changes(call, message):
    model = network()
    with pytest.raises(InputError) as error:
        call(model)
    assert message in str(error.value)
    assert all(layer.trainable for layer in model.layers)


@keras.saving.register_keras_serializable("test_freezing")
class Counting(layers.Layer):
    """A layer with a statistic that moves in training if `counts` is set."""

    def __init__(self, counts=True, **kwargs):
        super().__init__(**kwargs)
        self.counts = counts

    def build(self, shape):
        self.total = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def call(self, x, training=False):
        if training and self.counts:
            self.total.assign(self.total + 1)
        return x

    def get_config(self):
        return super().get_config() | {"counts": self.counts}


@pytest.mark.backends
def test_frozen_layers_that_move_by_themselves_are_named():
    image = keras.Input((8, 8, 3))
    x = layers.SpectralNormalization(layers.Conv2D(4, 3), name="spectral")(image)
    x = Counting(name="counting")(Counting(counts=False, name="still")(x))
    x = layers.BatchNormalization()(layers.Dropout(0.5)(x))
    model = compiled(keras.Model(image, layers.Dense(2, "softmax", name="out")(layers.GlobalAveragePooling2D()(x))))
    with pytest.warns(UserWarning, match=r"training step: spectral, counting\. "):
        freeze(model)
    assert {name.split("/")[0] for name in moved(model, epochs=1)} >= {"spectral", "counting"}


def test_the_table_says_what_trains_at_which_rate():
    model = unfreeze(network(), last=1, batchnorm="train")
    rows = trainable_table(model)
    assert [(row.block, row.batchnorm, row.learning_rate) for row in rows] == [
        ("stem", "frozen", None),
        ("block1", "frozen", None),
        ("block2", "frozen", None),
        ("block3", "train", None),
        ("head", "-", None),
    ]
    assert [row.trainable for row in rows] == [0, 0, 0, 4 * 4 * 9 + 8, 10]
    assert sum(row.parameters for row in rows) == model.count_params()
    compiled(model, differential_optimizer(model, keras.optimizers.SGD(0.5), layer_decay=0.1))
    rates = [row.learning_rate for row in trainable_table(model)]
    assert rates == [None, None, None, pytest.approx(0.05), 0.5]
    lines = str(trainable_table(model)).splitlines()
    assert lines[0].split() == ["block", "layers", "parameters", "trainable", "BatchNorm", "learning", "rate"]
    assert [line.split()[-1] for line in lines[1:-1]] == ["-", "-", "-", "0.05", "0.5"]
    assert lines[-1].split()[:2] == ["total", "9"]
    assert str(trainable_table(model)[-2:]).splitlines()[1].split()[0] == "block3"


def test_of_several_rates_in_a_block_the_table_shows_the_lowest_and_the_highest():
    model = unfreeze(network(), last=1, batchnorm="train")
    slow = {"block3a_conv": 0.25}
    optimizer = differential_optimizer(model, keras.optimizers.SGD(0.5), layer_decay=1.0, multipliers=slow)
    block, head = trainable_table(compiled(model, optimizer))[-2:]
    assert (block.lowest_rate, block.learning_rate, head.lowest_rate) == (0.125, 0.5, 0.5)
    assert repr(trainable_table(model)).splitlines()[4].endswith("  0.125 to 0.5")
