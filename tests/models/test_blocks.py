"""The block map: names users know, every weight in one block, the same map nested, reloaded and on any backend."""

import io
import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import tlkeras
from tlkeras import InputError, blocks
from tlkeras.features.taps import block_output
from tlkeras.models.graph import graft

# What each family's paper or source calls its stages, from stem to the last before the head.
STAGES = {
    "VGG16": (32, "block1 block2 block3 block4 block5"),
    "ResNet50": (32, "stem conv2_x conv3_x conv4_x conv5_x"),
    "ResNet50V2": (32, "stem conv2_x conv3_x conv4_x conv5_x"),
    "DenseNet121": (32, "stem conv2_x conv3_x conv4_x conv5_x"),
    "MobileNet": (32, "stem " + " ".join(f"block{i}" for i in range(1, 14))),
    "MobileNetV2": (32, "stem expanded_conv " + " ".join(f"block_{i}" for i in range(1, 17)) + " top"),
    "MobileNetV3Small": (32, "stem expanded_conv " + " ".join(f"expanded_conv_{i}" for i in range(1, 11)) + " top"),
    "EfficientNetB0": (32, "stem block1 block2 block3 block4 block5 block6 block7 top"),
    "EfficientNetV2B0": (32, "stem block1 block2 block3 block4 block5 block6 top"),
    "Xception": (71, " ".join(f"block{i}" for i in range(1, 15))),
    "InceptionV3": (75, "stem block1 block2 block3"),
    "InceptionResNetV2": (75, "stem block1 block2 block3"),
    "ConvNeXtTiny": (32, "stem stage_0 stage_1 stage_2 stage_3"),
    "NASNetMobile": (
        32,
        "stem cell_0 cell_1 cell_2 cell_3 reduce_4 cell_5 cell_6 cell_7 cell_8 reduce_8 cell_9 cell_10 cell_11 cell_12",
    ),
}

LARGE = ("InceptionResNetV2", "NASNetMobile", "DenseNet121", "EfficientNetV2B0", "InceptionV3", "ConvNeXtTiny")


@pytest.fixture
def without_values():
    """Variables of a shape and no value: a network of any size is built in no memory, and in little time."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.backend.clear_session()


def contents(model):
    """The map as plain data: block names, roles, and the names of the layers inside."""
    return [(block.name, block.role, [layer.name for layer in block.layers]) for block in blocks(model)]


def assert_every_weight_in_one_block(model):
    placed = [id(weight) for block in blocks(model) for weight in block.weights]
    assert len(placed) == len(set(placed))
    assert set(placed) == {id(weight) for weight in model.weights}


def reloaded(model):
    return type(model).from_config(model.get_config())


def classifier(base, classes=3):
    x = layers.GlobalAveragePooling2D()(base.output)
    return keras.Model(base.input, layers.Dense(classes, name="predictions")(layers.Dropout(0.1)(x)))


def nested(base, classes=3):
    image = keras.Input(base.input_shape[1:])
    x = layers.GlobalAveragePooling2D()(base(image))
    return keras.Model(image, layers.Dense(classes, name="predictions")(x))


def plain_cnn(prefix="", name=None, depth=2):
    image = keras.Input((16, 16, 3))
    x = image
    for i in range(depth):
        x = layers.Conv2D(4, 3, padding="same", name=f"{prefix}conv_{i}")(x)
        x = layers.BatchNormalization(name=f"{prefix}norm_{i}")(x)
        x = layers.MaxPooling2D()(x)
    return keras.Model(image, x, name=name)


def residual_cnn():
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(image)
    for stage, stride in enumerate((1, 2, 2)):
        for repeat in range(2):
            step = stride if repeat == 0 else 1
            y = layers.Conv2D(4, 1, name=f"s{stage}r{repeat}_reduce")(x)
            y = layers.Conv2D(4, 3, strides=step, padding="same", name=f"s{stage}r{repeat}_conv")(y)
            if step > 1:
                x = layers.Conv2D(4, 1, strides=step, name=f"s{stage}r{repeat}_shortcut")(x)
            x = layers.Add()([x, y])
    return keras.Model(image, x)


def transformer(depth=3):
    image = keras.Input((16, 16, 3))
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4, name="patches")(image))
    x = PositionEmbedding(name="positions")(x)
    for i in range(depth):
        y = layers.LayerNormalization(name=f"{i}_norm1")(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name=f"{i}_attention")(y, y)])
        y = layers.Dense(16, name=f"{i}_up")(layers.LayerNormalization(name=f"{i}_norm2")(x))
        x = layers.Add()([x, layers.Dense(8, name=f"{i}_down")(y)])
    x = layers.LayerNormalization(name="last_norm")(x)
    return keras.Model(image, layers.Dense(3, name="predictions")(x[:, 0]))


@keras.saving.register_keras_serializable("tests")
class PositionEmbedding(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], name="table")

    def call(self, x):
        return x + self.table


class Subclassed(keras.Model):
    """No graph, weights of its own, a nested model and a head."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.classify = layers.Dense(2, name="classify")
        self.pool = layers.GlobalAveragePooling2D()
        self.trunk = plain_cnn(name="trunk")

    def build(self, shape):
        self.cls_token = self.add_weight(shape=(4,), name="cls_token")
        self.classify.build((None, 4))

    def call(self, x):
        return self.classify(self.pool(self.trunk(x)) + self.cls_token)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in STAGES])
