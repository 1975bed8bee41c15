"""The upper blocks of a classifier, trained on the stored output of the blocks below them."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class UpperBlocks:
    """The upper blocks of a classifier as a small model of their own, ready to be trained again and again.

    Blocks that stay frozen compute the same numbers in every epoch and in every run. Here they compute them once, and
    only a model that begins where they end is trained. No new model is built for each run: `fit`
    resets the weights and the state of the optimizer first, so runs are independent and Keras traces the model once.

    Args:
        images: `tlkeras.ImageSplit`, as `lab.drawings` returns.
        last: Number of blocks below the head that can train, counted from the head. Defaults to 2.
        dropout: Dropout rate before the head. Defaults to 0.

    Attributes:
        inputs: float32 array of shape `(images, height, width, channels)`: what the upper blocks see of each image.
        labels: Class numbers of shape `(images,)`.
        model: `keras.Model` from `inputs` to probabilities. Freeze, unfreeze and compile it as any other model.

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
        """Compile the model for class numbers, and remember the optimizer's state before its first step.

        On TensorFlow, XLA is off: on a CPU it took three to four times as long for a few epochs on small maps. In
        notebooks it is off anyway, since `teaching.start` asks for deterministic operations.

        Args:
            optimizer: Keras optimizer.
            **settings: Further arguments of `keras.Model.compile`.
        """
        import keras

        if keras.backend.backend() == "tensorflow":
            settings = {"jit_compile": False, **settings}
        self.model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
        optimizer.build(self.model.trainable_variables)
        state: dict = {}
        optimizer.save_own_variables(state)
        self._blank = {name: np.array(value) for name, value in state.items()}

    def reset(self, head: Sequence[np.ndarray] | None = None) -> None:
        """Restore the pretrained weights and give the head new ones.

        Args:
            head: Kernel and bias of the head. Defaults to None, the same random weights each time.
        """
        self.model.set_weights(self._start)
        if head is not None:
            self.model.layers[-1].set_weights(head)

    def probe(self, rows: Any, seed: int = 0) -> list[np.ndarray]:
        """Solve the head: logistic regression on the features of the pretrained blocks, without training.

        Args:
            rows: Row numbers of the images to learn from.
            seed: Seed of the cross-validation that chooses its penalty.

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
        """Train from the pretrained weights, as if no run had come before.

        Args:
            train: Row numbers of the images to learn from.
            validation: Row numbers of images to measure on after each epoch. Defaults to none.
            head: As in `reset`.
            learning_rate: Learning rate. Defaults to None, that of the optimizer.
            epochs: Passes over the images.
            batch_size: Images per step.
            callbacks: Keras callbacks.
            seed: Seed of the order of images and of dropout.

        Returns:
            Dict from metric to its values per epoch, as Keras records them.
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
        """Measure the share of correct predictions in the model's current state.

        Args:
            rows: Row numbers of the images to classify.
            head: Kernel and bias to classify with. Defaults to None, which uses those of the model.
        """
        kernel, bias = self.model.layers[-1].get_weights() if head is None else head
        answers = (self.features(rows) @ kernel + bias).argmax(axis=1)
        return float(np.mean(answers == self.labels[rows]))
