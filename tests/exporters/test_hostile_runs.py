"""A run with a hostile model is refused in one sentence, and no code in it is run.

`predict`, `evaluate`, `serve` and `export` open runs with `load_run`.
"""

import contextlib
import io
import json
import shutil
import zipfile
from hashlib import blake2b
from pathlib import Path

import keras
import numpy as np
import pytest

import tlkeras

pytest.importorskip("ai_edge_litert")
from tlkeras.exporters.litert_editing import opened, packed
from tlkeras.runs.folder import LITERT, MODEL


def _giant(content):
    """Give a tensor of a LiteRT file a shape of terabytes."""
    model, graph = opened(content)
    graph.tensors[graph.operators[2].outputs[0]].shape = [1 << 20, 1 << 20, 64]
    return packed(model)


def test_a_run_does_not_open_its_litert_file_if_that_was_tampered_with(plain, run_folder, tmp_path, monkeypatch):
    from tlkeras.features.engines import litert_engine

    run = shutil.copytree(run_folder, tmp_path / "run")
    assert tlkeras.load_run(run)._litert is not None
    (run / LITERT).write_bytes(_giant(plain))
    labels = json.loads((run / "labels.json").read_text())
    labels["digests"] = {
        name: blake2b((run / name).read_bytes(), digest_size=16).hexdigest() for name in (MODEL, LITERT)
    }
    (run / "labels.json").write_text(json.dumps(labels))
    monkeypatch.setattr(litert_engine.LiteRtEngine, "_interpreter", lambda self: pytest.fail("it was opened"))
    assert tlkeras.load_run(run)._litert is None  # Keras answers


def _with_lambda(folder, marker):
    """Write a model whose Lambda layer writes a file."""
    code = f"open({str(marker)!r}, 'w')"
    layers = [keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()]
    layer = keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(3,), name="mine")
    keras.Sequential([*layers, layer]).save(folder / MODEL)
    marker.unlink(missing_ok=True)  # building the layer wrote it


def _member(folder, name, change):
    """Change a member of `model.keras`, or add one."""
    with zipfile.ZipFile(folder / MODEL) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    members[name] = change(members.get(name))
    with zipfile.ZipFile(folder / MODEL, "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content)


def _config(folder, old, new):
    """Replace text in the configuration of `model.keras`."""

    def change(content):
        text = content.decode()
        assert old in text
        return text.replace(old, new, 1).encode()

    _member(folder, "config.json", change)


def _weights(folder, change):
    """Change the HDF5 file of weights in `model.keras`."""
    h5py = pytest.importorskip("h5py")

    def rewrite(content):
        file = io.BytesIO(content)
        with h5py.File(file, "r+") as weights:
            change(h5py, weights)
        return file.getvalue()

    _member(folder, "model.weights.h5", rewrite)


def _first_kernel(weights):
    """Return the path of the first array of more than one axis."""
    paths = []
    weights.visititems(lambda path, one: paths.append(path) if len(getattr(one, "shape", ())) > 1 else None)
    return paths[0]


def _linked(h5py, weights):
    path = _first_kernel(weights)
    del weights[path]
    weights[path] = h5py.ExternalLink("/etc/passwd", "/")


def _bomb(h5py, weights):
    path = _first_kernel(weights)
    del weights[path]
    weights.create_dataset(path, (1 << 20, 1 << 20), "float32", chunks=(1, 1 << 10))


#: Ways to make the model of a run hostile, by name: functions of its folder and of a file that its code would write.
HOSTILE_MODELS = {
    "a Lambda with code": _with_lambda,
    "a class that is not of Keras": lambda folder, marker: _config(
        folder, '"module": "keras.layers", "class_name": "Rescaling"', '"module": "os", "class_name": "system"'
    ),
    "a function of the system": lambda folder, marker: _config(
        folder, '"activation": "softmax"', '"activation": {"module": "os", "class_name": "function", "config": "abort"}'
    ),
    "weights in another file": lambda folder, marker: _weights(folder, _linked),
    "weights that claim terabytes": lambda folder, marker: _weights(folder, _bomb),
    "a layer of terabytes": lambda folder, marker: _config(folder, '"units": 3', f'"units": {1 << 42}'),
    "half a file": lambda folder, marker: (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:2000]),
}


@pytest.mark.parametrize("name", HOSTILE_MODELS)
def test_a_hostile_model_of_a_run_is_refused_and_its_code_is_not_run(run_folder, tmp_path, name):
    run, marker = shutil.copytree(run_folder, tmp_path / "run"), tmp_path / "marker"
    HOSTILE_MODELS[name](run, marker)
    with pytest.raises(tlkeras.InputError, match=r"model\.keras' is not a Keras model"):
        tlkeras.load_run(run)
    assert not marker.exists() and [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.filterwarnings("ignore:Skipping invalid path")
def test_an_archive_cannot_write_beside_a_model(run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "inner" / "run")
    for name in ("../evil.txt", "/tmp/tlkeras_evil.txt", "assets/../../evil.txt"):
        _member(run, name, lambda content: b"outside")
    with contextlib.suppress(tlkeras.InputError):
        tlkeras.load_run(run).predict(np.zeros((16, 16, 3), "uint8"))
    assert not list(tmp_path.rglob("*evil*")) and not Path("/tmp/tlkeras_evil.txt").exists()


@pytest.mark.slow
def test_code_in_a_model_is_neither_run_nor_exported(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Lambda(lambda x: x * 1.0, name="mine")])
    with pytest.raises(tlkeras.InputError, match=r"cannot be exported: .*[Ll]ambda"):
        tlkeras.export(model, tmp_path / "out")
