"""Cross-entropy with label smoothing, and accuracy, for labels in any form."""

import keras
from keras import ops

#: Name of the metric `PlainLoss`.
PLAIN_LOSS = "plain_loss"


@keras.saving.register_keras_serializable("tlkeras")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy for class indices or one-hot rows, with label smoothing.

    Keras smooths only one-hot labels. This loss also accepts class indices of shape `(N,)` or `(N, 1)`, so labels need
    no conversion. A label that is out of range makes the loss NaN on every backend, which ends training. Otherwise,
    some backends would silently treat such a label as no class at all.

    Args:
        task: `"multiclass"`, `"binary"` or `"multilabel"`. The last two use binary cross-entropy on sigmoid outputs.
        label_smoothing: Fraction of each label that is spread evenly over all classes, in [0, 1) (Szegedy et al.,
            2016).
        from_logits: Whether the predictions are logits.
        label_weights: For a multi-label task, weights of shape `(2, labels)`: the first row for targets of 0, the
            second for targets of 1. For targets between 0 and 1, the two weights are interpolated. None for equal
            weights.

    Example:

    >>> loss = SmoothedCrossentropy("multiclass", label_smoothing=0.0)
    >>> round(float(loss([1, 0], [[0.1, 0.9], [0.8, 0.2]])), 3)
    0.164
    """

    def __init__(self, task="multiclass", label_smoothing=0.1, from_logits=False, label_weights=None):
        super().__init__(name="crossentropy")
        self.task, self.label_smoothing, self.from_logits = task, label_smoothing, from_logits
        self.label_weights = label_weights

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_true.shape) < 2:
            y_true = ops.expand_dims(y_true, -1)
        multiclass, units = self.task == "multiclass", y_pred.shape[-1]
        are_numbers = multiclass and not _is_one_hot(y_true)
        values = ops.cast(y_true, "float32")
        highest = (units - 1 if are_numbers else 1) + 1e-3  # mixed labels are rounded
        known = ops.all((values >= 0) & (values <= highest), axis=-1)
        if are_numbers:
            y_true = ops.one_hot(ops.where(known, ops.cast(y_true[:, 0], "int32"), 0), units)
        y_true = ops.cast(y_true, y_pred.dtype)
        if self.label_weights is not None:
            loss = self._weighted(y_true, y_pred)
        else:
            crossentropy = keras.losses.categorical_crossentropy if multiclass else keras.losses.binary_crossentropy
            loss = crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing)
        return ops.where(known, loss, float("nan"))

    def _weighted(self, y_true, y_pred):
        """Return the mean of the labels' weighted binary cross-entropies."""
        negative, positive = (ops.cast(weights, y_pred.dtype) for weights in self.label_weights)
        smoothed = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = ops.binary_crossentropy(smoothed, y_pred, from_logits=self.from_logits)
        return ops.mean(losses * (y_true * positive + (1 - y_true) * negative), axis=-1)

    def get_config(self):
        return {
            "task": self.task,
            "label_smoothing": self.label_smoothing,
            "from_logits": self.from_logits,
            "label_weights": self.label_weights,
        }


@keras.saving.register_keras_serializable("tlkeras")
class PlainLoss(keras.metrics.MeanMetricWrapper):
    """Metric that reports a loss without the weight penalties that Keras includes in its reported loss.

    The best weights are selected by this metric. A penalty would bias the selection: it says nothing about new images,
    and is lowest for the weights that it pulls toward, however badly they classify.

    Args:
        loss: A `SmoothedCrossentropy`. Its settings are saved with the metric.
        name: Name of the metric.

    Example:

    >>> metric = PlainLoss(SmoothedCrossentropy(label_smoothing=0.0))
    >>> metric.update_state([1, 0], [[0.1, 0.9], [0.8, 0.2]])
    >>> round(float(metric.result()), 3)
    0.164
    """

    def __init__(self, loss, name=PLAIN_LOSS):
        super().__init__(loss.call, name=name)
        self.loss = loss

    def get_config(self):
        return {"loss": self.loss.get_config(), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "loss": SmoothedCrossentropy(**config["loss"])})


@keras.saving.register_keras_serializable("tlkeras")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Fraction of correct predictions, for labels in any form; in a multi-label task, each label counts separately.

    Args:
        task: As in `SmoothedCrossentropy`.
        from_logits: Whether the predictions are logits.
        name: Name of the metric.

    Example:

    >>> metric = Accuracy()
    >>> metric.update_state([1, 0], [[0.1, 0.9], [0.2, 0.8]])
    >>> float(metric.result())
    0.5
    """

    def __init__(self, task="multiclass", from_logits=False, name="accuracy"):
        super().__init__(self._right, name=name)
        self.task, self.from_logits = task, from_logits

    def _right(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if self.task == "multiclass":
            number = ops.argmax(y_true, axis=-1) if _is_one_hot(y_true) else ops.reshape(y_true, (-1,))
            return ops.equal(ops.cast(number, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        threshold = 0.0 if self.from_logits else 0.5
        return ops.equal(ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred)) > 0.5, y_pred > threshold)

    def get_config(self):
        return {"task": self.task, "from_logits": self.from_logits, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _is_one_hot(labels):
    return len(labels.shape) == 2 and labels.shape[-1] != 1


def core_loss(head, one_hot=False):
    """Return the core Keras loss for a head, without smoothing, so that a saved model can be loaded with Keras alone.

    Args:
        head: The classifier's `tlkeras.models.heads.Head`.
        one_hot: Whether labels are rows instead of class indices.

    Returns:
        A `keras.losses.Loss`.
    """
    if head.task != "multiclass":
        return keras.losses.BinaryCrossentropy(from_logits=head.from_logits)
    if one_hot:
        return keras.losses.CategoricalCrossentropy(from_logits=head.from_logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=head.from_logits)


def core_accuracy(head, one_hot=False):
    """Return the core Keras metric for a head, so that a saved model can be loaded with Keras alone."""
    if head.task != "multiclass":
        return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0 if head.from_logits else 0.5)
    if one_hot:
        return keras.metrics.CategoricalAccuracy("accuracy")
    return keras.metrics.SparseCategoricalAccuracy("accuracy")