def test_families_get_the_blocks_their_papers_name_flat_nested_and_rebuilt(name, without_values):
    size, expected = STAGES[name]
    base = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(size, size, 3))
    flat = classifier(base)
    assert " ".join(blocks(flat).names) == f"{expected} head"
    assert_every_weight_in_one_block(flat)
    assert contents(nested(base)) == contents(flat)
    assert contents(base) == contents(flat)[:-1]
    if name in ("VGG16", "MobileNetV2", "ConvNeXtTiny"):  # the others take long, and are made of the same layers
        assert contents(reloaded(flat)) == contents(flat)


@pytest.mark.parametrize(
    "name", ["MobileNet", "ConvNeXtTiny", "VGG16", pytest.param("NASNetMobile", marks=pytest.mark.slow)]
)
def test_an_application_with_its_own_classifier_has_it_as_head(name, without_values):
    size = 224 if name == "NASNetMobile" else 32
    model = getattr(keras.applications, name)(weights=None, classes=5, input_shape=(size, size, 3))
    assert_every_weight_in_one_block(model)
    assert blocks(model).head.weights[-1].shape == (5,)


def test_our_own_backbone_is_mapped_by_stage(without_values):
    model = tlkeras.image_classifier("efficientnet_lite0", classes=3, weights=None, image_size=32)
    assert blocks(model).names == ("stem", *(f"block{i}" for i in range(1, 8)), "top", "head")
    assert [layer.name for layer in blocks(model).head.layers] == ["predictions"]


@pytest.mark.backends
def test_an_unknown_residual_network_is_divided_where_resolution_changes():
    found = blocks(classifier(residual_cnn()))
    assert found.names == ("stem", "block1", "block2", "block3", "head")
    assert [layer.name for layer in found.stem.layers] == ["first"]
    assert {layer.name[:2] for layer in found["block2"].layers} == {"s1"}  # its shortcut and strided branch included


