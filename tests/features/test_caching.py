"""Features found in the cache are those that would be computed, and only what changed is computed again."""

import functools

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import tlkeras
from tlkeras.features import extraction as module
from tlkeras.utils.store import DiskStore

pytestmark = pytest.mark.backends


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3)])


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(10)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype="uint8")).save(file)
    return files


@pytest.fixture
def computed(monkeypatch):
    """The number of images in each batch that an engine gets."""
    counts = []
    make = module._engine.__wrapped__

    @functools.lru_cache
    def counting(*args):
        engine = make(*args)

        def run(pixels):
            counts.append(int((pixels != 0).any((1, 2, 3)).sum()))  # a short batch is filled up with zeros
            return engine(pixels)

        run.batch_size, run.name = engine.batch_size, engine.name
        return run

    monkeypatch.setattr(module, "_engine", counting)
    return counts


def _extractor(model, folder, **kwargs):
    return tlkeras.FeatureExtractor(model, **{"cache": folder / "cache", "batch_size": 4, "engine": "keras", **kwargs})


def test_a_second_run_computes_nothing_and_gives_the_same_bits(model, files, tmp_path, computed):
    first = _extractor(model, tmp_path).transform(files)
    assert sum(computed) == 10
    second = _extractor(model, tmp_path).transform(files[::-1])
    assert sum(computed) == 10
    np.testing.assert_array_equal(second, first[::-1])
    np.testing.assert_array_equal(first, _extractor(model, tmp_path, cache=False).transform(files))


def test_only_a_changed_image_is_computed_again_wherever_it_lies(model, files, tmp_path, computed):
    first = _extractor(model, tmp_path).transform(files)
    files[3].write_bytes(files[7].read_bytes())
    files[5].rename(tmp_path / "elsewhere.png")
    Image.new("RGB", (16, 16), "red").save(files[0])
    del computed[:]
    second = _extractor(model, tmp_path).transform([*files[:5], tmp_path / "elsewhere.png"])
    assert sum(computed) == 1
    np.testing.assert_array_equal(second[[1, 2, 3, 4, 5]], first[[1, 2, 7, 4, 5]])


@pytest.mark.parametrize(
    "change",
    [{"pooling": "max"}, {"block": "head"}, {"normalize": True}, {"resize": "pad"}, "weights"],
    ids=str,
)
def test_what_changes_the_answer_is_no_hit(model, files, tmp_path, computed, change):
    model = keras.Sequential([*model.layers, keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)])
    model.build((None, 16, 16, 3))
    _extractor(model, tmp_path).transform(files)
    del computed[:]
    if change == "weights":
        model.set_weights([weight + 1 for weight in model.get_weights()])
        change = {}
    if change == {"pooling": "max"}:
        change["block"] = "block1"
    extractor = _extractor(model, tmp_path, **change)
    np.testing.assert_array_equal(extractor.transform(files), extractor.set_params(cache=False).transform(files))
    assert sum(computed) == 20


def test_engines_do_not_share_features(model, files, tmp_path, computed):
    pytest.importorskip("ai_edge_litert")
    for engine, expected in (("keras", 10), ("auto", 20), ("litert", 20)):
        _extractor(model, tmp_path, engine=engine).transform(files)
        assert sum(computed) == expected


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(model, files, tmp_path, computed):
    batches = _extractor(model, tmp_path).batches(files)
    next(batches)
    batches.close()
    done = sum(computed)
    assert 0 < done < 10
    _extractor(model, tmp_path).transform(files)
    assert sum(computed) == 10


def test_a_damaged_entry_is_computed_again(model, files, tmp_path, computed):
    first = _extractor(model, tmp_path).transform(files)
    store = DiskStore(tmp_path / "cache")
    store._connection.execute("UPDATE features SET data = zeroblob(16) WHERE id IN (2, 5)")
    del computed[:]
    np.testing.assert_array_equal(_extractor(model, tmp_path).transform(files), first)
    assert sum(computed) == 2


def test_grid_search_computes_each_image_once(model, files, tmp_path, computed):
    pipeline = make_pipeline(_extractor(model, tmp_path), LogisticRegression())
    labels = [0, 1] * 5
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    search.fit([str(file) for file in files], labels)
    assert sum(computed) == 10


@keras.saving.register_keras_serializable("test_caching")
class Own(keras.layers.Layer):
    def call(self, x):
        return x + 1


class OwnOperation(keras.Operation):
    def call(self, x):
        return x + 1

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def relu(x):
    """An activation whose name is that of one of Keras."""
    return keras.ops.relu(x) * 2


@pytest.mark.parametrize(
    "layer",
    [
        Own,
        OwnOperation,
        lambda: keras.layers.Activation(relu),
        lambda: keras.layers.TimeDistributed(keras.layers.Dense(2, activation=lambda x: x + 1)),
        lambda: keras.layers.Lambda(lambda x: x + 1, output_shape=(16, 16, 3)),
    ],
)
def test_models_with_code_of_ones_own_are_not_cached(files, tmp_path, computed, layer):
    image = keras.Input((16, 16, 3))
    _extractor(keras.Model(image, layer()(image)), tmp_path).transform(files)
    assert not (tmp_path / "cache").exists()


def test_the_users_cache_is_used_unless_it_cannot_be_written(model, files, tmp_path, computed, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "users"))
    for _ in range(2):
        _extractor(model, tmp_path, cache=True).transform(files)
    assert sum(computed) == 10
    assert (tmp_path / "users" / "features.sqlite").is_file()
    monkeypatch.setenv("TLKERAS_CACHE", str(files[0] / "no folder"))
    with pytest.warns(UserWarning, match="Features are not cached"):
        _extractor(model, tmp_path, cache=True).transform(files)
    with pytest.raises(tlkeras.InputError, match="cannot be written"):
        _extractor(model, tmp_path, cache=files[0] / "no folder").transform(files)


def test_datasets_of_images_give_what_arrays_do(model, files, tmp_path):
    tf = pytest.importorskip("tensorflow")
    pixels = tlkeras.read_images(files, (16, 16))
    extractor = _extractor(model, tmp_path)
    expected = extractor.transform(pixels)
    images = tf.data.Dataset.from_tensor_slices(pixels)
    pairs = tf.data.Dataset.from_tensor_slices((pixels, np.arange(10))).batch(3)
    for dataset in (images, pairs):
        np.testing.assert_allclose(extractor.transform(dataset), expected, rtol=1e-6)
