"""Cross-entropy with label smoothing, for labels as they come."""

import keras
from keras import ops


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy for class numbers or one-hot rows, with label smoothing.

    Keras smooths one-hot labels only. This takes class numbers of shape `(N,)` or `(N, 1)` as well, so data can stay
    as it is.

    Args:
        task: `"multiclass"`, `"binary"` or `"multilabel"`; the last two are sigmoid cross-entropies.
        label_smoothing: Share of each label that is spread evenly over all classes, in [0, 1). Szegedy et al., 2016.
        from_logits: Whether the predictions are logits.

    Example:

    >>> loss = SmoothedCrossentropy("multiclass", label_smoothing=0.0)
    >>> round(float(loss([1, 0], [[0.1, 0.9], [0.8, 0.2]])), 3)
    0.164
    """

    def __init__(self, task="multiclass", label_smoothing=0.1, from_logits=False):
        super().__init__(name="crossentropy")
        self.task, self.label_smoothing, self.from_logits = task, label_smoothing, from_logits

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if self.task == "multiclass":
            if len(y_true.shape) < 2 or y_true.shape[-1] == 1:
                y_true = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), y_pred.shape[-1])
            return keras.losses.categorical_crossentropy(
                ops.cast(y_true, y_pred.dtype), y_pred, self.from_logits, self.label_smoothing
            )
        if len(y_true.shape) < 2:
            y_true = ops.expand_dims(y_true, -1)
        return keras.losses.binary_crossentropy(
            ops.cast(y_true, y_pred.dtype), y_pred, self.from_logits, self.label_smoothing
        )


def core_loss(head):
    """Name or instance of the core Keras loss for a head, so that a saved model opens with Keras alone.

    Args:
        head: `tlkeras.training.head.Head`.

    Returns:
        A `keras.losses.Loss` without smoothing.
    """
    if head.task == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=head.from_logits)
    return keras.losses.BinaryCrossentropy(from_logits=head.from_logits)
