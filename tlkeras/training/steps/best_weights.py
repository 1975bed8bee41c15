"""Keep the best weights of a training run, regardless of how the run ends."""

import math

import keras
import numpy as np

from tlkeras.training.losses import PLAIN_LOSS


class BestWeights(keras.callbacks.EarlyStopping):
    """Early stopping that keeps the best weights even after an interruption, and records why training stopped.

    Unlike its base class, this callback stops at a loss that is not finite (`keras.callbacks.TerminateOnNaN` prints to
    stdout and gives no reason), copies weights on every backend, and keeps the weights of the last complete epoch if
    there is no validation data.

    Args:
        patience: Number of epochs without a lower validation loss, not counting weight penalties, before training
            stops.
        validated: Whether there is a validation loss; without one, the latest epoch counts as the best.
    """

    def __init__(self, patience=5, validated=True):
        super().__init__(f"val_{PLAIN_LOSS}", mode="min", patience=patience)
        self.validated = validated
        self.stopped = None  # the reason
        self.epochs = 0  # number of epochs that have ended
        self.best_epoch = None
        self.saved = {}  # the `state` from which training resumes

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.best_epoch, self.best_weights = None, None
        vars(self).update(self.saved)

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self._stop("not a number")

    def on_epoch_end(self, epoch, logs=None):
        self.epochs = epoch + 1
        if self.stopped:
            return
        if not self.validated:
            self._keep(epoch)
            return
        loss = (logs or {}).get(self.monitor)
        if loss is None:
            return
        if not math.isfinite(loss):
            self._stop("not a number")
            return
        super().on_epoch_end(epoch, logs)
        if self.best_epoch == epoch:
            self._keep(epoch)
        elif self.model.stop_training and self.wait >= self.patience:
            self._stop("no improvement")

    @property
    def state(self):
        """Return the values to pass as `saved` to the object that resumes the run from here."""
        names = ("best", "best_epoch", "best_weights", "wait", "epochs")
        return {name: getattr(self, name) for name in names}

    def _keep(self, epoch):
        self.best_epoch = epoch
        # JAX returns views of buffers that the next step overwrites.
        self.best_weights = [np.array(weight) for weight in self.model.get_weights()]

    def _stop(self, reason):
        self.stopped = reason
        self.model.stop_training = True
