"""Exercises of `04_freezing_and_forgetting`: right answers of any kind pass, wrong ones do not."""

import numpy as np
import pytest

import tlkeras
from tlkeras.models.layer_tree import own_weights
from tlkeras.teaching import NotYet, check, quiz


@pytest.mark.parametrize(
    "prediction, one_block, right",
    [
        ("higher", [0.5, 0.6], True),
        ("lower", 0.1, True),
        ("same", 0.22, True),
        ("higher", 0.22, True),
        ("same", [0.5, 0.6], False),
        ("lower", [0.5, 0.6], False),
        ("all", 0.5, False),
    ],
)
def test_04_1_is_judged_by_what_was_measured(prediction, one_block, right):
    if right:
        check("04.1", prediction, one_block, [0.2, 0.2])
    else:
        with pytest.raises(NotYet):
            check("04.1", prediction, one_block, [0.2, 0.2])


def test_04_quiz_accepts_freezing_only(capsys):
    quiz("04", "b")
    assert "Why not the others" in capsys.readouterr().out
    with pytest.raises(NotYet, match="moving statistics"):
        quiz("04", "a")


def _moved(model, x, y, copy=np.array, weights=lambda layer: layer.get_weights()):
    before = [[copy(weight) for weight in weights(layer)] for layer in model.layers]
    model.fit(x, y, verbose=0)
    return [
        layer.name
        for layer, then in zip(model.layers, before, strict=True)
        if any(not np.array_equal(a, b) for a, b in zip(then, weights(layer), strict=True))
    ]


def _moved_by_sums(model, x, y):
    before = {layer.name: sum(float(np.abs(w).sum()) for w in layer.get_weights()) for layer in model.layers}
    model.train_on_batch(x, y)
    return {layer.name for layer in model.layers if before[layer.name] != sum(map(_total, layer.get_weights()))}


def _moved_by_name(model, x, y):
    values = lambda: {w.path: np.array(w) for w in model.weights}  # noqa: E731
    before = values()
    model.fit(x, y, epochs=1, verbose=0)
    paths = {path for path, now in values().items() if (now != before[path]).any()}
    return tuple(layer.name for layer in model.layers if paths & {w.path for w in layer.weights})


def _total(weight):
    return float(np.abs(weight).sum())


@pytest.mark.parametrize("answer", [_moved, _moved_by_sums, _moved_by_name], ids=["list", "set, by sums", "tuple"])
def test_04_2_takes_any_function_that_looks_at_all_weights(answer):
    check("04.2", answer)


def _gradients_only(model, x, y):
    return _moved(model, x, y, weights=lambda layer: [w.numpy() for w in own_weights(layer) if w.trainable])


@pytest.mark.parametrize(
    "answer, hint",
    [
        ({"first"}, "function"),
        (lambda model, x, y: ..., "does not return anything yet"),
        (lambda model, x, y: set(), "wrong about first and last and norm"),
        (lambda model, x, y: "first", "return a set of names"),
        (lambda model, x, y: 3, "return a set of names"),
        (lambda model: set(), "argument"),
        (_gradients_only, "moving statistics still change"),
    ],
    ids=["set", "stub", "nothing", "text", "number", "no data", "without statistics"],
)
def test_04_2_says_what_is_wrong(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("04.2", answer)


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(clipart10, classes=["boat", "bug"], image_size=(64, 64))


@pytest.fixture(scope="module")
def model(images):
    """Build one network for all tests below; each sets its own flags and head first."""
    return tlkeras.image_classifier(classes=images.class_names, image_size=64)


def _answers(model, images, value):
    """Makes the model say, of all images, one class."""
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([0 * kernel, np.where(np.arange(len(bias)) == value, 9.0, 0.0)])


def test_04_3_takes_a_model_that_is_frozen_in_part_and_good(model, images, capsys):
    tlkeras.fine_tune(model, images.train, epochs=0, verbose=False)
    for some in (lambda: tlkeras.unfreeze(model, last=2), lambda: tlkeras.freeze(model), lambda: model.layers[0]):
        some()  # two blocks and the head train, or the head alone; the last one changes nothing
        check("04.3", model, images)
    assert "still have ImageNet's weights" in capsys.readouterr().out.replace("\n", " ")


def test_04_3_refuses_what_does_not_beat_the_majority_class(model, images):
    tlkeras.freeze(model)
    _answers(model, images, np.bincount(images.train.labels).argmax())
    with pytest.raises(NotYet, match="majority"):
        check("04.3", model, images)


def test_04_3_refuses_a_trained_stem_and_frozen_layers_that_have_moved(model, images):
    tlkeras.unfreeze(model)
    with pytest.raises(NotYet, match="stem trains"):
        check("04.3", model, images)
    tlkeras.freeze(model)
    norm = model.get_layer("block2a_bn")
    mean = np.array(norm.moving_mean)
    norm.moving_mean.assign(mean + 1e-3)
    with pytest.raises(NotYet, match="block2a_bn has changed"):
        check("04.3", model, images)
    norm.moving_mean.assign(mean)
