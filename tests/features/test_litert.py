"""Networks written for LiteRT answer as in Keras, and run without it."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.features.engines.litert_engine import LiteRtEngine

pytest.importorskip("ai_edge_litert")
from tlkeras.features.engines.compiled import compile_classifier
from tlkeras.features.engines.litert_layers import UnsupportedLayerError
from tlkeras.features.engines.litert_writer import write_litert
from tlkeras.models.heads import with_features

pytestmark = pytest.mark.backends

L = keras.layers


def _squeezed(x):
    y = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    y = L.Conv2D(8, 1, activation="sigmoid")(L.Activation("silu")(y))
    return L.Multiply()([x, y])


def _joined(x):
    # Keras on torch averages over the padding too, so such a file is not used there: answers are compared beforehand.
    side = 2 if keras.backend.backend() == "torch" else 3
    pooled = [L.MaxPooling2D(2)(x), L.AveragePooling2D(side, 2, padding="same")(x)]
    return L.Concatenate()([*pooled, L.SeparableConv2D(4, 3, 2, padding="same", activation="relu")(x)])


def test_a_second_output_gives_the_features_that_the_head_gets():
    inputs = keras.Input((16, 16, 3))
    features = L.Flatten()(L.Conv2D(2, 16, activation="relu")(L.Rescaling(1 / 255)(inputs)))  # a ReLU that is written
    model = with_features(keras.Model(inputs, L.Dense(3, activation="softmax")(L.Dropout(0.5)(features))))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")
    engine = LiteRtEngine(write_litert(model))
    expected = np.concatenate([keras.ops.convert_to_numpy(one) for one in model(pixels, training=False)], axis=1)
    assert engine(pixels).shape == (3, 5)
    np.testing.assert_allclose(engine(pixels), expected, atol=1e-5)


#: Ends of a network after a first convolution, each with other layers.
ENDS = {
    "inverted residual": lambda x: L.Add()(
        [L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(x)), L.BatchNormalization(center=False)(x)]
    ),
    "strided after padding": lambda x: L.ReLU(6.0)(L.DepthwiseConv2D(3, 2)(L.ZeroPadding2D(((0, 1), (1, 0)))(x))),
    "strided as by keras.applications": lambda x: L.DepthwiseConv2D(3, 2)(L.ZeroPadding2D(((0, 1), (0, 1)))(x)),
    "squeeze and excitation": _squeezed,
    "pools side by side": _joined,
    "dilated, with a bias": lambda x: L.Conv2D(4, 3, dilation_rate=2, activation="tanh")(x),
    "two users of a convolution": lambda x: L.Add()([x, L.BatchNormalization()(x), L.Activation("relu")(x)]),
    "functions of keras.ops": lambda x: keras.ops.flip(x * 0.5 + 1.0, axis=1),
    "hard activations": lambda x: L.Multiply()([L.Activation("hard_sigmoid")(x), L.Activation("hard_silu")(x)]),
    "augmented": lambda x: L.RandomFlip()(L.RandomTranslation(0.2, 0.2)(L.GaussianNoise(0.5)(x, training=False))),
    "cropped": lambda x: L.Cropping2D(((1, 2), (0, 1)))(x),
    "global maximum": lambda x: L.Dropout(0.5)(L.GlobalMaxPooling2D()(x)),
    "caffe": lambda x: keras.ops.flip(L.Normalization(axis=-1, mean=[0.1] * 8, variance=[2.0] * 8)(x), axis=-1),
}


def _with_random_weights(model):
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1, weight.shape) * 0.3 for weight in model.weights])
    return model


def _classifier(end, activation="softmax"):
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(L.Rescaling(1 / 128, -1.0)(inputs))
    x = L.Flatten()(end(L.ReLU(6.0)(L.BatchNormalization()(x))))
    return _with_random_weights(keras.Model(inputs, L.Dense(3, activation=activation)(x)))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype="uint8")


@pytest.mark.parametrize("name", ENDS)
def test_answers_are_those_of_keras(name, pixels):
    model = _classifier(ENDS[name], activation=None)
    expected = model.predict_on_batch(pixels)
    np.testing.assert_allclose(LiteRtEngine(write_litert(model))(pixels), expected, rtol=1e-5, atol=1e-5)


def test_batchnorm_and_relu_cost_no_operators_of_their_own():
    from ai_edge_litert.interpreter import Interpreter

    def block(x):
        x = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, 2)(L.ZeroPadding2D(((0, 1), (0, 1)))(x))))
        return L.GlobalAveragePooling2D()(L.BatchNormalization()(L.Conv2D(4, 1)(x)))

    details = Interpreter(model_content=write_litert(_classifier(block)))._get_ops_details()
    names = [one["op_name"] for one in details if one["op_name"] != "DELEGATE"]
    convolutions = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert names == ["MUL", "ADD", *convolutions, "MEAN", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "log_sigmoid"])
def test_a_classifier_answers_with_its_probabilities(activation, pixels):
    model = _classifier(L.GlobalAveragePooling2D(), activation)
    model.layers[-1].set_weights([np.linspace(-1, 1, 24).reshape(8, 3), np.zeros(3)])
    nested = keras.Sequential([keras.Input((16, 16, 3)), model])
    for whole in (model, nested):
        found = LiteRtEngine(write_litert(whole))(pixels)
        np.testing.assert_allclose(found, model.predict_on_batch(pixels), atol=1e-5)


def test_the_file_runs_without_keras_and_tensorflow(tmp_path, pixels):
    model = _classifier(ENDS["inverted residual"])
    assert compile_classifier(model, tmp_path / "model.tflite") is None
    np.save(tmp_path / "pixels.npy", pixels)
    script = (
        "import sys, numpy as np\n"
        "from tlkeras.features.engines.litert_engine import LiteRtEngine\n"
        "answers = LiteRtEngine('model.tflite', (16, 16, 3))(np.load('pixels.npy'))\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch', 'sklearn'} & set(sys.modules), 'imported'\n"
        "np.save('answers.npy', answers)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "delegate" not in result.stderr  # LiteRT announces it there
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), model.predict_on_batch(pixels), atol=1e-5)


def test_a_classifier_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    right, file = LiteRtEngine.__call__, tmp_path / "model.tflite"
    file.write_bytes(b"of an earlier model")
    monkeypatch.setattr(LiteRtEngine, "__call__", lambda self, pixels: right(self, pixels) + 1e-4)
    reason = compile_classifier(_classifier(L.GlobalMaxPooling2D()), file)
    assert "differ from those of Keras by up to 1.0e-04" in reason
    assert not file.exists()


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (L.LayerNormalization(name="norm"), "layer 'norm' is a LayerNormalization"),
        (L.ReLU(max_value=4.0, name="cut"), "layer 'cut' has the activation 'a ReLU with other bounds'"),
        (L.Conv2D(4, 3, groups=2, name="grouped"), "layer 'grouped' is a grouped convolution"),
        (L.Conv2D(4, 3, dtype="mixed_bfloat16", name="half"), "layer 'half' computes in bfloat16"),
    ],
)
def test_a_layer_that_cannot_be_written_is_named(end, message):
    with pytest.raises(UnsupportedLayerError, match=message):
        write_litert(_classifier(end))


def test_a_file_that_is_none_and_images_of_another_shape_are_refused(pixels):
    with pytest.raises(tlkeras.InputError, match="LiteRT cannot run this file"):
        LiteRtEngine(b"no model")
    content = write_litert(_classifier(L.GlobalAveragePooling2D()))
    with pytest.raises(tlkeras.InputError, match=r"images of shape \(16, 16, 3\), not \(8, 8, 3\)"):
        LiteRtEngine(content, (8, 8, 3))
