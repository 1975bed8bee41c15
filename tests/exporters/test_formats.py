"""Every format answers like Keras in its own runtime, and the examples read its files without tlkeras."""

import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tlkeras

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"
PACKAGES = {"onnx": ("onnx", "onnxruntime", "tf2onnx"), "openvino": ("openvino",)}


@pytest.fixture(scope="module")
def export_of(run_folder, tmp_path_factory):
    """Export to a format once."""
    made = {}

    def export(format, **options):
        for package in PACKAGES.get(format, ()):
            pytest.importorskip(package)
        key = (format, *options.items())
        if key not in made:
            made[key] = tlkeras.export(run_folder, tmp_path_factory.mktemp("made") / format, format=format, **options)
        return made[key]

    return export


@pytest.mark.parametrize("format", ["onnx", "openvino"])  # SavedModel: test_unknown.py
def test_each_format_answers_like_keras_and_knows_its_labels(export_of, run_folder, images, format):
    done = export_of(format)
    rows = {row["quantization"]: row for row in done.report["candidates"]}
    assert rows["none"]["agreement"] == 1.0 and rows["none"]["largest_difference"] < 1e-4
    assert rows["float16"]["agreement"] == 1.0 and rows["int8"]["agreement"] >= 0.97
    (done.path.parent / "labels.json").rename(done.path.parent / "aside.json")  # the file itself has them
    answers = tlkeras.load_export(done.path).predict(images / "green", probabilities=True)
    (done.path.parent / "aside.json").rename(done.path.parent / "labels.json")
    assert {one["class"] for one in answers} == {"green"}
    model = keras.saving.load_model(run_folder / "model.keras")
    expected = model.predict(tlkeras.read_images([one["path"] for one in answers], 16), verbose=0)
    given = np.array([list(one["probabilities"].values()) for one in answers])
    assert np.abs(given - expected).max() < 0.2


def test_a_network_that_we_cannot_write_and_other_batches_are_converted_by_tensorflow(images, tmp_path):
    pytest.importorskip("tensorflow")
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layers.LayerNormalization()(layers.Conv2D(4, 4, strides=4)(layers.RandomFlip()(inputs)))
    x = layers.Activation("gelu")(layers.Dense(8)(x))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), "uint8")
    done = tlkeras.export(model, tmp_path / "any", quantize="none", batch=None, images=pixels)
    assert "tensorflow" in done.report["provenance"]["tools"]
    runtime = tlkeras.exporters.runtimes.open_runtime(done.path, "litert")
    np.testing.assert_allclose(runtime.run(pixels[:5])[0], model.predict(pixels[:5], verbose=0), atol=1e-5)
    assert done.report["images"]["what"] == "given images" and "drop" not in done.report["verified"]


@pytest.mark.parametrize(
    ("script", "format", "quantize"),
    [
        ("python_litert.py", "litert", "none"),
        ("python_onnx.py", "onnx", "none"),
        ("python_mediapipe.py", "litert", "none"),
        ("python_mediapipe.py", "litert", "full_int8"),
    ],
)
def test_the_python_examples_answer_without_tlkeras_and_keras(export_of, images, script, format, quantize):
    done, photo = export_of(format, quantize=quantize), images / "red" / "15.png"
    blocked = "import sys\nfor name in ('tlkeras', 'keras', 'tensorflow'): sys.modules[name] = None\n"
    arguments = [str(done.path), str(photo)]
    code = f"{blocked}import runpy\nsys.argv[1:] = {arguments!r}\nrunpy.run_path({str(EXAMPLES / script)!r})"
    python = sys.executable
    if "mediapipe" in script:
        python = os.environ.get("MEDIAPIPE_PYTHON", python)
        if subprocess.run([python, "-c", "import mediapipe"], capture_output=True).returncode:
            pytest.skip("MediaPipe is not installed; MEDIAPIPE_PYTHON names a Python that has it")
    answer = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    expected = tlkeras.load_export(done.path).predict(photo)[0]
    assert answer[0] == "red" == expected["class"] and float(answer[1]) == pytest.approx(
        expected["probability"], abs=1e-3
    )


@pytest.fixture(scope="module")
def npm(tmp_path_factory):
    """Install the packages of the JavaScript examples, where npm and its registry are within reach."""
    if shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    folder = tmp_path_factory.mktemp("npm")
    packages = ["onnxruntime-node@1", "onnxruntime-web@1", "pngjs@7"]
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    if subprocess.run(command, capture_output=True, timeout=300).returncode:
        pytest.skip("the packages cannot be installed here")
    return folder


def test_the_node_example_answers(export_of, images, npm, tmp_path):
    done, photo = export_of("onnx", quantize="none"), images / "blue" / "15.png"
    command = ["node", str(EXAMPLES / "node" / "classify.mjs"), str(done.path), str(done.path.parent / "labels.json")]
    result = subprocess.run([*command, str(photo)], cwd=npm, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = tlkeras.load_export(done.path).predict(photo)[0]
    assert result.stdout.split() == ["blue", f"{expected['probability']:.3f}"]


def test_the_browser_example_answers(export_of, images, npm, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    done, photo, answers = export_of("onnx", quantize="none"), images / "green" / "15.png", queue.Queue()
    ask = "fetch('photo.png').then(r => r.blob()).then(classify).catch(String).then(t => fetch('answer?' + t))"
    page = (EXAMPLES / "browser" / "index.html").read_text()
    (tmp_path / "index.html").write_text(f"{page}<script>{ask}</script>")
    shutil.copy(photo, tmp_path / "photo.png")
    for file in (done.path, done.path.parent / "labels.json"):
        shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(npm / "node_modules")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments):
            path = urllib.parse.unquote(self.path)
            if path.startswith("/answer?"):
                answers.put(path.removeprefix("/answer?"))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/index.html"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            answer = answers.get(timeout=180)
        finally:
            browser.kill()
            server.shutdown()
    expected = tlkeras.load_export(done.path).predict(photo)[0]
    assert answer == f"green {expected['probability']:.3f}"


def test_the_comparison_has_a_row_per_file_and_a_chart(run_folder, tmp_path, capsys, monkeypatch):
    from tlkeras import cli

    chart = tmp_path / "chart.png"
    arguments = ["tlkeras", "benchmark", str(run_folder), "--format", "litert", "--chart", str(chart), "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code and Image.open(chart).width > 500
    rows = json.loads(capsys.readouterr().out)
    assert [row["quantization"] for row in rows] == ["none", "float16", "int8", "dynamic_int8", "full_int8"]
    assert all(row["agreement"] > 0.9 and row["ms_2"] > 0 and row["bytes"] > 0 for row in rows)
