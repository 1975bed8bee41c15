"""`teaching.UpperBlocks` and `teaching.line_chart`: runs are independent, and charts say what they show."""

import keras
import numpy as np
import pytest

import tlkeras
from tlkeras import InputError, teaching


@pytest.fixture(scope="module")
def images(clipart10):
    return tlkeras.load_images(
        clipart10, classes=["boat", "bug"], image_size=32, test_size=0, validation_size=0, per_class=12
    ).train


@pytest.fixture(scope="module")
def upper(images):
    blocks = teaching.UpperBlocks(images, last=1)
    blocks.compile(keras.optimizers.Adam(1e-3))
    return blocks


@pytest.mark.slow
def test_upper_blocks_continue_where_the_frozen_blocks_end(upper, images):
    upper.reset()
    whole = tlkeras.backbone("efficientnet_lite0", image_size=32, pooling="avg")
    expected = keras.ops.convert_to_numpy(whole(images.read()[:8], training=False))
    np.testing.assert_allclose(upper.features(range(8)), expected, atol=1e-4)


def test_a_run_does_not_remember_the_runs_before_it(upper):
    rows = np.arange(16)
    first = upper.fit(rows, epochs=2, learning_rate=1e-3, seed=1)["loss"]
    weights = upper.model.get_weights()
    upper.fit(rows, epochs=1, learning_rate=1e-2, seed=2)
    assert upper.fit(rows, epochs=2, learning_rate=1e-3, seed=1)["loss"] == first
    for then, now in zip(weights, upper.model.get_weights(), strict=True):
        np.testing.assert_array_equal(then, now)


@pytest.mark.filterwarnings("error:Skipping variable loading")
def test_another_choice_of_layers_is_compiled_without_the_state_of_the_former_one(images):
    blocks = teaching.UpperBlocks(images, last=1)
    for last in (1, 0):
        tlkeras.unfreeze(blocks.model, last=1) if last else tlkeras.freeze(blocks.model)
        blocks.compile(keras.optimizers.Adam(1e-3))
        blocks.fit(np.arange(8), epochs=1)


def test_the_solved_head_is_used_and_leaves_the_blocks_as_they_were(upper):
    rows = np.arange(len(upper.labels))
    head = upper.probe(rows)
    upper.reset(head)
    answers = upper.model.predict(upper.inputs, verbose=0).argmax(axis=1)
    assert np.mean(answers == upper.labels) == upper.accuracy(rows) == upper.accuracy(rows, head) > 0.8


def test_a_chart_leaves_out_what_was_not_measured_and_says_the_rest_in_words():
    curves = {"all": [[0.1, 0.5, 0.3], [0.3, 0.5, 0.5]], "some": [0.2, np.nan, 0.4]}
    figure = teaching.line_chart({"kept": curves}, [1, 10, 100], log=True, baselines={"probe": 0.6}, title="It falls.")
    assert figure.alt == (
        "It falls. Kept: all 20% to 40%, highest 50% at 10; kept: some 20% to 40%, highest 40% at 100; probe 60%."
    )
    assert [len(line.get_xdata()) for line in figure.axes[0].lines[:2]] == [3, 2]
    epochs = teaching.line_chart({"kept": {"all": [0.1, 0.2, 0.4]}}, [0, 1, 2])
    assert [tick.get_text() for tick in epochs.axes[0].get_xticklabels()] == ["0", "1", "2"]
    with pytest.raises(InputError, match="panels"):
        teaching.line_chart({"kept": {"all": [0.1, 0.2, 0.3]}}, [1, 2])
