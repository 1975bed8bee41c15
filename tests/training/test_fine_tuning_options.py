"""The options of `fine_tune` do what they are named for: each against its definition, or Keras' own."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers, ops

import tlkeras
from tlkeras.errors import InputError
from tlkeras.training.losses import Accuracy, SmoothedCrossentropy, core_accuracy
from tlkeras.training.steps.class_weights import class_weights
from tlkeras.training.steps.data import as_batches
from tlkeras.training.steps.schedule import warmup_cosine

pytestmark = pytest.mark.backends


def linear(units=3, activation=None):
    """Two layers on a pixel: quick to compile, and linear in each."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, name="block1"),
            layers.Dense(units, activation=activation, name="predictions"),
        ]
    )


def points(count=24, classes=3, seed=0):
    rng, labels = np.random.default_rng(seed), np.arange(count) % classes
    return (10 * rng.normal(size=(count, 4)) + 30 * np.eye(classes, 4)[labels]).astype("float32"), labels


PLAIN = {
    "probe": False,
    "average_with_probe": None,
    "warmup": 0.0,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "layer_decay": 1.0,
    "learning_rate": 1e-2,
    "verbose": False,
}


def weights_of(model):
    return [np.array(weight) for weight in model.get_weights()]


def test_rates_climb_to_the_peak_and_fall_as_a_cosine():
    peak, warmup, steps = 0.3, 0.2, 50
    schedule, climb = warmup_cosine(peak, warmup, steps), 10
    expected = [
        peak * step / climb if step < climb else peak * (1 + np.cos(np.pi * (step - climb) / (steps - climb))) / 2
        for step in range(steps + 1)
    ]
    np.testing.assert_allclose([float(schedule(step)) for step in range(steps + 1)], expected, atol=1e-6)
    assert float(warmup_cosine(peak, 0.0, steps)(0)) == pytest.approx(peak)


def test_training_follows_the_schedule_and_ends_at_the_last_step():
    rates, steps = [], 7

    def note(batch, logs):
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        rates.append(float(ops.convert_to_numpy(model.optimizer.learning_rate)))

    model = linear()
    noting = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    options = {**PLAIN, "warmup": 0.3, "steps": steps, "batch_size": 6, "callbacks": noting}
    result = tlkeras.fine_tune(model, points(), **options)
    schedule = warmup_cosine(1e-2, 0.3, steps)
    np.testing.assert_allclose(rates, [float(schedule(step + 1)) for step in range(steps)], atol=1e-8)
    assert (result.steps, result.best_epoch) == (steps, 2)


def one_step(batch=None, **options):
    """Return the weights before and after a single step on all images."""
    model, data = linear(), batch or points()
    before = weights_of(model)
    tlkeras.fine_tune(model, data, **{**PLAIN, "steps": 1, "batch_size": 24, **options})
    return before, weights_of(model)


