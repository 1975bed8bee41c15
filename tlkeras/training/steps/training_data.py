"""Check the data for a call to `fine_tune`, batch it, and divide it evenly among the replicas of the model."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.models.heads import Head
from tlkeras.training.steps.checks import check_data, find_fault, refuse_regression
from tlkeras.training.steps.class_weights import class_weights
from tlkeras.training.steps.data import are_rows, are_weighted, as_batches, class_numbers, preprocessed
from tlkeras.training.steps.distributed import even_batches, replicas_of


@dataclass(frozen=True)
class TrainingData:
    """The data that a model is trained and validated on.

    Attributes:
        in_order: Batches of training images in their original order.
        shuffled: Batches of the training images, shuffled in each epoch, and blended if `mix` is given.
        held_out: Batches of validation images, or None.
        one_hot: Whether labels are rows instead of class indices.
        class_weight: See `tlkeras.training.steps.class_weights.class_weights`.
        sources: Dict that maps argument names (`train` and `validation_data`) to the original batches, to search for
            faults.
        head: The classifier's `tlkeras.models.heads.Head`.
    """

    in_order: Any
    shuffled: Any
    held_out: Any
    one_hot: bool
    class_weight: Any
    sources: dict
    head: Head

    def explain_fault(self):
        """If an unchecked batch caused a non-finite loss, raise an `InputError` that names the batch."""
        find_fault(self.sources, self.head)

    def close(self):
        """Remove the files that the batches keep on disk."""
        for batches in (self.shuffled, self.held_out):
            if hasattr(batches, "close"):
                batches.close()


def training_data(model, head, train, validation_data, options):
    """Check and batch the data for a call, without changing the model or the data.

    Args:
        model: The classifier.
        head: The classifier's `tlkeras.models.heads.Head`.
        train: As in `tlkeras.fine_tune`.
        validation_data: As in `tlkeras.fine_tune`.
        options: The settings of the call, as `tlkeras.training.steps.options.Options`.

    Returns:
        `TrainingData`.

    Raises:
        InputError: The model or the data is for regression, or the data is unusable in some other way.
    """
    refuse_regression(model, head)
    given = {"train": train} if validation_data is None else {"train": train, "validation_data": validation_data}
    raw = {name: as_batches(data, options.batch_size, name=name) for name, data in given.items()}
    sources = {name: preprocessed(batches, model, name) for name, batches in raw.items()}
    labels = {name: check_data(raw[name], sources[name], model, head, name) for name in given}
    if options.probe:
        _check_for_probe(sources["train"], labels["train"], raw["train"], head)
    shuffled = as_batches(
        train, options.batch_size, shuffle=True, seed=options.seed, mix=options.mix, classes=head.layer.units
    )
    replicas = replicas_of(model)
    return TrainingData(
        in_order=even_batches(sources["train"], replicas),
        shuffled=even_batches(preprocessed(shuffled, model), replicas),
        held_out=even_batches(sources.get("validation_data"), replicas),
        one_hot=are_rows(labels["train"]),
        class_weight=class_weights(options.class_weight, raw["train"], head),
        sources=sources,
        head=head,
    )


def _check_for_probe(batches, labels, raw, head):
    """Reject data that the probe cannot be trained on, unless finding this out would take a pass over a stream."""
    if are_weighted(batches, "train"):
        raise InputError(
            "The data yields sample weights, which the linear probe does not support. Pass `class_weight`, or "
            "probe=False."
        )
    whole = isinstance(raw, keras.utils.PyDataset) and hasattr(raw, "labels")
    if whole and head.task != "multilabel" and len(found := np.unique(class_numbers(labels))) < 2:
        raise InputError(
            f"`train` must contain images of at least two classes. Received: images of class {found[0]} only."
        )
