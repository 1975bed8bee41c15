"""Features come out as the network gives them, whatever form the images come in."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import tlkeras

pytestmark = pytest.mark.backends


@pytest.fixture(scope="module")
def extractor():
    return tlkeras.FeatureExtractor(image_size=(64, 64), batch_size=4)


@pytest.fixture(scope="module")
def paths(clipart10):
    return sorted(map(str, (clipart10 / "boat").glob("*.jpg")))[:6]


def test_features_are_those_of_the_backbone(extractor, paths):
    pixels = tlkeras.read_images(paths, (64, 64))
    network = tlkeras.backbone("efficientnet_lite0", image_size=64, pooling="avg")
    expected = network.predict(pixels, verbose=0)  # op by op, JAX takes ten times as long
    found = extractor.transform(paths)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_paths_arrays_and_splits_give_the_same_features(extractor, paths):
    from_paths = extractor.transform(paths)
    pixels = tlkeras.read_images(paths, (64, 64))
    np.testing.assert_allclose(extractor.transform(pixels), from_paths, atol=1e-4)
    np.testing.assert_allclose(extractor.transform(pixels.astype("float32")), from_paths, atol=1e-4)
    np.testing.assert_allclose(extractor.transform(np.array(paths)), from_paths, atol=1e-4)


def test_a_last_batch_of_another_size_changes_nothing(extractor, paths):
    one_by_one = np.concatenate([extractor.transform([path]) for path in paths])
    np.testing.assert_allclose(extractor.transform(paths), one_by_one, atol=1e-4)


def test_images_of_another_size_are_resized(extractor, paths):
    large = np.stack([tlkeras.read_image(path, (128, 128)) for path in paths])
    small = tlkeras.read_images(paths, (64, 64))
    both = extractor.transform(large), extractor.transform(small)
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.9


def test_the_callers_array_stays_as_it_was(extractor):
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    before = images.copy()
    extractor.transform(images)
    np.testing.assert_array_equal(images, before)


def test_works_in_a_pipeline_and_when_cloned(extractor, paths):
    labels = [0, 0, 0, 1, 1, 1]
    pipeline = make_pipeline(clone(extractor), LogisticRegression())
    assert pipeline.fit(paths, labels).predict(paths).shape == (6,)


@keras.saving.register_keras_serializable("test_extractor")
class Own(keras.layers.Layer):
    def call(self, x):
        return x / 255


@pytest.mark.parametrize("layer", [keras.layers.Lambda(lambda x: x / 255), Own(), "subclass"], ids=str)
def test_a_model_with_code_of_ones_own_is_cross_validated_and_shared(layer, pixels):
    if layer == "subclass":
        layer = type("Unregistered", (Own,), {})()  # of which Keras could make no copy
    model = keras.Sequential([keras.Input((16, 16, 3)), layer, keras.layers.Conv2D(4, 3)])
    images, labels = np.concatenate([pixels, pixels + 1, pixels[:2]]), np.arange(12) % 2
    pipeline = make_pipeline(tlkeras.FeatureExtractor(model), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(images, labels)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    extractor = clone(pipeline[0].set_output(transform="default"))
    assert extractor.backbone is model and extractor is not pipeline[0]
    assert extractor._sklearn_output_config == {"transform": "default"}


def test_feature_names_count_the_features(extractor, paths):
    names = extractor.get_feature_names_out()
    assert len(names) == extractor.transform(paths[:1]).shape[1]
    assert names[3] == "efficientnet_lite0_3"


def test_a_keras_model_serves_as_backbone():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    images = np.arange(2 * 8 * 8 * 3, dtype="float32").reshape(2, 8, 8, 3)
    np.testing.assert_allclose(tlkeras.FeatureExtractor(model).transform(images), images.reshape(2, -1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8)), "Received: shape"),
        (np.zeros((2, 8, 8, 4)), "Received: shape"),
        (np.zeros((2, 8, 8, 3), bool), "dtype bool"),
        (np.zeros((2, 64)), "input='flat'"),
        (np.zeros((8, 8, 3)), "in a list"),
        ([np.full((64, 64, 3), np.inf)], "'number 0': its pixels are not all finite"),
        ("boat.jpg", "in a list"),
        (b"boat", "in a list"),
        (".", "load_images"),
        ([1, 2], "an element of type int"),
        ((path for path in ["boat.jpg"]), "list"),
    ],
)
def test_what_is_not_images_is_refused_with_what_would_do(extractor, images, message):
    with pytest.raises(tlkeras.InputError, match=message):
        extractor.transform(images)


def test_batches_are_refused_with_the_split_that_would_do(extractor, clipart10):
    with pytest.raises(tlkeras.InputError, match="the split"):
        extractor.transform(tlkeras.load_images(clipart10).test.batches(4))


def test_of_a_table_its_column_of_paths_is_asked_for(extractor):
    pd = pytest.importorskip("pandas")
    with pytest.raises(tlkeras.InputError, match="the column that contains the paths"):
        extractor.transform(pd.DataFrame({"path": ["boat.jpg"]}))


def test_numpys_integers_do_for_sizes(small, pixels):
    size = tuple(np.array([16, 16]))
    found = tlkeras.FeatureExtractor(small, image_size=size, batch_size=np.int64(2)).transform(pixels)
    np.testing.assert_allclose(found, tlkeras.FeatureExtractor(small).transform(pixels), rtol=1e-5)


def test_tensors_of_the_backend_are_arrays(small, pixels):
    found = tlkeras.FeatureExtractor(small).transform(keras.ops.convert_to_tensor(pixels))
    np.testing.assert_array_equal(found, tlkeras.FeatureExtractor(small).transform(pixels))


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first"),
            keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="second"),
        ],
        name="small",
    )
    model.set_weights([rng.normal(size=weight.shape) / 100 for weight in model.weights])
    return model


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype="uint8")


@pytest.mark.parametrize("pooling", ["avg", "max", "concat", None])
def test_a_models_feature_map_is_pooled(small, pixels, pooling):
    maps = small.predict(pixels, verbose=0)
    pooled = {"avg": maps.mean((1, 2)), "max": maps.max((1, 2)), None: maps.reshape(5, -1)}
    pooled["concat"] = np.concatenate([pooled["avg"], pooled["max"]], axis=1)
    found = tlkeras.FeatureExtractor(small, pooling=pooling).transform(pixels)
    np.testing.assert_allclose(found, pooled[pooling], rtol=1e-4, atol=1e-4)


def test_blocks_are_tapped_behind_their_last_layer_and_put_side_by_side(small, pixels):
    first = keras.Model(small.inputs, small.get_layer("first").output).predict(pixels, verbose=0).mean((1, 2))
    second = small.predict(pixels, verbose=0).mean((1, 2))
    extractor = tlkeras.FeatureExtractor(small, block=("first", "second"))
    np.testing.assert_allclose(extractor.transform(pixels), np.concatenate([first, second], 1), rtol=1e-4, atol=1e-4)
    names = [f"small_first_{i}" for i in range(first.shape[1])] + [f"small_second_{i}" for i in range(second.shape[1])]
    assert list(extractor.get_feature_names_out()) == names


def test_a_block_ends_behind_its_residual_sum():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="conv1_conv")(inputs)
    for block in ("conv2_block1", "conv3_block1"):
        y = keras.layers.Conv2D(4, 3, padding="same", name=f"{block}_conv")(x)
        x = keras.layers.Add(name=f"{block}_add")([x, y])
    model = keras.Model(inputs, x)
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    expected = keras.Model(inputs, model.get_layer("conv2_block1_add").output).predict(images, verbose=0).mean((1, 2))
    found = tlkeras.FeatureExtractor(model, block="conv2_x").transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_nested_backbone_is_tapped_too(small, pixels):
    inputs = keras.Input((16, 16, 3))
    body = keras.Model(small.inputs[0], small.outputs[0], name="body")
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    outer = keras.Model(inputs, head[1](head[0](body(inputs))))
    expected = tlkeras.FeatureExtractor(small, block="first").transform(pixels)
    for model in (outer, keras.Sequential([inputs, body, *head])):
        found = tlkeras.FeatureExtractor(model, block="first").transform(pixels)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_normalized_features_have_length_one_and_the_same_direction(small, pixels):
    plain = tlkeras.FeatureExtractor(small).transform(pixels)
    found = tlkeras.FeatureExtractor(small, normalize=True).transform(pixels)
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-4)


def test_random_weights_are_the_same_draw_everywhere(paths):
    from tlkeras.features.network import _shared

    extractor = tlkeras.FeatureExtractor(weights=None, image_size=(32, 32))
    once = extractor.transform(paths[:2])
    _shared.cache_clear()
    np.testing.assert_allclose(clone(extractor).transform(paths[:2]), once, rtol=1e-4, atol=1e-6)


def test_images_of_many_sizes_bytes_and_pil_images_are_taken(small, clipart10):
    import PIL.Image

    files = sorted((clipart10 / "bug").glob("*.jpg"))[:3]
    extractor = tlkeras.FeatureExtractor(small)
    expected = extractor.transform(files)
    ragged = [tlkeras.read_image(file, None) for file in files]
    np.testing.assert_allclose(extractor.transform([file.read_bytes() for file in files]), expected, rtol=1e-5)
    for images in (ragged, [PIL.Image.open(file) for file in files]):
        # Files may be decoded at a reduced scale, so their pixels differ a little.
        np.testing.assert_allclose(extractor.transform(images), expected, rtol=0.1, atol=0.1 * expected.max())


def test_unreadable_images_are_listed_and_leave_nan_in_their_place(small, paths, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    bad = [str(tmp_path / "empty.jpg"), str(tmp_path / "text.png"), str(tmp_path / "none.jpg")]
    row = [bad[0], *paths[:2], bad[1], *paths[2:], bad[2]]
    extractor = tlkeras.FeatureExtractor(small, batch_size=2)
    with pytest.raises(tlkeras.ImageError, match=r"empty\.jpg"):
        extractor.transform(row)
    found = extractor.extract(row)
    assert {place: one.path for place, one in found.unreadable.items()} == {0: bad[0], 3: bad[1], 8: bad[2]}
    assert "zero bytes" in found.unreadable[0].reason
    good = [1, 2, 4, 5, 6, 7]
    np.testing.assert_array_equal(found.features[good], extractor.transform(paths))
    assert np.isnan(found.features[[0, 3, 8]]).all()
    extractor.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="3 of 9 images cannot be read"):
        extractor.transform(row)
    assert np.concatenate([rows for rows, _ in extractor.batches(row)]).tolist() == good


def test_features_written_to_a_file_are_those_in_memory(small, pixels, tmp_path):
    extractor = tlkeras.FeatureExtractor(small, batch_size=2)
    out = tmp_path / "features.npy"
    mapped = extractor.extract(pixels, out=out).features
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, extractor.transform(pixels))
    np.testing.assert_array_equal(np.load(out), mapped)
    with pytest.raises(tlkeras.ImageError):
        tlkeras.FeatureExtractor(small)._extract(["none.jpg"], out)
    assert [file.name for file in tmp_path.iterdir()] == ["features.npy"]


def test_pickles_hold_named_weights_by_reference_and_others_by_value(extractor, small, pixels, monkeypatch):
    import pickle

    content = pickle.dumps(extractor)
    assert len(content) < 2000
    assert pickle.loads(content).get_params() == extractor.get_params()
    copy = pickle.loads(pickle.dumps(tlkeras.FeatureExtractor(small)))
    np.testing.assert_allclose(copy.transform(pixels), tlkeras.FeatureExtractor(small).transform(pixels), rtol=1e-5)
    monkeypatch.setattr("tlkeras.features.extractor.weights_hash", lambda *_: "other weights")
    with pytest.raises(tlkeras.InputError, match="saved with different weights"):
        pickle.loads(content)


def test_a_model_of_any_size_wants_one_size_for_files(paths):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(tlkeras.InputError, match="image_size"):
        tlkeras.FeatureExtractor(model).transform(paths)
    assert tlkeras.FeatureExtractor(model, image_size=(20, 24)).transform(paths[:2]).shape == (2, 2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"block": "blok5"}, "Did you mean"),
        ({"block": ("block3", "block5"), "pooling": None}, "Use 'avg'"),
        ({"pooling": "cls"}, "class token"),
        ({"on_error": "skip"}, "`on_error` must be"),
        ({"batch_size": 0}, ">= 1"),
        ({"backbone": 5}, "the name of a backbone or a"),
        ({"backbone": keras.Sequential([keras.layers.Dense(2)])}, "a built functional"),
        ({"block": 0}, "the name of a block"),
        ({"block": ["block3", ""]}, "the name of a block"),
        ({"image_size": 0}, "height, width"),
        ({"weights": "none.weights.h5"}, "an existing weights file"),
        ({"weights": 3}, "weights=3"),
        ({"cache": 3}, "cache=3"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(parameters, message, paths):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.FeatureExtractor(**{"image_size": (32, 32), "weights": None, **parameters}).transform(paths)


@pytest.mark.parametrize("kind", ["array", "list", "stream", "flat"])
def test_pixels_from_0_to_1_are_warned_of_at_the_callers_line(small, pixels, kind):
    images = pixels / 255
    given = {
        "array": images,
        "list": list(images),
        "stream": SimpleNamespace(element_spec=None, as_numpy_iterator=lambda: iter(images)),  # as a tf.data.Dataset is
        "flat": images.reshape(len(images), -1),
    }[kind]
    scaling = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), small])
    extractor = tlkeras.FeatureExtractor(scaling, input="flat" if kind == "flat" else "images")
    with pytest.warns(UserWarning, match="from 0 to 1. .* multiply by 255") as caught:
        extractor.transform(given)
    assert [one.filename for one in caught if one.category is UserWarning] == [__file__]


def test_sixteen_bits_that_reach_the_network_are_warned_of(small, recwarn):
    scaling = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), small])
    extractor, gray = tlkeras.FeatureExtractor(scaling, engine="keras"), np.full((2, 20, 20, 1), 65535, "uint16")
    extractor.transform(gray)  # resized, and so brought to 8 bits
    assert not [one for one in recwarn if one.category is UserWarning]
    with pytest.warns(UserWarning, match="uint16 up to 65535"):
        extractor.transform(gray[:, :16, :16])


def test_pixels_that_are_dark_and_models_that_may_want_them_scaled_are_not_warned_of(small, pixels, recwarn):
    scaling = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), small])
    for images in (np.minimum(pixels, 1), np.zeros_like(pixels, "float32"), pixels.astype("float32")):
        tlkeras.FeatureExtractor(scaling).transform(images)
    tlkeras.FeatureExtractor(small).transform(pixels / 255)
    assert not [one for one in recwarn if one.category is UserWarning]
