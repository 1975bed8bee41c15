"""Whatever goes wrong in `fine_tune` is told in a sentence, and the best weights stay."""

import errno

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras

pytestmark = pytest.mark.backends

SIZE = 16


def classifier(classes=3, activation="softmax", augmentation=()):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *augmentation,
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(8, 3, strides=2, activation="tanh", name="block1_conv"),
            layers.Conv2D(16, 3, strides=2, activation="tanh", name="block2_conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation=activation, name="predictions"),
        ]
    )


def spots(count, seed=0):
    """Bright, middling and dark images, with noise."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 3
    return rng.integers(80 * labels[:, None, None, None], 256, (count, SIZE, SIZE, 3)).astype("uint8"), labels


@pytest.fixture(scope="module")
def train():
    return spots(48)


@pytest.fixture(scope="module")
def validation():
    return spots(24, seed=1)


@pytest.fixture(scope="module")
def several():
    return classifier()


@pytest.fixture(scope="module")
def multilabel():
    return classifier(activation="sigmoid")


@pytest.fixture(scope="module")
def binary():
    return classifier(1, "sigmoid")


@pytest.fixture(scope="module")
def ages():
    model = classifier(3, None)
    model.compile("adam", keras.losses.Huber())
    return model


@pytest.fixture(scope="module")
def two_outputs():
    model = classifier()
    return keras.Model(model.inputs, [model.outputs[0], model.layers[-2].output])


IMAGES, LABELS = spots(12)
HOLED = np.where(np.arange(12)[:, None, None, None] == 3, np.nan, IMAGES.astype("float32"))


class Batches(keras.utils.PyDataset):
    """A stream, as far as `fine_tune` knows: what it holds shows when it comes."""

    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    @property
    def num_batches(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return IMAGES, LABELS


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("head", "arguments", "message"),
    [
        ("several", {"validation_data": (IMAGES[:0], LABELS[:0])}, "validation_data contains no images"),
        ("several", {"train": (IMAGES[:4], LABELS[:5])}, "4 images and 5 labels"),
        ("several", {"train": "data/clipart10"}, "Received: str"),
        ("several", {"train": (IMAGES, None)}, "Received: ndarray and NoneType"),
        ("several", {"train": ([IMAGES[0], IMAGES[1, :8]], LABELS[:2])}, "train contains .* different shapes"),
        ("several", {"train": (IMAGES, LABELS / 2)}, "not whole numbers, such as 0.5"),
        ("several", {"train": iter([(IMAGES, LABELS)])}, "Received: list_iterator"),
        ("several", {"train": Endless()}, "train is infinite"),
        ("several", {"train": (IMAGES[..., :1], LABELS)}, r"shape \(12, 16, 16, 1\), .* \(None, 16, 16, 3\)"),
        (
            "several",
            {"validation_data": (IMAGES[:, :8], LABELS)},
            r"validation_data has images of shape \(12, 8, 16, 3\)",
        ),
        ("several", {"train": (HOLED, LABELS), "batch_size": 2}, "1 of the 12 images of train contain NaN"),
        ("several", {"train": (IMAGES, 0 * LABELS)}, "images of class 0 only"),
        ("several", {"train": (IMAGES, LABELS + 1)}, "from 0 to 2. .* train with labels from 1 to 3"),
        ("several", {"train": (IMAGES, LABELS - 1)}, "from -1 to 1"),
        ("several", {"validation_data": (IMAGES, LABELS + 1)}, "validation_data with labels from 1 to 3"),
        ("several", {"train": (IMAGES, np.eye(3)[LABELS][:, :, None])}, r"shape \(12, 3, 1\)"),
        ("several", {"train": (IMAGES[..., 0], LABELS)}, r"shape \(12, 16, 16\)"),
        ("several", {"train": (IMAGES, np.eye(4)[LABELS])}, r"\(images, 3\). .* shape \(12, 4\)"),
        ("several", {"train": (IMAGES, np.array(list("abc"))[LABELS])}, "such as .*a.*. Use class numbers"),
        ("several", {"class_weight": "auto"}, "class_weight='auto'"),
        ("several", {"class_weight": {3: 2.0}}, "0 to 2"),
        ("several", {"class_weight": {0: "a"}}, "nonnegative weights"),
        ("several", {"class_weight": {0: -1.0}}, "nonnegative weights"),
        ("several", {"seed": -1}, "seed=-1"),
        ("multilabel", {"train": (IMAGES, LABELS)}, r"multilabel with 3 units .* \(images, 3\). .* \(12,\)"),
        ("multilabel", {"class_weight": {3: 2.0}}, "0 to 2"),
        ("multilabel", {"C": [1.0, 2.0]}, "one per label .3.. Received: 2"),
        ("binary", {"train": (IMAGES, LABELS)}, "from 0 to 1. .* from 0 to 2"),
        ("binary", {"train": (IMAGES, np.eye(2)[LABELS % 2])}, r"labels of shape \(12, 2\)"),
        ("several", {"epochs": -1}, "epochs=-1"),
        ("several", {"epochs": 1.5}, "epochs=1.5"),
        ("several", {"batch_size": 0}, "batch_size=0"),
        ("several", {"patience": 0}, "patience=0"),
        ("several", {"cached_views": 0}, "cached_views=0"),
        ("several", {"learning_rate": 0}, "learning_rate=0"),
        ("several", {"layer_decay": 0}, "layer_decay=0"),
        ("several", {"warmup": 1}, "warmup=1"),
        ("several", {"weight_decay": -1}, "weight_decay=-1"),
        ("several", {"label_smoothing": 1}, "label_smoothing=1"),
        ("several", {"l2_sp": -1}, "l2_sp=-1"),
        ("several", {"ema_momentum": 1}, "ema_momentum=1"),
        ("several", {"average_with_probe": 2}, "average_with_probe=2"),
        ("several", {"callbacks": "early"}, "callbacks='early'"),
        ("several", {"cache": "yes"}, "cache='yes'"),
        ("several", {"blocks": 9}, "9"),
        ("several", {"steps": -1}, "steps=-1"),
        ("several", {"C": 0}, "C=0"),
        ("several", {"callbacks": keras.callbacks.ReduceLROnPlateau()}, "must not set the learning rate"),
        ("several", {"callbacks": [keras.callbacks.LearningRateScheduler(abs)]}, "must not set the learning rate"),
        ("several", {"callbacks": keras.callbacks.SwapEMAWeights()}, "Pass `ema_momentum` instead"),
        ("several", {"train": (IMAGES, np.linspace(0.1, 0.9, 36).reshape(12, 3))}, "must sum to 1.* boxes, use Keras"),
        ("binary", {"train": (IMAGES, 20.0 + LABELS)}, "from 20.0 to 22.0. .* ages or boxes, use Keras"),
        ("multilabel", {"train": (IMAGES, 100.0 * np.eye(3)[LABELS])}, "from 0.0 to 100.0. .* ages or boxes"),
        ("ages", {}, "compiled for regression, with the loss Huber"),
        ("two_outputs", {}, "has 2 outputs, but a classifier has one"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_changed(request, validation, head, arguments, message):
    model = request.getfixturevalue(head)
    before = [np.array(weight) for weight in model.get_weights()]
    labels = np.eye(3)[LABELS] if head == "multilabel" else LABELS
    arguments = {"train": (IMAGES, labels), "validation_data": None, "epochs": 1, "verbose": False} | arguments
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.fine_tune(model, **arguments)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "images", [IMAGES / 255.0, np.concatenate([IMAGES[:8], IMAGES[8:] * np.uint16(257)])], ids=["scaled", "16 bits"]
)
def test_pixels_that_do_not_run_from_0_to_255_are_warned_of_wherever_in_an_array(images):
    with pytest.warns(UserWarning, match="Pixels must be in \\[0, 255\\]"):
        tlkeras.fine_tune(classifier(), (images, LABELS), batch_size=4, epochs=0, verbose=False)


@pytest.mark.parametrize("where", ["train", "validation_data"])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((np.nan_to_num(HOLED), LABELS + 1), "labels from 0 to 2. .* batch 1 of {} with labels from 1 to 3"),
        ((HOLED, LABELS), "1 of the 12 images of batch 1 of {} contain NaN"),
    ],
    ids=["labels", "images"],
)
def test_a_later_batch_that_cannot_be_used_is_named_and_the_best_weights_stay(where, batch, message):
    model = classifier()
    before = [np.array(weight) for weight in model.get_weights()]
    data = {"train": (IMAGES, LABELS), where: Batches((np.nan_to_num(HOLED), LABELS), batch)}
    with pytest.raises(tlkeras.InputError, match=message.format(where)):
        tlkeras.fine_tune(model, **data, probe=False, epochs=1, verbose=False)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data, r"shape \(16, 16, 3\), .*. Batch it"),
        (lambda data: data.take(0).batch(4), "train contains no batch"),
        (lambda data: data.batch(64, drop_remainder=True), "train contains no batch"),
        (lambda data: data.batch(4).repeat(), "train is infinite"),
        (lambda data: data.batch(4).map(lambda images, labels: images), "must yield pairs"),
    ],
)
def test_a_tf_data_set_that_cannot_be_trained_on_is_refused(several, change, message):
    import tensorflow as tf

    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.fine_tune(several, change(tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))), verbose=False)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's")
@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 1.0, 2: 2.0}])
def test_a_class_number_out_of_range_late_in_a_tf_data_set_is_named(class_weight):
    import tensorflow as tf

    stream = tf.data.Dataset.from_tensor_slices((IMAGES, np.where(np.arange(12) == 7, -1, LABELS))).batch(4)
    with pytest.raises(tlkeras.InputError, match="batch 1 of train with labels from -1 to"):
        tlkeras.fine_tune(classifier(), stream, probe=False, class_weight=class_weight, verbose=False)


def test_validation_images_that_are_no_numbers_are_refused_and_the_probe_stays(train):
    model = classifier()
    with pytest.raises(tlkeras.InputError, match="1 of the 12 images of batch 1 of validation_data"):
        tlkeras.fine_tune(
            model, train, Batches((np.nan_to_num(HOLED), LABELS), (HOLED, LABELS)), epochs=1, verbose=False
        )
    assert model.evaluate(*train, verbose=0)[1] > 1 / 3


@pytest.mark.one_backend
def test_few_images_and_a_class_without_any_are_no_obstacle(validation):
    model, some = classifier(), [0, 1]  # one image per class, and none of the third
    assert sorted(LABELS[some]) == [0, 1]
    result = tlkeras.fine_tune(model, (IMAGES[some], LABELS[some]), validation, epochs=1, verbose=False)
    assert np.isfinite(result.history["val_loss"]).all()
    assert np.isfinite(model.predict(validation[0], verbose=0)).all()


def test_ctrl_c_in_the_probe_passes_through_and_changes_nothing(train, monkeypatch):
    model = classifier()
    before = [np.array(weight) for weight in model.get_weights()]
    monkeypatch.setattr("tlkeras.training.steps.probe_head.linear_probe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tlkeras.fine_tune(model, train, epochs=1, verbose=False)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_ctrl_c_while_the_trunk_is_computed_keeps_the_probe_and_no_file(train, monkeypatch, tmp_path, capsys):
    model = classifier()
    monkeypatch.setattr("tlkeras.training.steps.cached_trunk.MEMORY_BYTES", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tlkeras.training.steps.cached_trunk._reserve", interrupt)
    result = tlkeras.fine_tune(model, train, epochs=2, blocks=1, cache=True)
    assert (result.stopped, result.best_epoch, [phase.name for phase in result.phases]) == (
        "interrupted",
        0,
        ["probe"],
    )
    assert not list(tmp_path.iterdir())
    assert model.evaluate(*train, verbose=0)[1] > 1 / 3
    assert "Stopped: interrupted. The model now has the weights from before fine-tuning." in capsys.readouterr().err


class Raise(keras.callbacks.Callback):
    """Raises in the middle of an epoch, and notes the weights at the end of each before."""

    def __init__(self, epoch, exception):
        super().__init__()
        self.epoch, self.exception = epoch, exception
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append([np.array(weight) for weight in self.model.get_weights()])

    def on_train_batch_end(self, batch, logs=None):
        if len(self.weights) == self.epoch and batch == 1:
            raise self.exception


def test_ctrl_c_within_an_epoch_keeps_the_last_whole_one_where_nothing_validates(train):
    model, stop = classifier(augmentation=[layers.RandomFlip()]), Raise(2, KeyboardInterrupt)
    result = tlkeras.fine_tune(model, train, epochs=4, callbacks=[stop], average_with_probe=None, verbose=False)
    assert (result.stopped, result.best_epoch, result.kept) == ("interrupted", 2, "the weights of epoch 2")
    for one, other in zip(model.get_weights(), stop.weights[1], strict=True):
        np.testing.assert_array_equal(one, other)
    model.fit(*train, verbose=0)  # nothing of it is lost to what comes after


@pytest.mark.one_backend
def test_ctrl_c_in_a_later_run_keeps_what_the_runs_before_came_to(train):
    model, stop = classifier(augmentation=[layers.RandomFlip()]), Raise(3, KeyboardInterrupt)
    result = tlkeras.fine_tune(model, train, epochs=3, runs=3, callbacks=[stop], average_with_probe=None, verbose=False)
    assert (result.stopped, result.best_epoch, result.runs) == ("interrupted", 3, 1)
    for one, other in zip(model.get_weights(), stop.weights[2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.one_backend
def test_an_exception_in_a_later_run_passes_through_with_the_best_weights_in_place(train, validation):
    model, stop = classifier(augmentation=[layers.RandomFlip()]), Raise(3, RuntimeError("broken"))
    options = {"runs": 2, "callbacks": [stop], "learning_rate": 1e-2, "label_smoothing": 0, "average_with_probe": None}
    with pytest.raises(RuntimeError, match="broken"):
        tlkeras.fine_tune(model, train, validation, epochs=3, verbose=False, **options)
    found, losses = model.evaluate(*validation, verbose=0)[0], []
    for weights in stop.weights:
        model.set_weights(weights)
        losses.append(model.evaluate(*validation, verbose=0)[0])
    assert len(losses) == 3 and found <= min(losses) + 1e-5


def test_what_a_checkpoint_wrote_opens(train, validation, tmp_path):
    model = classifier()
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    tlkeras.fine_tune(model, train, validation, epochs=1, callbacks=save, verbose=False)
    again = keras.models.load_model(tmp_path / "1.keras")
    assert again.evaluate(*validation, verbose=0, return_dict=True)["accuracy"] > 1 / 3


class Weighted(keras.utils.PyDataset):
    """Batches of images, labels and sample weights."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.zeros((4, SIZE, SIZE, 3)), np.arange(4) % 3, np.ones(4)