def test_a_plain_network_has_a_block_for_each_resolution_even_at_unknown_size():
    for size in (32, None):
        model = keras.Sequential(
            [
                keras.Input((size, size, 3)),
                layers.Conv2D(4, 3, name="a"),
                layers.BatchNormalization(name="a_norm"),
                layers.MaxPooling2D(),
                layers.Conv2D(4, 3, name="b"),
                layers.MaxPooling2D(),
                layers.Conv2D(4, 3, name="c"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(8, name="hidden"),
                layers.Dense(2, name="out"),
            ]
        )
        names = [[layer.name for layer in block.layers] for block in blocks(model)]
        assert names == [["a", "a_norm"], ["b"], ["c"], ["hidden", "out"]]


@pytest.mark.backends
def test_a_transformer_is_divided_at_its_repeated_layer_with_embeddings_in_the_stem():
    found = blocks(transformer(depth=3))
    assert found.names == ("stem", "block1", "block2", "block3", "head")
    assert [layer.name for layer in found.stem.layers] == ["patches", "positions"]
    assert found.block_of(found.layers[-2]).name == "block3"  # the last normalization
    assert [layer.name for layer in found.head.layers] == ["predictions"]
    assert_every_weight_in_one_block(transformer())


def transformer_of_leaves(heads=2, width=8, depth=3):
    """Attention written out: heads are split and merged, and all patches but not the token are rotated by the image."""
    image = keras.Input((16, 16, 3))
    x = layers.Reshape((16, width))(layers.Conv2D(width, 4, strides=4, name="patches")(image))
    token = layers.Embedding(1, width, name="cls_token")(ops.zeros_like(x[:, :1, 0], dtype="int32"))
    x = ops.concatenate([token, x], axis=1)
    angle = ops.cos(ops.mean(image, axis=(1, 2, 3), keepdims=True))  # read in every block
    for i in range(depth):
        y = layers.LayerNormalization(name=f"{i}_norm1")(x)
        parts = [layers.Dense(width, name=f"{i}_{part}")(y) for part in ("query", "key", "value")]
        split = [ops.reshape(part, (-1, 17, heads, width // heads)) for part in parts]
        query, key = (ops.concatenate([part[:, :1], part[:, 1:] * angle], axis=1) for part in split[:2])
        scores = ops.matmul(ops.transpose(query, (0, 2, 1, 3)), ops.transpose(key, (0, 2, 3, 1)))
        y = ops.matmul(ops.softmax(scores), ops.transpose(split[2], (0, 2, 1, 3)))
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, 17, width))
        x = layers.Add()([x, layers.Dense(width, name=f"{i}_out")(y)])
        y = layers.Dense(16, name=f"{i}_up")(layers.LayerNormalization(name=f"{i}_norm2")(x))
        x = layers.Add()([x, layers.Dense(width, name=f"{i}_down")(y)])
    return keras.Model(image, x)


@pytest.mark.backends
@pytest.mark.parametrize(("heads", "width"), [(2, 8), (1, 64)], ids=["few channels", "more channels than tokens"])
def test_splitting_heads_changes_no_resolution_and_an_image_read_in_every_block_joins_none(heads, width):
    parts = ("norm1", "query", "key", "value", "out", "norm2", "up", "down")
    found = blocks(transformer_of_leaves(heads, width))
    assert [[layer.name for layer in block.layers] for block in found] == [
        ["patches", "cls_token"],
        *([f"{i}_{part}" for part in parts] for i in range(3)),
    ]


@pytest.mark.backends
def test_patches_merged_by_reshaping_begin_a_block():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(image)
    x = ops.transpose(ops.reshape(x, (-1, 8, 2, 8, 2, 4)), (0, 1, 3, 2, 4, 5))
    x = layers.Dense(8, name="second")(ops.reshape(x, (-1, 8, 8, 16)))
    found = blocks(keras.Model(image, layers.Conv2D(4, 3, padding="same", name="third")(x)))
    assert [[layer.name for layer in block.layers] for block in found] == [["first"], ["second", "third"]]


@pytest.mark.parametrize("scaling", [1.0, None], ids=["scaled", "raw"])
def test_branches_that_begin_at_the_image_are_parallel(scaling):
    image = keras.Input((16, 16, 3))
    x = image if scaling is None else layers.Rescaling(scaling)(image)
    first = layers.Conv2D(4, 1, strides=2, name="a")(x)
    second = layers.Conv2D(4, 1, name="b2")(layers.Conv2D(4, 1, strides=2, name="b1")(x))
    x = layers.Concatenate()([first, second])
    found = blocks(keras.Model(image, layers.Conv2D(4, 1, strides=2, name="after")(x)))
    assert [{layer.name for layer in block.layers} for block in found] == [{"a", "b1", "b2"}, {"after"}]


def test_of_dense_layers_the_last_is_the_head_and_each_other_a_block():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(n, name=f"d{n}") for n in (8, 7, 6, 2))])
    assert contents(model) == [
        ("block1", "body", ["d8"]),
        ("block2", "body", ["d7"]),
        ("block3", "body", ["d6"]),
        ("head", "head", ["d2"]),
    ]


def test_squeeze_and_excitation_is_no_head():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(image)
    scale = layers.Dense(4, activation="sigmoid", name="excite")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    model = classifier(keras.Model(image, layers.Multiply()([x, scale])))
    assert [layer.name for layer in blocks(model).head.layers] == ["predictions"]


