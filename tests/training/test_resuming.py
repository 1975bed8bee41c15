"""A killed `fine_tune` resumes to the weights and metrics of an uninterrupted one."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tlkeras

pytestmark = [pytest.mark.backends, pytest.mark.slow]

# All processes fork from one that has imported everything and started nothing, since importing takes longer than
# training. The first is not disturbed; the second is killed at random moments until it ends by itself.
FORKS = """
import json, os, random, signal, sys, time, traceback
import keras, numpy as np
from keras import layers
from tlkeras import fine_tune

def train(name, checkpoint):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.RandomFlip(),
            layers.Conv2D(4, 3, name="block1_conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax", name="predictions"),
        ]
    )
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (24, 8, 8, 3), "uint8"), np.arange(24) % 3
    slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.03))
    result = fine_tune(
        model, (images, labels), (images[:9], labels[:9]), epochs=4, runs=2, batch_size=4, ema_momentum=0.9,
        learning_rate=1e-2, average_with_probe=0.5, callbacks=slow, checkpoint=checkpoint, verbose=False,
    )
    np.savez(f"{sys.argv[1]}/{name}.npz", *model.get_weights(), **result.history)

def fork(*arguments):
    child = os.fork()
    if child:
        return child
    try:
        train(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

assert os.waitpid(fork("undisturbed", None), 0)[1] == 0
moments, kills = random.Random(int(sys.argv[2])), 0
while True:
    child, end = fork("killed", f"{sys.argv[1]}/checkpoint"), time.time() + moments.uniform(1, 5)
    while time.time() < end or kills == int(sys.argv[3]):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            print(json.dumps({"kills": kills, "status": status}))
            sys.exit(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
"""


def killed_and_undisturbed(folder, seed=0, kills=3):
    """Return what a killed and an undisturbed process saved, and how often the first was killed."""
    command = [sys.executable, "-c", FORKS, str(folder), str(seed), str(kills)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    saved = [dict(np.load(folder / f"{name}.npz")) for name in ("killed", "undisturbed")]
    return *saved, json.loads(output.splitlines()[-1])["kills"]


def test_a_call_killed_at_random_moments_goes_on_to_the_result_of_an_undisturbed_one(tmp_path):
    killed, undisturbed, kills = killed_and_undisturbed(tmp_path, kills=2)
    assert kills and killed.keys() == undisturbed.keys()
    for name, values in undisturbed.items():
        np.testing.assert_array_equal(killed[name], values, err_msg=name)


def test_a_call_that_fails_in_a_later_run_goes_on_and_one_that_ended_returns_at_once(tmp_path):
    images, labels = np.random.default_rng(0).normal(size=(24, 4)).astype("float32"), np.arange(24) % 3

    def tuned(fails_at=None, **options):
        keras.utils.set_random_seed(1)
        model, batches = (
            keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dropout(0.3), layers.Dense(3)]),
            [],
        )

        def count(batch, logs):
            batches.append(batch)
            if len(batches) == fails_at:
                raise RuntimeError("killed")

        counting = keras.callbacks.LambdaCallback(on_train_batch_end=count)
        options = {"epochs": 2, "runs": 2, "batch_size": 8, "callbacks": counting, "verbose": False, **options}
        result = tlkeras.fine_tune(model, (images, labels), (images[:9], labels[:9]), **options)
        return model.get_weights(), result, len(batches)

    expected, reference, _ = tuned()
    with pytest.raises(RuntimeError, match="killed"):
        tuned(fails_at=11, checkpoint=tmp_path)  # 6 steps in each run: in the second epoch of the second run
    for steps in (3, 0):  # the epoch that was broken off; then nothing
        weights, result, trained = tuned(checkpoint=tmp_path)
        assert trained == steps and result.history == reference.history and result.choices == reference.choices
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(tlkeras.InputError, match=r"the state of another call \(epochs differ"):
        tuned(checkpoint=tmp_path, epochs=3)
