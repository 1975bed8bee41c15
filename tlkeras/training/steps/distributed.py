"""Support training on several devices or machines in `fine_tune` and Keras' `fit`."""

import keras
import numpy as np
from keras import ops

from tlkeras.errors import InputError
from tlkeras.training.steps.data import ChangedBatches


def replicas_of(model) -> int:
    """Count the copies of a model that share each batch.

    Args:
        model: A `keras.Model`, built in the scope of a `tf.distribute` strategy or under a `keras.distribution`.

    Returns:
        The number of replicas; 1 without a distribution.

    Example:

    >>> replicas_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    1
    """
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is not None:
        return strategy.num_replicas_in_sync
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.batch_dim_name is None:
        return 1
    mesh = distribution.device_mesh
    return mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]


def refuse_open_scope():
    """Raise an error inside a `strategy.scope()`, where `predict` would run once for each replica.

    Raises:
        InputError: The function was called inside a `strategy.scope()`.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.distribute.has_strategy():
        raise InputError(
            "`fine_tune` was called inside strategy.scope(). Build the model inside the scope, and call `fine_tune` "
            "outside it."
        )


def even_batches(batches, replicas):
    """Divide batches evenly among replicas, if they come from a `PyDataset`.

    Args:
        batches: Data that `fit` accepts.
        replicas: Number of replicas.

    Returns:
        `EvenBatches` if there are several replicas and `batches` is a `keras.utils.PyDataset`; otherwise, `batches`
        itself.
    """
    return EvenBatches(batches, replicas) if replicas > 1 and isinstance(batches, keras.utils.PyDataset) else batches


class EvenBatches(ChangedBatches):
    """Batches padded with their own images to give each replica the same number, as torch's `DistributedSampler` does.

    TensorFlow raises an error for a replica without an image, and JAX for a replica with fewer images than the others.

    Args:
        batches: A `keras.utils.PyDataset` of pairs of arrays `(images, labels)`.
        replicas: Number of replicas. Each batch is padded to a multiple of this number.

    Example:

    >>> from tlkeras.training.steps.data import as_batches
    >>> batches = EvenBatches(as_batches((np.zeros((5, 8, 8, 3)), np.arange(5)), 3), 2)
    >>> [labels.tolist() for _, labels in map(batches.__getitem__, range(len(batches)))]
    [[0, 1, 2, 0], [3, 4]]
    """

    def __init__(self, batches, replicas):
        # `tf.distribute` reads ahead, so Keras' queue would keep batches in one epoch's order for the next epoch, and
        # different batches on each worker. Without the queue, every worker has the same order.
        workers = 1 if keras.backend.backend() == "tensorflow" else batches.workers
        super().__init__(batches, self._padded, workers)
        self._replicas = replicas

    def _padded(self, images, labels):
        count = len(labels)
        chosen = np.arange(count + -count % self._replicas) % count
        return images[chosen], labels[chosen]


def own_methods(model):
    """Return the names of the training methods that the class of a model overrides.

    Example:

    >>> own_methods(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    []
    """
    names = ("train_step", "test_step", "compute_loss", "compute_metrics", "train_on_batch")
    own = [name for name in names if getattr(type(model), name) is not getattr(keras.Model, name)]
    plain = (keras.Sequential.call, keras.src.models.Functional.call)
    return own if type(model).call in plain or hasattr(model, "preprocessor") else [*own, "call"]


def trainee_of(model):
    """Return the model to train in place of `model`; both have the same layers.

    With several workers, the model to train is a `MultiWorkerModel`. For a KerasHub model, it is a plain model with the
    same graph, since KerasHub's `fit` would preprocess images a second time and does not accept a `PyDataset`. In all
    other cases, it is `model` itself.
    """
    if hasattr(model, "preprocessor"):
        return keras.Model(model.inputs, model.outputs)
    return MultiWorkerModel(model) if has_several_workers(model) else model


def has_several_workers(model):
    """Return whether a model was built in the scope of a strategy with several processes."""
    resolver = getattr(getattr(model, "distribute_strategy", None), "cluster_resolver", None)
    return resolver is not None and sum(map(len, resolver.cluster_spec().as_dict().values())) > 1


class MultiWorkerModel(keras.Model):
    """A functional model whose `fit` and `evaluate` work under `tf.distribute.MultiWorkerMirroredStrategy`.

    Under this strategy, Keras 3 (3.15) fails before the first step, because it averages the images of all workers to
    find their shape, and again after the first step, because it averages scalar metrics along their first axis. A model
    created outside the strategy's scope avoids the first error, and a step that returns one-element vectors avoids the
    second.

    Args:
        model: A functional or Sequential model built in the strategy's scope. The new model shares all of its layers.

    Reference: https://github.com/keras-team/keras/issues/20585
    """

    def __init__(self, model):
        super().__init__(model.inputs, model.outputs)
        self._workers = model.distribute_strategy

    @property
    def distribute_strategy(self):
        return self._workers

    def train_step(self, data):
        return _as_vectors(super().train_step(data))

    def test_step(self, data):
        return _as_vectors(super().test_step(data))


def _as_vectors(metrics):
    return {name: ops.reshape(value, (1,)) for name, value in metrics.items()}
