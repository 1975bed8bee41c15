import dataclasses

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlkeras.augment.augmentation import augmentation
from tlkeras.augment.policies import POLICIES, AugmentationPolicy, augmentation_policy
from tlkeras.data.batches import ImageBatches
from tlkeras.errors import InputError

EVERYTHING = AugmentationPolicy(
    why={}, horizontal_flip=True, vertical_flip=True, small_rotation=20, scale=0.3, crop=0.2, light=0.5, color=0.8,
    gray=0.3, blur=0.5, noise=0.2, erase=0.5, aspect=0.3,
)  # fmt: skip
BEYOND_KERAS = dataclasses.replace(EVERYTHING, channel_shuffle=0.5, jpeg=0.5, grid_mask=0.5)
AMOUNTS = [field.name for field in dataclasses.fields(AugmentationPolicy) if isinstance(field.default, float)]
RECIPES = [*POLICIES, "randaugment", "augmix"]


@pytest.fixture(scope="module")
def images():
    """Smooth color pictures with black and white in them, where leaving [0, 255] would show."""
    rows, columns = np.mgrid[0:24, 0:24] / 23
    picture = np.stack([rows, columns, 1 - rows], -1) * 255
    picture[:6, :6], picture[-6:, -6:] = 0, 255
    return np.stack([picture, picture[::-1], picture.transpose(1, 0, 2), 255 - picture] * 2).astype("float32")


@given(
    settings=st.fixed_dictionaries(
        {
            **dict.fromkeys(["horizontal_flip", "vertical_flip", "any_direction"], st.booleans()),
            **{name: st.floats(0, 1) for name in AMOUNTS},
            "fill": st.sampled_from(["reflect", "nearest", 0.0, 255.0]),
        }
    ),
    strength=st.floats(0, 3),
    seed=st.integers(0, 9),
)
@hypothesis.settings(max_examples=5, deadline=None, derandomize=True)
def test_any_policy_keeps_labels_and_the_range_of_pixels_and_follows_its_seed(settings, strength, seed):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), "uint8")
    policy, labels = AugmentationPolicy(why={}, **settings), np.array([3, 1, 4, 1, 5])

    def batches():
        return ImageBatches(lambda chosen: pixels[chosen], labels, 3, augment=augmentation(policy, strength, seed=seed))

    for (images, kept), (same, _), true in zip(batches(), batches(), (labels[:3], labels[3:]), strict=True):
        assert images.shape == (len(true), 20, 24, 3)
        assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 255
        assert kept.tolist() == true.tolist()
        np.testing.assert_array_equal(images, same)


def apply(layer, images, training=True):
    return keras.ops.convert_to_numpy(layer(images, training=training))


@pytest.mark.parametrize("domain", [*RECIPES, pytest.param(BEYOND_KERAS, id="everything")])
def test_training_changes_images_within_0_and_255(images, domain):
    changed = apply(augmentation(domain), images)
    assert changed.shape == images.shape
    assert np.isfinite(changed).all()
    assert changed.min() >= 0 and changed.max() <= 255
    assert np.abs(changed - images).mean() > 1


@pytest.mark.backends
def test_same_seed_gives_the_same_images_and_another_seed_others(images):
    one, same, other = (apply(augmentation(BEYOND_KERAS, seed=seed), images) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1


@pytest.mark.backends
def test_predict_leaves_images_as_they_are_before_and_after_saving(images, tmp_path):
    inputs = keras.Input((24, 24, 3))
    x = inputs
    for layer in augmentation(BEYOND_KERAS):
        x = layer(x)
    model = keras.Model(inputs, x)
    np.testing.assert_array_equal(model.predict(images, verbose=0), images)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), images)
    assert np.abs(apply(loaded, images) - images).mean() > 1


@pytest.mark.backends
def test_model_with_augmentation_trains_saves_and_loads(images, tmp_path):
    layers = [keras.Input((24, 24, 3)), *augmentation(BEYOND_KERAS), keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(images, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)


@pytest.mark.parametrize("domain", [*RECIPES, EVERYTHING], ids=[*RECIPES, "everything"])
def test_layers_are_kerass_own_so_that_a_model_loads_without_tlkeras(domain):
    for layer in augmentation(domain):
        assert getattr(keras.layers, type(layer).__name__) is type(layer)


def only(**settings):
    return augmentation(AugmentationPolicy(why={}, **settings), seed=1)


def test_horizontal_flip_gives_the_image_or_its_mirror_image(images):
    changed = apply(only(horizontal_flip=True), np.repeat(images, 4, axis=0))
    same, mirrored = (
        np.isclose(changed, other, atol=1e-3).all(axis=(1, 2, 3))
        for other in (np.repeat(images, 4, axis=0), np.repeat(images, 4, axis=0)[:, :, ::-1])
    )
    assert (same | mirrored).all() and same.any() and mirrored.any()


@pytest.mark.parametrize("setting", ["gray", "blur", "jpeg", "grid_mask", "erase"])
def test_share_of_changed_images_is_as_declared(images, setting):
    many = np.repeat(images, 50, axis=0)
    changed = np.abs(apply(only(**{setting: 0.3}), many) - many).max(axis=(1, 2, 3)) > 1
    assert abs(changed.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / len(many))


def test_gray_images_stay_gray_under_the_policy_of_xrays(images):
    gray = np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)
    policy = dataclasses.replace(augmentation_policy("xray"), noise=0.0)
    changed = apply(augmentation(policy), gray)
    np.testing.assert_allclose(changed[..., 0], changed[..., 1], atol=1e-2)