@pytest.mark.backends
@pytest.mark.parametrize(
    "end",
    [
        lambda x: layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1, name="classes")(x))),
        lambda x: ops.softmax(layers.GlobalMaxPooling2D()(layers.Conv2D(5, 1, name="classes")(x))),
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1, activation="softmax", name="classes")(x)),
        lambda x: layers.Activation("sigmoid")(layers.Conv2D(5, 1, name="classes")(x)),
    ],
    ids=["pooled", "by an operation", "pooled afterwards", "a class for each pixel"],
)
def test_the_head_of_a_fully_convolutional_classifier_is_its_last_convolution(end):
    trunk = plain_cnn()
    model = keras.Model(trunk.input, end(trunk.output))
    assert [layer.name for layer in blocks(model).head.layers] == ["classes"]
    assert blocks(model).names == ("block1", "block2", "head")


def test_a_mean_over_one_of_two_dimensions_is_no_pooling():
    image = keras.Input((8, 8, 3))
    x = ops.mean(layers.Conv2D(4, 1, name="conv")(image), axis=1, keepdims=True)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, (1, 3), name="along_the_rest")(x))
    assert [layer.name for layer in blocks(keras.Model(image, layers.Dense(2, name="out")(x))).head.layers] == ["out"]


def test_a_gate_at_the_end_of_a_backbone_is_no_head():
    trunk = plain_cnn()
    gate = layers.Conv2D(4, 1, activation="sigmoid")(trunk.output)
    assert blocks(keras.Model(trunk.input, layers.Multiply()([trunk.output, gate]))).head is None


def test_a_backbone_without_pooling_has_no_head():
    assert blocks(residual_cnn()).head is None


def fused(towers, image):
    """A classifier of the pooled outputs of several towers."""
    pooled = [layers.GlobalAveragePooling2D()(tower) for tower in towers]
    return keras.Model(image, layers.Dense(2, name="out")(layers.Concatenate()(pooled)))


def two_towers(nested, order):
    """Towers of two and three blocks; the layers of nested ones have the same names in both."""
    image = keras.Input((16, 16, 3))
    depths = {"left": 2, "right": 3}
    prefixes = {name: "" if nested else f"{name}_" for name in depths}
    towers = {name: plain_cnn(prefixes[name], name, depth=depth) for name, depth in depths.items()}
    if nested:
        return fused([towers[name](image) for name in order], image)
    return fused([graft(towers[name], image, image).output for name in order], image)


@pytest.mark.backends
@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
def test_parallel_towers_share_blocks_counted_from_the_head_in_any_order(nested):
    expected = [["right"], ["left", "right"], ["left", "right"]]
    for order in (("left", "right"), ("right", "left")):
        model = two_towers(nested, order)
        found = blocks(model)
        assert found.names == ("block1", "block2", "block3", "head")
        paths = [{found.path_of(layer) for layer in block.layers} for block in found.body]
        sides = [sorted({re.match("left|right", path)[0] for path in block}) for block in paths]
        assert sides == expected
        assert [{path[-6:] for path in block} for block in paths][2] == {"conv_1", "norm_1", "conv_2", "norm_2"}
        assert set(found.top("left_conv_1" if not nested else "left")) == set(found.top(1 if not nested else 2))
        assert_every_weight_in_one_block(model)
        with pytest.raises(InputError, match="'block2' belongs to parallel towers"):
            block_output(model, "block2")


def test_towers_of_one_known_family_get_its_names_and_of_two_families_both():
    image = keras.Input((32, 32, 3))

    def tower(kind, name):
        return getattr(keras.applications, kind)(weights=None, include_top=False, input_shape=(32, 32, 3), name=name)

    with keras.StatelessScope(initialize_variables=False):
        same = fused([tower("MobileNet", "a")(image), tower("MobileNet", "b")(image)], image)
        mixed = fused([tower("VGG16", "a")(image), tower("ResNet50", "b")(image)], image)
    assert blocks(same).names == (*STAGES["MobileNet"][1].split(), "head")
    assert blocks(mixed).names == ("block1+stem", *(f"block{i}+conv{i}_x" for i in range(2, 6)), "head")


