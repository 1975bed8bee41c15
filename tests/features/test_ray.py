"""Ray's workers lose no image and double none, also when one of them dies, and go on where they were stopped."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras.features import ray as module
from tlkeras.features.ray import RayExtraction, extract_on_ray

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Conv2D(6, 3), layers.GlobalAveragePooling2D()]
    )


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine, for one worker, with nothing that talks to the outside."""
    folder = f"/tmp/ray-{os.getpid()}"  # sockets in it must have short names
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # or Ray writes a token to the home folder
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
        ray.init(num_cpus=1, object_store_memory=100 * 2**20, _temp_dir=folder, **quiet)
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def _read(folder):
    return pq.read_table(folder).sort_by("index").to_pydict()


def _run_here(shares, extractor, output, *_):
    worker = module._Worker(extractor, output)
    for share in shares:
        worker({name: [value] for name, value in share.items()})


def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing_and_the_rest_can_be_made_up(
    cluster, network, clipart10, tmp_path, monkeypatch
):
    class Mortal(tlkeras.FeatureExtractor):
        """Kills its process once, when it has computed a share and not yet written it."""

        def extract(self, X, out=None):
            found = super().extract(X, out)
            with contextlib.suppress(FileExistsError):
                (tmp_path / "killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            return found

    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no image")
    paths = [*sorted(map(str, clipart10.glob("b*/*.jpg")))[:40], str(damaged)]
    folder = tmp_path / "features"
    made = extract_on_ray(paths, Mortal(network, cache=False, engine="keras"), folder, workers=1, images_per_file=4)
    assert (tmp_path / "killed").exists()
    assert made == RayExtraction(images=41, computed=41, unreadable=1)

    found = _read(folder)
    assert found["index"] == list(range(41)) and found["path"] == paths
    assert found["features"][-1] is None and "not an image" in found["error"][-1]
    assert found["error"][:-1] == [None] * 40
    expected = tlkeras.FeatureExtractor(network, cache=False, engine="keras").transform(paths[:-1])
    np.testing.assert_allclose(found["features"][:-1], expected, atol=1e-5)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", *[".parquet"] * 11]

    lost = folder / "part-00003.parquet"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet") if path != lost}
    lost.unlink()
    # What is lost is worked on in this process: actors have been seen at work above, and take half a minute to start.
    monkeypatch.setattr(module, "_run", _run_here)
    again = extract_on_ray(
        paths, tlkeras.FeatureExtractor(network, cache=False, engine="keras"), folder, images_per_file=4
    )
    assert again == RayExtraction(images=41, computed=4, unreadable=1)
    assert _read(folder) == found
    assert {path: path.stat().st_mtime_ns for path in kept} == kept

    other = keras.models.clone_model(network)
    other.set_weights([weight + 1 for weight in network.get_weights()])
    with pytest.raises(tlkeras.InputError, match="with different weights"):
        extract_on_ray(paths, tlkeras.FeatureExtractor(other, cache=False, engine="keras"), folder, images_per_file=4)


def test_a_folder_of_weights_that_were_overwritten_since_is_refused(tmp_path, monkeypatch):
    weights = tmp_path / "mine.weights.h5"
    extractor = tlkeras.FeatureExtractor("efficientnet_lite0", weights=weights)
    monkeypatch.setattr(module, "_run", lambda *_: pytest.fail("interrupted", pytrace=False))
    for content, error, message in (
        (b"one", pytest.fail.Exception, "interrupted"),
        (b"one", pytest.fail.Exception, "interrupted"),
        (b"another", tlkeras.InputError, "with different weights"),
    ):
        weights.write_bytes(content)
        with pytest.raises(error, match=message):
            extract_on_ray(["one.jpg"], extractor, tmp_path / "features")


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [([], {}, "`paths` must"), ("one.jpg", {}, "`paths` must"), (["one.jpg"], {"workers": 0}, "`workers` must")],
)
def test_arguments_that_cannot_be_used_are_refused_before_ray_starts(network, tmp_path, paths, options, message):
    with pytest.raises(tlkeras.InputError, match=message):
        extract_on_ray(paths, tlkeras.FeatureExtractor(network), tmp_path / "features", **options)
    assert not (tmp_path / "features").exists()


def test_a_folder_of_another_extraction_is_refused_and_left_as_it_is(network, tmp_path):
    (tmp_path / "_job.json").write_text(json.dumps({"paths": "other"}))
    with pytest.raises(tlkeras.InputError, match="with different paths"):
        extract_on_ray(["one.jpg"], tlkeras.FeatureExtractor(network), tmp_path)
    (tmp_path / "_job.json").rename(tmp_path / "thesis.txt")
    with pytest.raises(tlkeras.InputError, match="`output` must be empty"):
        extract_on_ray(["one.jpg"], tlkeras.FeatureExtractor(network), tmp_path)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["thesis.txt"]
