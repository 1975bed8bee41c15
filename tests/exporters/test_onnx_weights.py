"""8-bit weights in ONNX files are as large as they can be without overflow on any processor."""

import numpy as np
import pytest

from tlkeras.exporters.onnx_weights import channel_scales, weight_scales


@pytest.mark.parametrize("inputs", [2, 3, 8])
def test_no_two_neighboring_products_can_exceed_16_bits(inputs):
    kernel = np.random.default_rng(inputs).normal(size=(40, inputs, 3, 3)).astype("float32")
    weights = np.rint(kernel / channel_scales(kernel)[:, None, None, None]).astype(int).transpose(0, 2, 3, 1)
    rows = weights.reshape(40, -1)
    rows = np.pad(rows, [(0, 0), (0, rows.shape[1] % 2)])
    for sign in (1, -1):  # the worst activations: 255 where the weight has this sign, else 0
        products = 255 * np.where(sign * rows > 0, rows, 0)
        assert np.abs(products[:, 0::2] + products[:, 1::2]).max() <= 32767
    assert np.abs(weights).max() > 64  # more than 7 bits


def test_depthwise_weights_and_those_of_opposite_signs_have_8_bits():
    kernel = np.array([[5.0], [-3.0]], "float32").reshape(2, 1, 1, 1)
    np.testing.assert_allclose(channel_scales(kernel), [5 / 127, 3 / 127], rtol=1e-6)
    assert channel_scales(np.array([4.0, -4.0], "float32").reshape(1, 2, 1, 1))[0] == pytest.approx(4 / 127)
    assert channel_scales(np.zeros((1, 2, 1, 1), "float32"))[0] > 0


def test_onnx_runtime_computes_what_the_float_file_computes(tmp_path):
    onnx = pytest.importorskip("onnx")
    quantization = pytest.importorskip("onnxruntime.quantization")
    import onnxruntime

    helper, random = onnx.helper, np.random.default_rng(0)
    kernel = random.uniform(0.5, 1, (4, 16, 1, 1)).astype("float32")  # of one sign: the plain scale saturates
    node = helper.make_node("Conv", ["x", "kernel"], ["y"], name="conv")
    shapes = {"x": [1, 16, 4, 4], "y": [1, 4, 4, 4]}
    taken, given = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shapes[name]) for name in "xy")
    graph = helper.make_graph([node], "g", [taken], [given], [onnx.numpy_helper.from_array(kernel, "kernel")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "plain.onnx")
    samples = iter([{"x": np.full(shapes["x"], value, "float32")} for value in (0.0, 1.0)])

    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            return next(samples, None)

    options = {"TensorQuantOverrides": weight_scales(graph, ())}
    kinds = {"activation_type": quantization.QuantType.QUInt8, "weight_type": quantization.QuantType.QInt8}
    quantization.quantize_static(
        str(tmp_path / "plain.onnx"),
        str(tmp_path / "int8.onnx"),
        Reader(),
        per_channel=True,
        extra_options=options,
        **kinds,
    )
    bright = {"x": np.ones(shapes["x"], "float32")}
    plain, int8 = (
        onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"]).run(None, bright)[0]
        for name in ("plain.onnx", "int8.onnx")
    )
    np.testing.assert_allclose(int8, plain, rtol=0.01)