def test_sample_weights_are_refused_by_the_probe_and_turn_the_cache_off(capsys):
    with pytest.raises(tlkeras.InputError, match=r"yields sample weights.* Pass `class_weight`, or probe=False"):
        tlkeras.fine_tune(classifier(), Weighted(), verbose=False)
    tlkeras.fine_tune(classifier(), Weighted(), epochs=1, probe=False, blocks=1, cache=True)
    assert "No cache: the data yields sample weights." in capsys.readouterr().err


def test_a_model_of_two_inputs_is_refused():
    image, place = keras.Input((4,)), keras.Input((2,))
    model = keras.Model([image, place], layers.Dense(2)(layers.Concatenate()([image, place])))
    with pytest.raises(tlkeras.InputError, match="takes 2 inputs, but `fine_tune` only passes images"):
        tlkeras.fine_tune(model, (np.zeros((4, 4)), np.arange(4) % 2))
    with pytest.raises(tlkeras.InputError, match=r"`backbone` must take one image\. Received: .* with 2 inputs"):
        tlkeras.FeatureExtractor(model).transform(np.zeros((4, 4, 4, 3), "uint8"))


@pytest.mark.one_backend
def test_a_full_disk_under_a_checkpoint_passes_through_with_the_best_weights_in_place(train):
    model, full = classifier(), Raise(1, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        tlkeras.fine_tune(model, train, epochs=3, callbacks=[full], verbose=False)
    for one, other in zip(model.get_weights(), full.weights[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.evaluate(*train, verbose=0)[1] > 1 / 3  # compiled, with core parts


def of_unknown_length(size=16):
    """Batches whose number nobody knows."""
    if keras.backend.backend() == "torch":
        import torch

        class Stream(torch.utils.data.IterableDataset):
            def __iter__(self):
                return zip(torch.from_numpy(IMAGES), torch.from_numpy(LABELS), strict=True)

        return torch.utils.data.DataLoader(Stream(), batch_size=size)
    import tensorflow as tf

    kinds = (tf.TensorSpec((SIZE, SIZE, 3), "uint8"), tf.TensorSpec((), "int64"))
    return tf.data.Dataset.from_generator(lambda: zip(IMAGES, LABELS, strict=True), output_signature=kinds).batch(size)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="without TensorFlow and torch all data have a length")
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_train_and_validate():
    stream = of_unknown_length(5)
    result = tlkeras.fine_tune(classifier(), stream, stream, epochs=2, blocks=1, cache=True, verbose=False)
    assert len(result.history["val_loss"]) == 2 and np.isfinite(result.history["val_loss"]).all()


def interrupt(*arguments, **options):
    raise KeyboardInterrupt
