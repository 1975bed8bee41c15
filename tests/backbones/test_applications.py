"""Every application of Keras, from raw pixels, against `preprocess_input` and the original constructor."""

import keras
import numpy as np
import pytest
from keras import applications

from tlkeras import backbone, backbone_info, blocks, list_backbones

MODULES = {
    "vgg": None,  # one module a network: vgg16, vgg19
    "resnet": applications.resnet,
    "resnet_v2": applications.resnet_v2,
    "inception": applications.inception_v3,
    "inception_resnet": applications.inception_resnet_v2,
    "xception": applications.xception,
    "mobilenet": applications.mobilenet,
    "mobilenet_v2": applications.mobilenet_v2,
    "mobilenet_v3": applications.mobilenet_v3,
    "densenet": applications.densenet,
    "nasnet": applications.nasnet,
    "efficientnet": applications.efficientnet,
    "efficientnet_v2": applications.efficientnet_v2,
    "convnext": applications.convnext,
}
APPLICATIONS = [name for name in list_backbones() if backbone_info(name).provider == "keras"]
#: One per family (the small ones are quick), and one sibling, which differs in depth and width only.
QUICK = {"vgg16", "resnet50", "mobilenet", "mobilenet_v2", "mobilenet_v3_small"}
SLOW = {
    "xception", "resnet50_v2", "inception_v3", "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny",
    "inception_resnet_v2", "nasnet_mobile",
}  # fmt: skip
SIBLINGS = {
    "vgg19", "resnet101", "resnet101_v2", "mobilenet_v3_large", "densenet169", "efficientnet_b1", "efficientnet_v2_s",
    "convnext_small",
}  # fmt: skip


def module_of(info):
    return getattr(applications, info.name) if info.family == "vgg" else MODULES[info.family]


def images(size, count=2):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype="uint8")


def relative_error(actual, expected):
    actual, expected = (keras.ops.convert_to_numpy(x) for x in (actual, expected))
    assert expected.std() > 0
    return np.abs(actual - expected).max() / np.abs(expected).max()


def test_the_catalog_holds_every_application_once():
    constructors = [name for name in dir(applications) if name[0].isupper()]
    assert sorted(constructors) == sorted(backbone_info(name).constructor for name in APPLICATIONS)
    assert len(constructors) == 40


def random_values(variables):
    """Weights that neither quench nor blow up what passes through: drawn once, and repeated as often as it takes."""
    pool = np.random.default_rng(0).normal(size=9973).astype("float32")
    for variable in variables:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            yield np.resize(pool / np.float32(np.sqrt(np.prod(shape[:-1]))), shape)
        else:
            yield np.full(shape, variable.name in ("gamma", "moving_variance", "variance"), variable.dtype)


def answer(model, values, pixels):
    """What a model answers with these weights; it needs none of its own, and the outer scope gives it none."""
    cut = len(model.trainable_variables)
    with keras.StatelessScope(initialize_variables=False):
        return model.stateless_call(values[:cut], values[cut:], pixels, training=False)[0]


def layers_of(model):
    """Return kind, settings and shapes of weights of all layers with weights, in order, however nested."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += layers_of(layer)
        elif layer.weights:
            shapes = [weight.shape for weight in layer.weights]
            found.append((type(layer), layer.get_config() | {"name": None}, shapes))
    return found


@pytest.mark.parametrize(
    "name",
    [*sorted(QUICK), *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(SLOW | SIBLINGS))],
)
def test_raw_pixels_give_what_preprocess_input_and_the_constructor_give(name):
    """Two networks of the same layers give the same: one of each family shows it, and of its sibling the layers."""
    info = backbone_info(name)
    shape = (info.minimum_size, info.minimum_size, 3)
    with keras.StatelessScope(initialize_variables=False):  # variables without values: the largest hold a gigabyte
        original = getattr(applications, info.constructor)(include_top=False, weights=None, input_shape=shape)
        model = backbone(name, weights=None, image_size=info.minimum_size)
    assert layers_of(model) == layers_of(original)
    if name in QUICK | SLOW:
        values = list(random_values([*original.trainable_variables, *original.non_trainable_variables]))
        values = list(map(keras.ops.convert_to_tensor, values))
        pixels = images(info.minimum_size, count=1)
        expected = answer(original, values, module_of(info).preprocess_input(pixels.astype("float32")))
        assert relative_error(answer(model, values, pixels), expected) < 1e-5
        np.testing.assert_array_equal(pixels, images(info.minimum_size, count=1))

    assert not any(isinstance(layer, keras.Model) for layer in model.layers), "not one flat graph"
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers), "not core Keras"
    assert keras.Model(model.input, [layer.output for layer in model.layers])  # each is of this graph
    assert model.count_params() == original.count_params() == info.parameters
    assert model.output_shape == original.output_shape
    assert model.output_shape[-1] == info.width
    found = blocks(model)
    assert sorted(id(weight) for block in found for weight in block.weights) == sorted(map(id, model.weights))
    assert len(found.body) >= 3 and found.head is None
    keras.backend.clear_session()


def test_a_family_shares_its_preprocessing():
    for name in APPLICATIONS:
        info = backbone_info(name)
        shown = [other for other in map(backbone_info, QUICK | SLOW) if other.family == info.family]
        assert info.preprocessing in {other.preprocessing for other in shown}, name


def legacy_weights_file(model, path):
    """Writes weights as the published files hold them: whole-model HDF5 of Keras 2."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


