"""Keeping the best weights of a training, whatever ends it."""

import math

import keras
import numpy as np


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights of the best epoch, stops when no better one comes, and puts them back.

    Unlike `keras.callbacks.EarlyStopping` it counts the weights that training starts from as epoch 0, stops at a loss
    that is not a number, and can put the weights back after an interruption too.

    Args:
        monitor: What is watched, the lower the better; an epoch without it changes nothing. `None` where nothing can
            be: then each epoch that ends is the best so far.
        patience: Epochs without a better one before training stops.
        start: The value at epoch 0; infinity where it is not known.
    """

    def __init__(self, monitor="val_loss", patience=5, start=math.inf):
        super().__init__()
        self.monitor, self.patience = monitor, patience
        self.best, self.best_epoch, self.last_epoch = start, 0, 0
        self.stopped = None
        self._weights = None

    def on_train_begin(self, logs=None):
        self._weights = self._copy()

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self._stop("not a number")

    def on_epoch_end(self, epoch, logs=None):
        self.last_epoch = epoch + 1
        if self.stopped:
            return
        if self.monitor is None:
            self.best_epoch, self._weights = self.last_epoch, self._copy()
            return
        value = (logs or {}).get(self.monitor)
        if value is None:
            return
        if value < self.best:
            self.best, self.best_epoch, self._weights = value, self.last_epoch, self._copy()
        elif not math.isfinite(value):
            self._stop("not a number")
        elif self.last_epoch - self.best_epoch >= self.patience:
            self._stop("no improvement")

    def restore(self):
        """Gives the model its best weights, those of epoch 0 if none was better."""
        if self._weights is not None:
            self.model.set_weights(self._weights)

    def _copy(self):
        # JAX hands out views of buffers that the next step writes over.
        return [np.array(weight) for weight in self.model.get_weights()]

    def _stop(self, reason):
        self.stopped = reason
        self.model.stop_training = True
