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


@pytest.mark.parametrize("name", ["litert", "onnxruntime", "openvino"])
def test_runtimes_give_keras_features(name, network, pixels, tmp_path):
    pytest.importorskip(choice._PACKAGES[name].replace("-", "_") if name == "litert" else name)
    engine = _engine(name, network, pixels, folder=tmp_path)
    assert engine.name == name
    expected = network.predict_on_batch(pixels)
    np.testing.assert_allclose(engine(pixels), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    # What is exported and compared once is started again without the network.
    again = choice.make_engine(name, lambda: pytest.fail("built"), pixels.shape, folder=tmp_path)
    np.testing.assert_array_equal(again(pixels), engine(pixels))


@pytest.mark.parametrize("name", ["litert", "onnxruntime", "openvino"])
def test_threads_that_share_a_runtime_get_their_own_answers_whatever_the_size_of_their_batch(name, network, tmp_path):
    pytest.importorskip(choice._PACKAGES[name].replace("-", "_") if name == "litert" else name)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (n % 41 + 1, 16, 16, 3), dtype="uint8") for n in range(100)]
    expected = np.split(network.predict(np.concatenate(batches), verbose=0), np.cumsum([len(b) for b in batches])[:-1])
    engine = _engine(name, network, batches[31], folder=tmp_path)
    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(engine, batches), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4 * np.abs(right).max())


def test_auto_is_litert_and_its_answers_do_not_depend_on_the_batch(network, pixels, tmp_path):
    pytest.importorskip("ai_edge_litert")
    engine = _engine("auto", network, pixels, folder=tmp_path)
    assert engine.name == "litert" == choice.known_choice("auto", None, tmp_path)
    one_by_one = np.concatenate([engine(pixels[i : i + 1]) for i in (3, 2, 1, 0)])[::-1]
    np.testing.assert_array_equal(engine(pixels), one_by_one)


def test_auto_falls_back_to_keras_and_says_which_layer_is_the_reason(pixels, tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GroupNormalization(2, name="norm"), keras.layers.Flatten()]
    network = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    for _ in range(2):  # tried, and then remembered
        assert _engine("auto", network, pixels, folder=tmp_path, verbose=True).name == "keras"
        assert "instead of LiteRT: layer 'norm' is a GroupNormalization" in capsys.readouterr().err
    if keras.backend.backend() == "tensorflow":  # by its own converter, where that is asked for
        found = _engine("litert", network, pixels, folder=tmp_path)(pixels)
        expected = network.predict_on_batch(pixels)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert choice.known_choice("auto", None, tmp_path) == "keras"


def test_weights_that_cannot_be_downloaded_are_reported_once_and_are_no_reason_to_use_keras(pixels, tmp_path, capsys):
    calls = []

    def network():
        calls.append(1)
        raise tlkeras.InputError("no network here")

    with pytest.raises(tlkeras.InputError, match="no network here"):
        choice.make_engine("auto", network, pixels.shape, folder=tmp_path, verbose=True)
    assert len(calls) == 1 and not capsys.readouterr().err
    assert choice.known_choice("auto", None, tmp_path) in (None, "keras")  # the latter without LiteRT, or on a GPU


def test_a_runtime_with_other_answers_is_not_used_and_that_is_said(network, pixels, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    right = choice.LiteRtEngine.__call__
    monkeypatch.setattr(choice.LiteRtEngine, "__call__", lambda self, pixels: right(self, pixels) * 1.01)
    with pytest.warns(UserWarning, match="differ from those of Keras by up to 1.0e-02"):
        assert _engine("auto", network, pixels).name == "keras"
    with pytest.raises(tlkeras.InputError, match="Use engine='keras'"):
        _engine("litert", network, pixels)


def test_a_runtime_that_is_not_installed_is_named_with_what_to_install(network, pixels, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(tlkeras.InputError, match=r"tlkeras\[openvino\]"):
        _engine("openvino", network, pixels)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
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
    [
        ("tensorrt", None, "`engine` must be"),
        ("keras", "int4", "`precision` must be"),
        ("openvino", "float16", "Only Keras supports other precisions"),
    ],
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