def test_adamw_decays_each_weight_by_its_own_rate():
    before, plain = one_step()
    _, decayed = one_step(weight_decay=0.5, layer_decay=0.1)
    _, layered = one_step(layer_decay=0.1)
    rates = [1e-3, 1e-3, 1e-2, 1e-2]  # the block below the head learns at a tenth
    for was, one, other, rate in zip(before, layered, decayed, rates, strict=True):
        np.testing.assert_allclose(one - other, 0.5 * rate * was, atol=2e-6)
    for was, one, other, rate in zip(before, plain, layered, rates, strict=True):
        np.testing.assert_allclose(other - was, (one - was) * rate / 1e-2, atol=2e-6)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_the_smoothed_loss_and_the_accuracy_are_those_of_keras(task, from_logits):
    rng, units = np.random.default_rng(0), 1 if task == "binary" else 3
    answers = rng.normal(size=(8, units)).astype("float32")
    if not from_logits:
        answers = ops.convert_to_numpy(ops.softmax(answers) if task == "multiclass" else ops.sigmoid(answers))
    labels = {
        "multiclass": np.eye(3)[np.arange(8) % 3],
        "binary": np.arange(8)[:, None] % 2,
        "multilabel": rng.integers(0, 2, (8, 3)),
    }[task].astype("float32")
    kind = keras.losses.CategoricalCrossentropy if task == "multiclass" else keras.losses.BinaryCrossentropy
    expected = float(kind(from_logits=from_logits, label_smoothing=0.2)(labels, answers))
    loss = SmoothedCrossentropy(task, 0.2, from_logits)
    assert float(loss(labels, answers)) == pytest.approx(expected, rel=1e-5)
    if task == "multiclass":
        assert float(loss(labels.argmax(axis=1), answers)) == pytest.approx(expected, rel=1e-5)
    if task == "multilabel":
        even = SmoothedCrossentropy(task, 0.2, from_logits, [[1.0] * 3] * 2)
        assert float(even(labels, answers)) == pytest.approx(expected, rel=1e-4)
    if task == "multiclass":
        right = answers.argmax(axis=1) == labels.argmax(axis=1)
    else:
        right = (answers > (0 if from_logits else 0.5)) == (labels == 1)
    head = SimpleNamespace(task=task, from_logits=from_logits)
    for accuracy in (Accuracy(task, from_logits), core_accuracy(head, one_hot=True)):
        accuracy.update_state(labels, answers)
        assert float(accuracy.result()) == pytest.approx(right.mean())


def test_the_loss_that_trains_is_smoothed():
    model, (images, labels) = linear(), points()
    answers = model.predict(images, verbose=0)
    result = tlkeras.fine_tune(
        model, (images, labels), **{**PLAIN, "label_smoothing": 0.3, "steps": 1, "batch_size": 24}
    )
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)(np.eye(3)[labels], answers)
    assert result.history["loss"][0] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("weights", ["balanced", {1: 5.0}])
def test_class_weights_weigh_the_loss_on_unbalanced_data(weights):
    images, labels = points()
    kept = np.r_[np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:2]]  # 8, 2 and none of class 2
    images, labels = images[kept], labels[kept]
    model = linear()
    losses = ops.convert_to_numpy(
        keras.losses.sparse_categorical_crossentropy(labels, model.predict(images, verbose=0), from_logits=True)
    )
    result = tlkeras.fine_tune(
        model, (images, labels), **{**PLAIN, "steps": 1, "batch_size": 10, "class_weight": weights}
    )
    each = {"balanced": [10 / 16, 10 / 4]}.get(str(weights), [1.0, 5.0])
    assert result.history["loss"][0] == pytest.approx(np.mean(losses * np.array(each)[labels]), rel=1e-4)


def test_class_weights_of_a_multi_label_head_weigh_each_side_of_each_label():
    images, labels = points(20)
    images = images / 100  # no chance is exactly 0
    targets = np.stack([labels == 0, np.arange(20) < 2], axis=1).astype("float32")
    model = linear(2, "sigmoid")
    chances = model.predict(images, verbose=0)
    losses = -np.log(np.where(targets == 1, chances, 1 - chances))
    share = targets.mean(axis=0)
    expected = np.mean(losses * np.where(targets == 1, 0.5 / share, 0.5 / (1 - share)))
    result = tlkeras.fine_tune(
        model, (images, targets), **{**PLAIN, "steps": 1, "batch_size": 20, "class_weight": "balanced"}
    )
    assert result.history["loss"][0] == pytest.approx(expected, rel=1e-3)


def test_a_label_that_no_image_has_is_not_weighed():
    targets = np.stack([np.arange(8) < 2, np.zeros(8)], axis=1)
    head = SimpleNamespace(task="multilabel", layer=SimpleNamespace(units=2))
    found = class_weights("balanced", as_batches((np.zeros((8, 4)), targets), 4), head)
    np.testing.assert_allclose(found, [[8 / (2 * 6), 1], [8 / (2 * 2), 1]])