@pytest.mark.backends
def test_layers_put_on_a_base_belong_to_the_head_and_others_outside_it_are_known():
    image = keras.Input((16, 16, 1))
    base = plain_cnn(name="base")
    x = base(layers.Conv2D(3, 1, name="adapter")(image))
    x = layers.BatchNormalization(name="new_norm")(layers.Conv2D(4, 3, name="new_conv")(x))
    again = layers.Conv2D(3, 1, name="between")(x)
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(layers.Resizing(16, 16)(again))])
    model = keras.Model(image, layers.Dense(2, name="out")(x))
    found = blocks(model)
    assert [layer.name for layer in found.head.layers] == ["new_conv", "new_norm", "between", "out"]
    assert [layer.name for layer in found.outside] == ["adapter"]
    assert found.names == ("stem", "block1", "block2", "head")
    assert_every_weight_in_one_block(model)


def test_a_layer_before_a_base_with_a_stem_joins_that_stem():
    image, base = keras.Input((32, 32, 1)), residual_cnn()
    x = layers.GlobalAveragePooling2D()(base(layers.Conv2D(3, 1, name="adapter")(image)))
    found = blocks(keras.Model(image, layers.Dense(2)(x)))
    assert found.names == ("stem", "block1", "block2", "block3", "head")
    assert [layer.name for layer in found.stem.layers] == ["adapter", "first"]


@pytest.mark.parametrize("prefix", ["", "left_"])
def test_a_family_is_recognized_by_two_of_its_blocks_also_behind_a_shared_prefix(prefix):
    names = ("Conv1", "bn_Conv1", "block_1_expand", "block_1_project")
    convs = [layers.Dense(3, name=f"{prefix}{name}") for name in names]
    model = keras.Sequential([keras.Input((4, 4, 3)), *convs, layers.Flatten(), layers.Dense(2, name="out")])
    assert blocks(model).names == ("stem", "block_1", "head")


def vectors(units, *widths):
    return keras.Sequential([keras.Input((units,)), *(layers.Dense(width) for width in widths)])


def test_models_of_vectors_side_by_side_are_refused_and_a_chain_of_equal_shapes_is_not():
    class Holder(keras.Model):
        def __init__(self, *parts):
            super().__init__()
            self.parts = list(parts)

        def call(self, x):
            return self.parts[-1](x)

    chain, beside = Holder(vectors(4, 4), vectors(4, 4)), Holder(vectors(4, 2), vectors(4, 2))
    for model in (chain, beside):
        model(np.zeros((1, 4)))
    assert_every_weight_in_one_block(chain)
    with pytest.raises(InputError, match="side by side"):
        blocks(beside)


def test_a_model_with_two_outputs_is_mapped_to_its_end():
    image = keras.Input((4,))
    x = layers.Dense(3, name="trunk")(image)
    assert_every_weight_in_one_block(keras.Model(image, [layers.Dense(2)(x), layers.Dense(2)(layers.Dense(3)(x))]))


def test_layers_put_on_a_flat_network_of_a_known_family_belong_to_the_head(without_values):
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    x = layers.BatchNormalization(name="new_norm")(layers.Conv2D(8, 1, name="new_conv")(base.output))
    model = keras.Model(base.input, layers.Dense(2, name="out")(layers.GlobalAveragePooling2D()(x)))
    assert [layer.name for layer in blocks(model).head.layers] == ["new_conv", "new_norm", "out"]


class Distiller(keras.Model):
    def __init__(self):
        super().__init__(name="distiller")
        self.teacher, self.student = classifier(plain_cnn("t_")), classifier(plain_cnn("s_"))
        self.teacher.name, self.student.name = "teacher", "student"

    def call(self, x):
        return self.student(x)


def test_a_model_that_holds_teacher_and_student_is_refused_and_each_of_them_is_not():
    model = Distiller()
    model(np.zeros((1, 16, 16, 3)))
    with pytest.raises(InputError, match=r"'distiller' has no graph .* side by side, 'teacher' and 'student'"):
        blocks(model)
    student = model.student
    student.teacher = model.teacher
    with pytest.raises(InputError, match="side by side, 'student' and 'teacher'"):
        blocks(student)
    assert blocks(model.teacher).names == ("block1", "block2", "head")


def test_a_shared_model_is_counted_once():
    tower, pool = plain_cnn(), layers.GlobalAveragePooling2D()
    images = [keras.Input((16, 16, 3)), keras.Input((16, 16, 3))]
    both = layers.Concatenate()([pool(tower(image)) for image in images])
    model = keras.Model(images, layers.Dense(2)(both))
    assert blocks(model).names == ("block1", "block2", "head")
    assert_every_weight_in_one_block(model)


