"""Published weights: read from disk, announced when downloaded, asked for in one sentence when neither is possible."""

import hashlib
import shutil

import keras
import numpy as np
import pytest

from tlkeras import InputError, backbone, backbone_info
from tlkeras.backbones.weights import published_file

SHAPE = (96, 96, 3)
URL = "https://example.org/weights.h5"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder where weights are kept; empty, and no network."""

    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", no_network)
    return tmp_path / "keras" / "models"


def test_without_a_network_the_error_names_file_url_and_folder_and_that_place_works(models, tmp_path, capsys):
    with pytest.raises(InputError) as error:
        backbone("mobilenet_v2", image_size=SHAPE[:2])
    file, url = backbone_info("mobilenet_v2").weights_at(96)
    assert all(part in str(error.value) for part in (file, url, str(models / file)))
    assert "\n" not in str(error.value)
    assert "downloading" in capsys.readouterr().err

    # Somebody fetches the file elsewhere and puts it there. (Any weights do: MobileNet's publisher gives no hash.)
    original = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=SHAPE)
    models.mkdir(parents=True, exist_ok=True)
    write_legacy(original, models / file)
    model = backbone("mobilenet_v2", image_size=SHAPE[:2])
    for actual, expected in zip(model.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert capsys.readouterr().err == ""


def write_legacy(model, path):
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def test_a_file_with_another_hash_is_refused_and_kept(models):
    models.mkdir(parents=True)
    path = models / "weights.h5"
    path.write_bytes(b"half a download")
    with pytest.raises(InputError, match="hash differs"):
        published_file("weights.h5", URL, hashlib.md5(b"all of it").hexdigest())
    assert path.read_bytes() == b"half a download"
    assert [p.name for p in models.iterdir()] == ["weights.h5"]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_download_is_announced_on_stderr_and_checked(models, monkeypatch, tmp_path, capsys, algorithm):
    source = tmp_path / "source.h5"
    source.write_bytes(b"all of it")
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", lambda url, target, hook: shutil.copy(source, target))
    digest = hashlib.new(algorithm, b"all of it").hexdigest()
    path = published_file("weights.h5", URL, digest)
    assert path == models / "weights.h5"
    assert path.read_bytes() == b"all of it"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"downloading {URL}" in captured.err

    assert published_file("weights.h5", URL, digest) == path
    assert capsys.readouterr().err == ""


def test_a_download_that_is_not_the_published_file_is_thrown_away(models, monkeypatch, tmp_path):
    source = tmp_path / "source.h5"
    source.write_bytes(b"a login page")
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", lambda url, target, hook: shutil.copy(source, target))
    with pytest.raises(InputError, match=r"weights\.h5"):
        published_file("weights.h5", URL, hashlib.md5(b"all of it").hexdigest())
    assert list(models.iterdir()) == []


def test_the_default_backbone_needs_no_network(models, capsys):
    assert backbone_info("efficientnet_lite0").offline
    backbone("efficientnet_lite0", pooling="avg")
    assert "downloading" not in capsys.readouterr().err