class Swap(keras.layers.Layer):
    """A mix whose result is known: each image takes a quarter of the next one, and its label too."""

    def call(self, inputs, training=True):
        return {name: self.blend(ops.cast(part, "float32")) for name, part in inputs.items()}

    @staticmethod
    def blend(part):
        return 0.75 * part + 0.25 * ops.roll(part, 1, axis=0)


def test_mixed_images_train_on_mixed_labels():
    images, labels = points(12)
    model = linear()
    first = np.random.default_rng([0, 0]).permutation(12)  # the order of the first epoch
    mixed, targets = images[first], np.eye(3)[labels][first]
    mixed, targets = (0.75 * part + 0.25 * np.roll(part, 1, axis=0) for part in (mixed, targets))
    answers = model.predict(mixed, verbose=0)
    result = tlkeras.fine_tune(model, (images, labels), **{**PLAIN, "mix": Swap(), "steps": 1, "batch_size": 12})
    expected = keras.losses.CategoricalCrossentropy(from_logits=True)(targets, answers)
    assert result.history["loss"][0] == pytest.approx(float(expected), rel=1e-4)


def test_a_moving_average_of_the_weights_is_kept():
    seen, model, momentum = [], linear(), 0.8

    def note(batch, logs):
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        seen.append(weights_of(model))

    start = weights_of(model)
    noting = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    tlkeras.fine_tune(
        model, points(), **{**PLAIN, "ema_momentum": momentum, "epochs": 1, "batch_size": 8, "callbacks": noting}
    )
    averages = start  # Keras' average begins at the first weights that training reaches
    for step, weights in enumerate(seen):
        averages = [
            (weight if step == 0 else momentum * average + (1 - momentum) * weight)
            for average, weight in zip(averages, weights, strict=True)
        ]
    for weight, average in zip(weights_of(model), averages, strict=True):
        np.testing.assert_allclose(weight, average, atol=1e-5)


@pytest.mark.one_backend
def test_choices_made_on_held_out_data_train_on_all_of_it_without_validation():
    (images, labels), options = points(48), {"epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "verbose": False}
    chosen = tlkeras.fine_tune(linear(), (images[:24], labels[:24]), (images[24:], labels[24:]), **options)
    events = []
    refitted = tlkeras.fine_tune(linear(), (images, labels), **options, **chosen.choices, on_event=events.append)
    assert (refitted.C, refitted.steps, refitted.runs) == (chosen.C, chosen.steps, chosen.runs)
    assert refitted.average_with_probe == chosen.average_with_probe
    assert (events[0]["phase"], events[0]["C"]) == ("probe", chosen.C)
    epochs = [event for event in events if "epoch" in event]
    assert len(epochs) == -(-chosen.steps // 6) and {"loss", "learning_rate", "seconds", "run"} <= set(epochs[0])
    assert not any(name.startswith("val_") for name in refitted.history)


@pytest.mark.one_backend
def test_a_given_C_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model, (images, labels) = linear(activation="softmax"), points()
    features = keras.Model(model.inputs, model.layers[0].output).predict(images, verbose=0)
    tlkeras.fine_tune(model, (images, labels), epochs=0, C=0.3, verbose=False)
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000)).fit(features, labels)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected.predict_proba(features), atol=1e-3)


def test_soft_targets_of_a_multi_label_head_are_learned():
    images, labels = points(40)
    hard = np.stack([labels == 0, labels == 1], axis=1)
    model = linear(2, "sigmoid")
    tlkeras.fine_tune(model, (images, 0.9 * hard + 0.05), epochs=1, verbose=False)
    assert ((model.predict(images, verbose=0) > 0.5) == hard).mean() > 0.95