@pytest.mark.backends
def test_a_subclassed_model_is_read_in_layer_order_with_its_own_weights_and_its_head_last():
    model = Subclassed()
    model(np.zeros((1, 16, 16, 3)))
    assert contents(model) == [
        ("stem", "stem", ["subclassed"]),
        ("block1", "body", ["conv_0", "norm_0"]),
        ("block2", "body", ["conv_1", "norm_1"]),
        ("head", "head", ["classify"]),
    ]
    assert blocks(model).block_of(model.cls_token).name == "stem"
    assert_every_weight_in_one_block(model)


def test_weights_of_a_functional_subclass_outside_the_graph_are_not_lost():
    class WithProjector(keras.Model):
        pass

    base = classifier(plain_cnn())
    model = WithProjector(base.inputs, base.outputs)
    model.projector = layers.Dense(5, name="projector")
    model.projector.build((None, 2))
    assert_every_weight_in_one_block(model)


def test_both_directions_of_a_recurrent_layer_are_one_block():
    model = keras.Sequential(
        [
            keras.Input((9,)),
            layers.Embedding(10, 8, name="words"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.LSTM(4),
            layers.Dense(2),
        ]
    )
    assert blocks(model).names == ("stem", "block1", "block2", "head")
    assert_every_weight_in_one_block(model)


def text_network():
    """Reads the words of a sentence and the letters of each word, both of them embedded."""
    words, letters = keras.Input((12,), dtype="int32"), keras.Input((12, 5), dtype="int32")
    x = layers.Embedding(50, 8, name="words")(words)
    x += layers.Embedding(12, 8, name="positions")(ops.cumsum(ops.ones_like(words), axis=1) - 1)
    x = layers.Concatenate()([x, ops.reshape(layers.Embedding(26, 2, name="letters")(letters), (-1, 12, 10))])
    for i in range(3):
        x = layers.LayerNormalization(name=f"norm{i}")(layers.Dense(8, "relu", name=f"dense{i}")(x))
    return keras.Model([words, letters], layers.Dense(2, name="predictions")(layers.GlobalAveragePooling1D()(x)))


def test_a_network_for_text_has_its_embeddings_in_the_stem_and_a_block_for_each_layer():
    assert [{layer.name for layer in block.layers} for block in blocks(text_network())] == [
        {"words", "positions", "letters"},
        *({f"dense{i}", f"norm{i}"} for i in range(3)),
        {"predictions"},
    ]


@pytest.mark.backends
def test_the_map_survives_a_file(tmp_path):
    model = nested(plain_cnn(name="base"))
    model.save(tmp_path / "model.keras")
    assert contents(keras.models.load_model(tmp_path / "model.keras")) == contents(model)


def test_blocks_are_found_by_number_name_layer_and_variable():
    model = classifier(plain_cnn())
    found = blocks(model)
    assert found[0] is found["block1"] and found[-1] is found.head and len(found) == 3
    assert found.body == (found[0], found[1]) and found.stem is None and "block2" in found
    norm = model.get_layer("norm_1")
    assert found.block_of(norm) is found.block_of(norm.moving_mean) is found["block2"]
    assert found["block1"].count_params() == 4 * 27 + 4 + 4 * 4


def test_the_table_lines_up():
    lines = str(blocks(classifier(plain_cnn()))).splitlines()
    assert [line.split() for line in lines] == [
        ["block", "role", "layers", "parameters"],
        ["block1", "body", "2", "128"],
        ["block2", "body", "2", "164"],
        ["head", "head", "1", "15"],
    ]
    assert len({len(line) for line in lines}) == 1


@pytest.fixture(scope="module")
def mobilenet_v2():
    with keras.StatelessScope(initialize_variables=False):
        base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
        return blocks(classifier(base))


@pytest.mark.parametrize(
    ("selection", "first"),
    [
        (0, "predictions"),
        (1, "Conv_1"),
        (2, "block_16_expand"),
        (19, "Conv1"),
        (1.0, "Conv1"),
        (0.01, "Conv_1"),
        ("block_13", "block_13_expand"),
        ("block_13_project", "block_13_project"),
        ("block_13_proj", "block_13_project"),
        ("head", "predictions"),
    ],
)
def test_the_top_begins_at_a_number_fraction_or_name(selection, first, mobilenet_v2):
    assert mobilenet_v2.top(selection)[0].name == first
    assert mobilenet_v2.top(selection)[-1].name == "predictions"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (3, "be between 0 and 2 for this model, whose blocks are block1, block2. Received: selection=3."),
        (-1, "between 0 and 2"),
        (1.5, "(0, 1]"),
        (0.0, "(0, 1]"),
        (True, "an integer, a fraction in (0, 1], or the name"),
        (None, "an integer, a fraction in (0, 1], or the name"),
        ("blok2", "Did you mean 'block2'"),
        ("zzz", "Known names: block1, block2"),
        ("", "Known names: block1, block2"),
    ],
)
def test_an_impossible_selection_says_what_would_do(selection, message):
    with pytest.raises(InputError) as error:
        blocks(classifier(plain_cnn())).top(selection)
    assert message in str(error.value)


