"""Compute class weights for the probe and for training."""

from numbers import Real

import numpy as np

from tlkeras.training.steps.data import all_labels, class_numbers
from tlkeras.utils.validation import invalid


def class_weights(choice, batches, head):
    """Return the weight of each class or, for a multi-label head, of both targets of each label.

    Args:
        choice: `None`; `"balanced"` for weights inversely proportional to the frequency of each class; or a dict that
            maps class indices to weights, in which missing classes have a weight of 1.
        batches: Training batches.
        head: The classifier's `tlkeras.models.heads.Head`.

    Returns:
        None without class weights. For mutually exclusive classes, a dict that maps class indices to weights, as `fit`
        accepts it. For a multi-label head, a float array of shape `(2, labels)`: the weights of negative targets, then
        those of positive targets. For such a head, a dict `choice` sets only the weights of positive targets;
        `"balanced"` weights both positive and negative targets.

    Raises:
        InputError: `choice` is not one of the options above.
    """
    if choice is None:
        return None
    classes = max(head.layer.units, 2)
    if choice != "balanced":
        fits = isinstance(choice, dict) and all(isinstance(one, Real) and one >= 0 for one in choice.values())
        if not fits or not all(number in range(classes) for number in choice):
            raise invalid(
                "class_weight",
                choice,
                f"be None, 'balanced' or a dict that maps class indices (0 to {classes - 1}) to nonnegative weights",
            )
        weights = {number: float(choice.get(number, 1)) for number in range(classes)}
        return np.array([[1.0] * classes, list(weights.values())]) if head.task == "multilabel" else weights
    labels = all_labels(batches)
    if head.task == "multilabel":
        counts = np.stack([(labels < 0.5).sum(axis=0), (labels >= 0.5).sum(axis=0)])
        return np.where((counts > 0).all(axis=0), len(labels) / (2 * np.maximum(counts, 1)), 1.0)
    found, counts = np.unique(class_numbers(labels), return_counts=True)
    balanced = dict(zip(found.tolist(), (len(labels) / (len(found) * counts)).tolist(), strict=True))
    return {number: balanced.get(number, 1.0) for number in range(classes)}
