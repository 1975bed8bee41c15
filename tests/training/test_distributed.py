"""`fine_tune` on several replicas ends with the weights that one device gives."""

import json
import os
import socket

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras
from tlkeras.training.steps.data import as_batches
from tlkeras.training.steps.distributed import EvenBatches, even_batches, replicas_of, trainee_of

pytestmark = pytest.mark.slow

on = keras.backend.backend()

# Every process trains so, whatever it makes of devices before, and keeps the history and the weights.
TRAIN = """
import contextlib, json, os, random, sys
import keras, numpy as np
from keras import layers
from tlkeras import fine_tune
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

def train(count=46):
    keras.utils.set_random_seed(1)  # of the first weights; below, nothing but fine_tune's own seed counts
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(8, 3, strides=2, name="block1_conv"),
            layers.BatchNormalization(name="block1_bn"),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2, name="block2_conv"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="predictions"),
        ]
    )
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (count, 12, 12, 3), "uint8"), np.arange(count) % 3
    yield model
    random.seed()
    result = fine_tune(
        model, (images, labels), (images[:10], labels[:10]), epochs=2, learning_rate=1e-2, verbose=False
    )
    yield result.history

def save(name, steps, scope):
    with scope:
        model = next(steps)
    history = next(steps)
    np.savez(f"{sys.argv[1]}/{name}.npz", *model.get_weights(), **history)
"""

WORKER = """
strategy = tf.distribute.MultiWorkerMirroredStrategy()
save("worker" + str(json.loads(os.environ["TF_CONFIG"])["task"]["index"]), train(), strategy.scope())
"""

MIRRORED = """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
save("one", train(), contextlib.nullcontext())
save("mirrored", train(), tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]).scope())
"""

JAX = """
save("one", train(), contextlib.nullcontext())
keras.distribution.set_distribution(keras.distribution.DataParallel())
save("parallel", train(), contextlib.nullcontext())
list(train(45))  # a last batch that the devices cannot share evenly
"""


def _run(children, folder, *programs):
    """Run programs at one time, each given as `(code, its variables)`, and return what they saved by name."""
    started = [
        children.start(TRAIN + code, folder, CUDA_VISIBLE_DEVICES="", **variables) for code, variables in programs
    ]
    try:
        for child in started:
            assert child.wait() == 0, child.stderr[-3000:]
    finally:
        for child in started:
            child.kill()
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def _assert_equal(found, expected, atol):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=atol, err_msg=name)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.mark.skipif(on != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_two_workers_and_two_mirrored_devices_end_with_the_weights_and_history_of_one(tmp_path, children):
    workers = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    configs = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(2)]
    saved = _run(
        children, tmp_path, (MIRRORED, {}), *((WORKER, {"TF_CONFIG": json.dumps(config)}) for config in configs)
    )
    _assert_equal(saved["worker1"], saved["worker0"], atol=0)
    _assert_equal(saved["worker0"], saved["one"], atol=1e-5)
    _assert_equal(saved["mirrored"], saved["one"], atol=1e-5)


@pytest.mark.backends
@pytest.mark.skipif(on != "jax", reason="of TensorFlow and torch, Keras' DataParallel knows nothing")
def test_two_devices_of_data_parallel_end_with_the_weights_and_history_of_one(tmp_path, children):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    saved = _run(children, tmp_path, (JAX, {"XLA_FLAGS": flags}))
    _assert_equal(saved["parallel"], saved["one"], atol=1e-5)


@pytest.mark.skipif(on != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_a_call_inside_a_scope_is_refused_before_any_work():
    import tensorflow as tf

    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")])
    before = [np.array(weight) for weight in model.get_weights()]
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope(), pytest.raises(tlkeras.InputError, match="outside"):
        tlkeras.fine_tune(model, (np.eye(4), np.arange(4) % 2), verbose=False)
    for weight, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)


@pytest.mark.backends
def test_without_a_distribution_all_stays_as_it_is():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert replicas_of(model) == 1
    assert trainee_of(model) is model
    batches = as_batches((np.zeros((5, 4)), np.arange(5)), 2)
    assert even_batches(batches, 1) is batches


@pytest.mark.backends
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_even_batches_divide_among_the_replicas_and_hold_every_image(replicas, size):
    batches = EvenBatches(as_batches((np.arange(9.0)[:, None], np.arange(9)), size), replicas)
    images, labels = zip(*map(batches.__getitem__, range(len(batches))), strict=True)
    assert all(len(part) % replicas == 0 for part in labels)
    assert set(np.concatenate(labels)) == set(range(9))
    np.testing.assert_array_equal(np.concatenate(images)[:, 0], np.concatenate(labels))