@pytest.mark.one_backend
def test_the_validation_loss_that_chooses_weights_has_no_penalties():
    train, losses = points(), []
    model = linear()
    model.get_layer("block1").kernel.regularizer = keras.regularizers.L2(10.0)
    noting = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(measured(model, train)))
    before = measured(model, train)
    options = {**PLAIN, "epochs": 3, "l2_sp": 10.0, "callbacks": noting}
    result = tlkeras.fine_tune(model, train, train, **options)
    np.testing.assert_allclose(result.history["val_loss"], losses, rtol=1e-4)
    assert result.best_epoch == np.argmin([before, *losses])
    assert set(result.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert result.history["loss"][-1] > losses[-1] + 5  # with the penalties


def measured(model, data):
    """Return the cross-entropy without penalties, by Keras' own function."""
    images, labels = data
    logits = model.predict(images, verbose=0)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return float(np.mean(keras.ops.convert_to_numpy(losses)))


@pytest.mark.parametrize("method", ["train_step", "compute_loss", "call"])
def test_a_model_with_a_method_of_its_own_is_trained_by_it_and_never_through_a_cache(method, capsys):
    uses, plain = [], linear()

    def own(self, *arguments, **options):
        uses.append(True)
        return getattr(super(kind, self), method)(*arguments, **options)

    kind = type("Own", (keras.Model,), {method: own})
    model = kind(plain.inputs, plain.outputs)
    tlkeras.fine_tune(model, points(), epochs=1, blocks=0, cache=True)
    assert uses and f"No cache: the model has its own {method}" in capsys.readouterr().err


def test_distillers_of_keras_are_refused_and_their_students_are_tuned_alone():
    distillation = pytest.importorskip("keras.distillation")
    teacher, student = linear(), linear()
    distiller = distillation.Distiller(teacher, student, distillation.LogitsDistillation())
    with pytest.raises(InputError, match="has no recognizable head"):
        tlkeras.fine_tune(distiller, points(), epochs=0, verbose=False)
    distiller(np.zeros((1, 4)))
    with pytest.raises(InputError, match="side by side, "):
        tlkeras.unfreeze(distiller, last=1)
    before = weights_of(teacher)
    tlkeras.fine_tune(student, points(), epochs=1, verbose=False)
    for one, other, tuned in zip(before, teacher.get_weights(), student.get_weights(), strict=True):
        assert np.array_equal(one, other) and not np.array_equal(one, tuned)


@pytest.mark.slow
def test_a_classifier_of_keras_hub_with_its_preprocessor_is_tuned_as_the_plain_model_is():
    hub = pytest.importorskip("keras_hub")
    rng, labels = np.random.default_rng(0), np.arange(30) % 3
    images = rng.integers(0, 60, (30, 32, 32, 3)) + 120.0 * np.eye(3)[labels][:, None, None]

    def classifier(prepared):
        keras.utils.set_random_seed(0)
        stages = {"stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1], "stackwise_num_strides": [1, 2]}
        stem = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "block_type": "basic_block"}
        backbone = hub.models.ResNetBackbone(**stem, **stages, image_shape=(32, 32, 3))
        converter = hub.layers.ResNetImageConverter(image_size=(32, 32), scale=1 / 255, offset=-0.5)
        preprocessor = hub.models.ResNetImageClassifierPreprocessor(converter) if prepared else None
        return hub.models.ResNetImageClassifier(backbone=backbone, preprocessor=preprocessor, num_classes=3)

    def tuned(model, images):
        result = tlkeras.fine_tune(model, (images, labels), (images, labels), epochs=2, cache=False, verbose=False)
        return result, model.evaluate(images, labels, verbose=0)[1]

    expected, accuracy = tuned(classifier(False), images / 255 - 0.5)
    result, reached = tuned(classifier(True), images)
    assert reached == accuracy == 1 and result.C == expected.C
    np.testing.assert_allclose(result.history["val_loss"], expected.history["val_loss"], rtol=1e-2)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's")
def test_tf_data_of_unknown_rank_trains():
    import tensorflow as tf

    def unknown(images, labels):
        return tf.numpy_function(lambda *parts: parts, [images, labels], [tf.float32, tf.int64])

    data = tf.data.Dataset.from_tensor_slices(points()).batch(8).map(unknown)
    result = tlkeras.fine_tune(linear(), data, data, epochs=1, class_weight={0: 2.0}, verbose=False)
    assert np.isfinite(result.history["val_loss"]).all()
