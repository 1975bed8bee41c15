"""Every engine gives Keras' own features, or is not used."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.features.engines import choice
from tlkeras.features.engines.exported import ExportFolder
from tlkeras.features.engines.keras_engine import KerasEngine, lower_precision


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU(6.0)(keras.layers.DepthwiseConv2D(3)(x))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype="uint8")


def _engine(name, network, pixels, **kwargs):
    return choice.make_engine(name, lambda: network, pixels.shape, **kwargs)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_runtimes_give_keras_features(name, network, pixels, tmp_path):
    pytest.importorskip(name)
    engine = _engine(name, network, pixels, folder=tmp_path)
    assert engine.name == name
    expected = network.predict_on_batch(pixels)
    np.testing.assert_allclose(engine(pixels), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    # What is exported and compared once is started again without the network.
    again = choice.make_engine(name, lambda: pytest.fail("built"), pixels.shape, folder=tmp_path)
    np.testing.assert_array_equal(again(pixels), engine(pixels))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_threads_that_share_a_runtime_get_their_own_answers_whatever_the_size_of_their_batch(name, network, tmp_path):
    pytest.importorskip(name)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (n % 41 + 1, 16, 16, 3), dtype="uint8") for n in range(100)]
    expected = np.split(network.predict(np.concatenate(batches), verbose=0), np.cumsum([len(b) for b in batches])[:-1])
    engine = _engine(name, network, batches[31], folder=tmp_path)
    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(engine, batches), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-3 * np.abs(right).max())


def test_auto_takes_a_runtime_for_many_images_and_keras_for_few(network, pixels, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    order = ["onnxruntime", "openvino", "keras"]
    monkeypatch.setattr(choice, "_seconds", lambda engine, probe: order.index(engine.name))
    assert _engine("auto", network, pixels, folder=tmp_path, images=10).name == "keras"
    assert not list(tmp_path.iterdir())
    assert _engine("auto", network, pixels, folder=tmp_path, images=1000).name == "onnxruntime"
    assert _engine("auto", network, pixels, folder=tmp_path, images=10).name == "onnxruntime"


def test_a_runtime_with_other_answers_is_left_and_that_is_said(network, pixels, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")

    class Wrong(choice.OnnxRuntimeEngine):
        def __call__(self, pixels):
            return super().__call__(pixels) * 1.01

    monkeypatch.setattr(choice, "_RUNTIMES", {"onnxruntime": Wrong})
    assert _engine("auto", network, pixels).name == "keras"
    assert "not using onnxruntime: its features differ from Keras' by 1.0e-02" in capsys.readouterr().err
    with pytest.raises(tlkeras.InputError, match="take engine='keras'"):
        _engine("onnxruntime", network, pixels)


def test_a_runtime_that_is_not_installed_is_named_with_its_extra(network, pixels, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(tlkeras.InputError, match=r"tlkeras\[openvino\]"):
        _engine("openvino", network, pixels)
    assert _engine("auto", network, pixels).name == "keras"


@pytest.mark.backends
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_computes_so_and_answers_nearly_alike(network, pixels, precision):
    lower = lower_precision(network, precision)
    computing = {layer.compute_dtype for layer in lower.layers if layer.weights}
    assert computing == {precision}
    expected = network.predict_on_batch(pixels)
    found = KerasEngine(network, precision)(pixels)
    assert found.dtype == np.float32
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < difference < 0.02


@pytest.mark.parametrize(
    ("engine", "precision", "message"),
    [("tensorrt", None, "engine must be"), ("keras", "int8", "precision must be"), ("openvino", "float16", "is for")],
)
def test_what_there_is_not_is_refused(engine, precision, message):
    with pytest.raises(tlkeras.InputError, match=message):
        choice.check_engine(engine, precision)


def test_an_export_that_is_not_kept_goes_without_a_complaint(recwarn):
    exports = ExportFolder(None)
    folder = exports.folder
    assert folder.is_dir()
    del exports
    gc.collect()
    assert not folder.exists() and not recwarn.list