@pytest.fixture
def efficientnet_file(tmp_path):
    """An EfficientNetB0 file like the published one: its "variance" holds the standard deviation."""
    original = applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    normalization = next(layer for layer in original.layers if isinstance(layer, keras.layers.Normalization))
    normalization.set_weights([np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225]), np.array(0)])
    return legacy_weights_file(original, tmp_path / "efficientnetb0_notop.h5")


@pytest.mark.slow
def test_a_published_efficientnet_file_answers_as_under_keras_imagenet(efficientnet_file, monkeypatch):
    """Keras itself answers otherwise when the same file is given as a path (tensorflow#62193)."""
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **kwargs: str(efficientnet_file))
    shape, pixels = (32, 32, 3), images(32)
    original = applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=shape)
    expected = original(pixels.astype("float32"), training=False)

    model = backbone("efficientnet_b0", weights=efficientnet_file, image_size=shape[:2])
    assert relative_error(model(pixels, training=False), expected) < 1e-5
    # Answers must survive a round through a weights file of our own, where the slip is mended already.
    again = efficientnet_file.with_name("mended.weights.h5")
    model.save_weights(again)
    reloaded = backbone("efficientnet_b0", weights=again, image_size=shape[:2])
    assert relative_error(reloaded(pixels, training=False), expected) < 1e-5

    naive = applications.EfficientNetB0(include_top=False, weights=str(efficientnet_file), input_shape=shape)
    assert relative_error(naive(pixels.astype("float32"), training=False), expected) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet", "convnext_tiny"])
def test_weights_of_the_application_and_of_the_backbone_are_read_alike(name, tmp_path):
    info = backbone_info(name)
    shape, pixels = (32, 32, 3), images(32)
    original = getattr(applications, info.constructor)(include_top=False, weights=None, input_shape=shape)
    model = backbone(name, weights=legacy_weights_file(original, tmp_path / "legacy.h5"), image_size=shape[:2])
    original.save_weights(tmp_path / "original.weights.h5")
    model.save_weights(tmp_path / "ours.weights.h5")
    expected = original(module_of(info).preprocess_input(pixels.astype("float32")), training=False)
    for path in ("legacy.h5", "original.weights.h5", "ours.weights.h5"):
        model = backbone(name, weights=tmp_path / path, image_size=shape[:2])
        assert relative_error(model(pixels, training=False), expected) < 1e-5, path


@pytest.mark.slow
def test_the_catalog_names_the_files_that_keras_would_download(monkeypatch):
    """For one network a family, at a size for which MobileNet has a file of its own, and at one for which not."""

    class Asked(Exception):
        pass

    def get_file(file, url=None, origin=None, file_hash=None, **kwargs):
        raise Asked(file, url or origin, file_hash)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    for family in MODULES:
        members = [info for info in map(backbone_info, APPLICATIONS) if info.family == family]
        info = min(members, key=lambda one: one.parameters)
        for size in (160, 100) if info.weights_sizes else (info.minimum_size,):
            with pytest.raises(Asked) as asked, keras.StatelessScope(initialize_variables=False):
                getattr(applications, info.constructor)(
                    include_top=False, weights="imagenet", input_shape=(size, size, 3)
                )
            assert asked.value.args == (*info.weights_at(size, size), info.weights_hash), info.name
    keras.backend.clear_session()


def test_the_catalog_has_the_sizes_of_the_constructors(monkeypatch):
    class Asked(Exception):
        pass

    def obtain_input_shape(input_shape, default_size, min_size, **kwargs):
        raise Asked(default_size, min_size)

    monkeypatch.setattr("keras.src.applications.imagenet_utils.obtain_input_shape", obtain_input_shape)
    for name in APPLICATIONS:
        info = backbone_info(name)
        if info.family == "mobilenet_v3":  # checks its sizes itself
            continue
        with pytest.raises(Asked) as asked:
            getattr(applications, info.constructor)(include_top=False, weights=None)
        assert asked.value.args == (info.default_size, info.minimum_size), name
