"""What a step of a differential optimizer costs, against the plain optimizer it was made from.

Both update all weights of the default backbone with the same gradients, in turn, in one process; every turn gives one
ratio, and the median of the ratios is printed. First nothing but the optimizer runs, so that no forward pass hides its
cost; then whole training steps, which is what a user waits for.

Run from the repository's root, for each backend: `KERAS_BACKEND=jax python benchmarks/optimizer_step.py`.
Bounds: 1.03 on TensorFlow and JAX, 1.10 on torch; not one variable more. "plain again" is a second plain optimizer: how
far its ratio is from 1 is how far this measurement can be trusted.
"""

import argparse
import statistics
import time

import keras

import tlkeras

SIZE = (96, 96)

OPTIMIZERS = {
    "AdamW": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01),
    "SGD": lambda: keras.optimizers.SGD(1e-2, momentum=0.9),
}


def stepper(model, optimizer):
    """A function that makes `count` updates as `fit` would: compiled on TensorFlow and JAX, eager on torch."""
    variables = model.trainable_variables
    optimizer.build(variables)
    rng = keras.random.SeedGenerator(0)
    grads = [keras.random.normal(variable.shape, seed=rng) * 0.01 for variable in variables]
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(autograph=False)
        def update():
            optimizer.apply(grads, variables)

        return lambda count: [update() for _ in range(count)]
    if backend == "jax":
        import jax

        update = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
        state = [[jax.numpy.copy(v.value) for v in variables], [jax.numpy.copy(v.value) for v in optimizer.variables]]

        def steps(count):
            for _ in range(count):
                state[0], state[1] = update(state[1], grads, state[0])
            jax.block_until_ready(state)

        return steps
    import torch

    def steps(count):
        with torch.no_grad():
            for _ in range(count):
                optimizer.apply(grads, variables)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return steps


def trainer(model, optimizer):
    """A function that makes `count` training steps on four small random images, so the optimizer's share is large."""
    model.compile(optimizer, "sparse_categorical_crossentropy")
    images = keras.random.uniform((4, *SIZE, 3), 0, 255, seed=0)
    images, labels = keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(keras.ops.arange(4))
    return lambda count: [model.train_on_batch(images, labels) for _ in range(count)]


KINDS = {"optimizer": stepper, "training": trainer}


def seconds(steps, count):
    start = time.perf_counter()
    steps(count)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--steps", type=int, default=5, help="updates a turn")
    parser.add_argument("--of", choices=KINDS, nargs="+", default=list(KINDS))
    options = parser.parse_args()
    for kind in options.of:
        for name in OPTIMIZERS:
            compare(kind, name, options.turns, options.steps)


def compare(kind, name, turns, steps):
    """Times the sides in turn and prints their ratios."""
    optimizers, steppers = {}, {}
    for side in ("plain", "plain again", "differential"):
        model = tlkeras.image_classifier("efficientnet_lite0", classes=10, image_size=SIZE)
        tlkeras.unfreeze(model, batchnorm="train")
        optimizer = OPTIMIZERS[name]()
        if side == "differential":
            optimizer = tlkeras.differential_optimizer(model, optimizer, layer_decay=0.8)
        optimizers[side], steppers[side] = optimizer, KINDS[kind](model, optimizer)
    for warm_up in steppers.values():
        warm_up(3)
    times = []
    for turn in range(turns):
        order = list(steppers) if turn % 2 else list(steppers)[::-1]
        times.append({side: seconds(steppers[side], steps) for side in order})
    for side in ("plain again", "differential"):
        ratio = statistics.median(turn[side] / turn["plain"] for turn in times)
        counts = len(optimizers["plain"].variables), len(optimizers[side].variables)
        print(
            f"{keras.backend.backend()} {name}, {kind}: {side} / plain = {ratio:.3f} "
            f"(plain {statistics.median(turn['plain'] for turn in times) / steps * 1e3:.1f} ms a step; "
            f"{counts[1]} variables against {counts[0]})",
            flush=True,
        )


if __name__ == "__main__":
    main()