@pytest.mark.parametrize("domain", [*RECIPES, pytest.param(BEYOND_KERAS, id="everything")])
def test_images_of_one_channel_are_taken(images, domain):
    if domain in ("randaugment", "augmix") and keras.version() < "3.15":
        pytest.skip("Keras' own layer takes gray images from 3.15 on")
    gray = images[..., :1]
    changed = apply(augmentation(domain), gray)
    assert changed.shape == gray.shape and changed.min() >= 0 and changed.max() <= 255
    assert np.abs(changed - gray).mean() > 1


@pytest.mark.parametrize("domain", ["drawing", "microscopy"])  # without noise, which differs by channel
def test_images_of_one_channel_change_as_gray_images_of_three_do(images, domain):
    gray = images[..., :1]
    expected = apply(augmentation(domain), np.repeat(gray, 3, axis=-1))
    np.testing.assert_allclose(apply(augmentation(domain), gray), expected[..., 1:2], atol=0.1)


@pytest.mark.parametrize("domain", ["document", "digits", "xray"])
def test_policy_without_flips_keeps_the_label_of_which_corner_is_bright(domain):
    corners = np.zeros((64, 24, 24, 3), "float32")
    corners[:32, :8, :8], corners[32:, 16:, 16:] = 255, 255
    policy = dataclasses.replace(augmentation_policy(domain), fill=0.0)
    changed = apply(augmentation(policy), corners).mean(axis=-1)
    brighter = changed[:, :8, :8].mean(axis=(1, 2)) > changed[:, 16:, 16:].mean(axis=(1, 2))
    assert brighter.tolist() == [True] * 32 + [False] * 32


def test_aspect_changes_the_width_and_leaves_the_height():
    square = np.zeros((16, 24, 24, 3), "float32")
    square[:, 8:16, 8:16] = 255
    changed = apply(only(aspect=0.5), square)[..., 0] > 127
    assert set(changed.any(axis=2).sum(axis=1)) == {8}  # rows with anything white in them
    widths = changed.any(axis=1).sum(axis=1)
    assert widths.min() < 7 and widths.max() > 9


def test_new_edges_are_filled_as_declared():
    black = np.zeros((32, 24, 24, 3), "float32")
    assert apply(only(crop=0.3, fill=255.0), black).max() == 255
    assert apply(only(crop=0.3, fill="nearest"), black).max() == 0


@pytest.mark.parametrize("domain", POLICIES)
def test_every_setting_that_is_on_and_both_flips_have_a_reason(domain):
    policy = augmentation_policy(domain)
    settings = {field.name: getattr(policy, field.name) for field in dataclasses.fields(policy)}
    reasons = settings.pop("why")
    del settings["fill"]
    assert {name for name, value in settings.items() if value} <= set(reasons)
    assert {"horizontal_flip", "vertical_flip"} <= set(reasons)
    assert all(reasons[name].startswith("Off") == (not settings[name]) for name in reasons)
    assert all(name in str(policy) for name in reasons)


def test_strength_scales_the_amounts(images):
    def change(strength):
        changed = apply(augmentation(AugmentationPolicy(why={}, light=0.2), strength), np.repeat(images, 8, axis=0))
        return np.abs(changed - np.repeat(images, 8, axis=0)).mean()

    assert change(0.5) < change(1) < change(2)


@pytest.mark.parametrize("domain", RECIPES)
def test_strength_zero_leaves_no_layer_and_a_large_one_is_capped(images, domain):
    assert augmentation(domain, 0) == ()
    changed = apply(augmentation(domain, 50), images)
    assert changed.min() >= 0 and changed.max() <= 255


def test_extra_layers_come_last():
    invert = keras.layers.RandomInvert(1.0)
    for extra in (invert, [invert], (invert,)):
        assert augmentation("xray", extra=extra)[-1] is invert


def test_what_is_no_layer_is_no_extra():
    for extra in ("blur", None, [keras.layers.RandomInvert(1.0), "blur"]):
        with pytest.raises(InputError, match="`extra` must be a Keras layer"):
            augmentation("xray", extra=extra)


def test_unknown_domain_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"aerial.*xray.*'sonar'"):
        augmentation("sonar")


@pytest.mark.parametrize(
    "setting",
    [
        {"scale": -0.2},
        {"why": "because"},
        {"gray": "often"},
        {"fill": "mirror"},
        {"fill": 300.0},
        {"vertical_flip": 0.5},
    ],
)
def test_unusable_setting_is_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        AugmentationPolicy(**{"why": {}} | setting)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), "strong"])
def test_unusable_strength_is_refused(strength):
    with pytest.raises(InputError, match="strength"):
        augmentation("photo", strength)
