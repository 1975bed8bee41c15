"""The upper blocks of a classifier, trained on the stored output of the blocks below them."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class UpperBlocks:
    """The upper blocks of a classifier as a small model of their own, which can be trained many times.

    Blocks that stay frozen compute the same values in every epoch and every run. Here, these values are computed only
    once, and the model that is trained takes them as its inputs. No new model is built for each run: `fit` first resets
    the weights and the optimizer state, so runs are independent and Keras traces the model only once.

    Args:
        images: `tlkeras.ImageSplit`, such as the result of `lab.drawings`.
        last: Number of blocks that can train, counted down from the head. Defaults to 2.
        dropout: Dropout rate before the head. Defaults to 0.

    Attributes:
        inputs: float32 array of shape `(images, height, width, channels)`: the inputs of the upper blocks.
        labels: Class indices, an int array of shape `(images,)`.
        model: `keras.Model` that maps `inputs` to probabilities. Freeze, unfreeze and compile it like any other model.

    Example:

    >>> from tlkeras.teaching import lab
    >>> upper = UpperBlocks(lab.drawings(image_size=32), last=1)
    >>> upper.features(range(4)).shape, upper.model.layers[-1].units
    ((4, 1280), 10)
    """

    def __init__(self, images: Any, last: int = 2, dropout: float = 0.0):
        import keras

        import tlkeras
        from tlkeras.models.graph import cut

        classes = len(images.class_names)
        whole = tlkeras.image_classifier(classes=classes, image_size=images.image_size, dropout=dropout)
        tlkeras.unfreeze(whole, last=last)
        below, top = cut(whole)
        self.model = keras.models.clone_model(top)
        self.model.set_weights(top.get_weights())
        self.labels = images.labels
        self.inputs = below.predict(images.read(), batch_size=64, verbose=0)
        self._trunk = keras.Model(self.model.input, self.model.layers[-1].input)
        self._start = self.model.get_weights()
        self._blank: dict = {}

    def compile(self, optimizer: Any, **settings: Any) -> None:
        """Compile the model for integer labels, and save the optimizer's initial state.

        Args:
            optimizer: Keras optimizer to train with.
            **settings: Further arguments of `keras.Model.compile`.
        """
        import keras

        # A metric given by name creates its variables in the first step, which TensorFlow then traces twice.
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        self.model.compile(optimizer, "sparse_categorical_crossentropy", metrics=[accuracy], **settings)
        optimizer.build(self.model.trainable_variables)
        state: dict = {}
        optimizer.save_own_variables(state)
        self._blank = {name: np.array(value) for name, value in state.items()}

    def reset(self, head: Sequence[np.ndarray] | None = None) -> None:
        """Restore the pretrained weights, and give the head new weights.

        Args:
            head: Kernel and bias of the head. Defaults to None, which gives random weights that are the same in every
                call.
        """
        self.model.set_weights(self._start)
        if head is not None:
            self.model.layers[-1].set_weights(head)

    def probe(self, rows: Any, seed: int = 0) -> list[np.ndarray]:
        """Compute the weights of the head by logistic regression on the features of the pretrained blocks.

        Args:
            rows: Row indices of the training images.
            seed: Seed for the cross-validation that chooses the penalty.

        Returns:
            Kernel and bias, for `reset` and `fit`.
        """
        from tlkeras.training.steps.probe_head import _probe

        self.reset()
        kernel, bias, _ = _probe(self.features(rows), self.labels[rows], len(self._start[-1]), None, seed, None)
        return [kernel, bias]

    def fit(
        self,
        train: Any,
        validation: Any = None,
        *,
        head: Sequence[np.ndarray] | None = None,
        learning_rate: float | None = None,
        epochs: int = 6,
        batch_size: int = 32,
        callbacks: Sequence[Any] = (),
        seed: int = 0,
    ) -> dict:
        """Train from the pretrained weights, independently of any earlier run.

        Args:
            train: Row indices of the training images.
            validation: Row indices of images to evaluate on after each epoch. Defaults to none.
            head: As in `reset`.
            learning_rate: Learning rate to train with. Defaults to None, which keeps the optimizer's learning rate.
            epochs: Number of training epochs.
            batch_size: Number of images per training step.
            callbacks: Keras callbacks to pass to the model's `fit`.
            seed: Seed for the order of images and for dropout.

        Returns:
            Dict that maps each metric to its values per epoch, as in Keras's `History.history`.
        """
        import keras

        keras.utils.set_random_seed(seed)
        self.reset(head)
        optimizer = self.model.optimizer
        optimizer.load_own_variables(self._blank)
        if learning_rate is not None:
            optimizer.learning_rate = learning_rate
        history = self.model.fit(
            self.inputs[train],
            self.labels[train],
            validation_data=None if validation is None else (self.inputs[validation], self.labels[validation]),
            batch_size=batch_size,
            epochs=epochs,
            callbacks=list(callbacks),
            verbose=0,
        )
        return history.history

    def features(self, rows: Any) -> np.ndarray:
        """Compute the features below the head in the model's current state, shape `(rows, features)`."""
        return self._trunk.predict(self.inputs[rows], batch_size=256, verbose=0)

    def accuracy(self, rows: Any, head: Sequence[np.ndarray] | None = None) -> float:
        """Measure the fraction of correct predictions in the model's current state.

        Args:
            rows: Row indices of the images to classify.
            head: Kernel and bias to classify with. Defaults to None, which uses the model's own head.
        """
        kernel, bias = self.model.layers[-1].get_weights() if head is None else head
        answers = (self.features(rows) @ kernel + bias).argmax(axis=1)
        return float(np.mean(answers == self.labels[rows]))