def test_a_number_or_fraction_of_blocks_may_be_of_numpy():
    found = blocks(classifier(plain_cnn()))
    assert found.top(np.int64(1)) == found.top(np.float32(0.5)) == found.top(1)


def test_what_cannot_be_mapped_is_refused_with_advice():
    with pytest.raises(InputError, match=r"model.build\(input_shape\)"):
        blocks(Subclassed())
    with pytest.raises(InputError, match=r"`model` must be a keras\.Model. Received: model=<Dense"):
        blocks(layers.Dense(2))
    with pytest.raises(InputError, match=r"'blokc1'\. Did you mean 'block1'"):
        blocks(plain_cnn())["blokc1"]
    with pytest.raises(InputError, match="does not belong to any block"):
        blocks(plain_cnn()).block_of(layers.Dense(2, name="stranger"))


def test_kerashub_transformers_have_their_tokens_in_the_stem(without_values):
    models = pytest.importorskip("keras_hub").models
    shape = {"image_shape": (32, 32, 3), "patch_size": 8, "num_heads": 2, "hidden_dim": 8, "num_layers": 3}
    for backbone in (
        models.ViTBackbone(**shape, mlp_dim=16),
        models.DeiTBackbone(**shape, intermediate_dim=16),
        models.DINOV2Backbone(**shape, intermediate_dim=16),
        models.DINOV3Backbone(**shape, intermediate_dim=16),
    ):
        found = blocks(backbone)
        assert found.names == ("stem", "block1", "block2", "block3")
        tokens = [weight for weight in backbone.weights if "embedding" in weight.path or "token" in weight.path]
        assert tokens and {found.block_of(weight).name for weight in tokens} == {"stem"}
        assert_every_weight_in_one_block(backbone)


def test_a_kerashub_classifier_has_its_dense_layer_as_head():
    models = pytest.importorskip("keras_hub").models
    backbone = models.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_heads=2, hidden_dim=8, num_layers=2, mlp_dim=16
    )
    found = blocks(models.ViTImageClassifier(backbone, num_classes=3, pooling="token"))
    assert found.names == ("stem", "block1", "block2", "head")


def test_kerascv_backbones_are_mapped_by_stage(without_values):
    models = pytest.importorskip("keras_cv").models
    common = {"include_rescaling": False, "input_shape": (32, 32, 3)}
    net = {
        "stackwise_kernel_sizes": [3, 3],
        "stackwise_num_repeats": [1, 2],
        "stackwise_input_filters": [32, 16],
        "stackwise_output_filters": [16, 24],
        "stackwise_expansion_ratios": [1, 6],
        "stackwise_strides": [1, 2],
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        **common,
    }
    lite = models.EfficientNetLiteBackbone(**net)
    assert blocks(lite).names == ("stem", "block1", "block2", "top")
    v2 = models.EfficientNetV2Backbone(
        **net,
        stackwise_squeeze_and_excite_ratios=[0, 0.25],
        stackwise_conv_types=["fused", "unfused"],
        skip_connection_dropout=0.2,
    )
    assert blocks(v2).names == ("stem", "block1", "block2", "top")
    dark = models.CSPDarkNetBackbone(stackwise_channels=[8, 16], stackwise_depth=[1, 1], **common)
    assert blocks(dark).names == ("stem", "dark2", "dark3")
    for model in (lite, v2, dark):
        assert_every_weight_in_one_block(model)


def test_the_map_prints_without_a_terminal():
    print(blocks(plain_cnn()), file=(out := io.StringIO()))
    assert "block2" in out.getvalue()
