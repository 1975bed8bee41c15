"""Verify an exported file: compare its outputs with those of Keras for the same images."""

import numpy as np

#: Default limits on the loss of accuracy, and on the fraction of changed answers if the accuracy is unknown.
MAX_DROP, MAX_CHANGED = 0.01, 0.03


def compare(answers, expected, subject):
    """Compare the outputs of an exported file with those of Keras.

    Args:
        answers: Outputs of the file, float32 array `(images, classes)`. If the labels have an `unknown_threshold`, the
            array has one more column at the end, the unknown scores.
        expected: Outputs of Keras, an array of the same shape.
        subject: `tlkeras.exporters.subject.Subject` that was exported.

    Returns:
        Dict with `agreement` (fraction of images with the same predicted class; with several labels per image, fraction
        of equal decisions) and `largest_difference` (between a probability from the file and the one from Keras). With
        unknown scores, also `unknown_agreement` (fraction of images for which the file and Keras agree on whether they
        are unknown), `unknown` and `keras_unknown` (fractions of images classified as unknown) and `unknown_interval`
        (95% interval of the difference between these two fractions, file minus Keras). If the labels are known, also
        `accuracy`, `keras_accuracy`, `drop` (Keras minus file), `drop_interval` (95% interval of the paired
        difference), with one label per image `lost` and `gained` (numbers of images that only Keras, or only the file,
        classifies correctly), and `classes` (one dict per class with `name`, `images`, and the fractions of its images
        that `keras` and `export` classify correctly).

    Example:

    >>> from types import SimpleNamespace
    >>> subject = SimpleNamespace(truth=np.array([0, 1]), labels={"class_names": ["cat", "dog"]})
    >>> result = compare(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([[0.8, 0.2], [0.4, 0.6]]), subject)
    >>> result["agreement"], result["drop"], result["classes"][1]
    (0.5, 0.5, {'name': 'dog', 'images': 1, 'keras': 1.0, 'export': 0.0})
    """
    finite, classes = np.isfinite(answers).all(), len(subject.labels["class_names"])
    difference = np.abs(answers - expected)[:, :classes].max()
    decided, decided_by_keras = _decisions(answers, subject), _decisions(expected, subject)
    unknown, unknown_in_keras = _unknown(answers, subject), _unknown(expected, subject)
    result = {"agreement": float(np.mean(decided == decided_by_keras))}
    result["largest_difference"] = float(difference) if finite else float("inf")
    if unknown is not None:
        result["unknown_agreement"] = float(np.mean(unknown == unknown_in_keras))
        result["unknown"], result["keras_unknown"] = float(unknown.mean()), float(unknown_in_keras.mean())
        result["unknown_interval"] = _interval(unknown.astype("float64") - unknown_in_keras)
    if subject.truth is None:
        return result
    right, right_in_keras = decided == subject.truth, decided_by_keras == subject.truth
    lost = right_in_keras.astype("float64") - right
    lost = lost if lost.ndim == 1 else lost.mean(axis=1)
    result["accuracy"], result["keras_accuracy"] = float(right.mean()), float(right_in_keras.mean())
    result["drop"], result["drop_interval"] = float(lost.mean()), _interval(lost)
    if right.ndim == 1:
        result["lost"], result["gained"] = int((lost > 0).sum()), int((lost < 0).sum())
    names = subject.labels["class_names"]
    classes = [(subject.truth == number) if right.ndim == 1 else subject.truth[:, number] > 0
               for number in range(len(names))]  # fmt: skip
    result["classes"] = [
        {"name": name, "images": int(chosen.sum()), "keras": _share(right_in_keras, chosen, number),
         "export": _share(right, chosen, number)}
        for number, (name, chosen) in enumerate(zip(names, classes, strict=True))
    ]  # fmt: skip
    return result


def failure(result, max_drop):
    """Return the reason why an export is not good enough, or None if it is good enough.

    If `max_drop` is given, it is a strict limit. Otherwise, an export fails if accuracy drops by more than one
    percentage point and the 95% interval of the drop excludes 0. If the labels are unknown, up to 3% of the predictions
    may change. The fraction of images classified as unknown may change by up to 3 percentage points, or by more if the
    95% interval of the change includes 0.

    Args:
        result: The result of `compare`.
        max_drop: Largest allowed drop in accuracy, as a fraction, or None for the default rule.

    Example:

    >>> failure({"agreement": 0.9, "largest_difference": 0.4}, None)
    '10.0% of the answers change'
    >>> failure({"agreement": 0.9, "largest_difference": 0.4, "drop": 0.03, "drop_interval": [-0.01, 0.07]}, None)
    """
    if not np.isfinite(result["largest_difference"]):
        return "some of its outputs are not finite numbers"
    if "unknown" in result:
        change, (low, high) = result["unknown"] - result["keras_unknown"], result["unknown_interval"]
        if abs(change) > MAX_CHANGED and not low <= 0 <= high:
            return f"{result['unknown']:.1%} of the images are called unknown, {result['keras_unknown']:.1%} in Keras"
    if "drop" not in result:
        changed, limit = 1 - result["agreement"], MAX_CHANGED if max_drop is None else max_drop
        return f"{changed:.1%} of the answers change" if changed > limit else None
    limit = MAX_DROP if max_drop is None else max_drop
    beyond = result["drop"] > limit and (max_drop is not None or result["drop_interval"][0] > 0)
    drop = f"accuracy drops by {result['drop']:.1%}, from {result['keras_accuracy']:.3f}" if beyond else None
    return drop and f"{drop} to {result['accuracy']:.3f}"


def _decisions(answers, subject):
    """Return the predicted class of each image or, for several labels, which ones reach their thresholds."""
    probabilities, thresholds = answers[:, : len(subject.labels["class_names"])], subject.labels.get("thresholds")
    return probabilities.argmax(axis=1) if thresholds is None else probabilities >= np.asarray(thresholds)


def _unknown(answers, subject):
    """Return a boolean array that is True for images classified as unknown, or None if there are no unknown scores."""
    limit = subject.labels.get("unknown_threshold")
    return None if limit is None else answers[:, -1] >= limit


def _interval(lost):
    """Return the 95% interval of the mean of paired differences in [-1, 1].

    One loss and one gain are added (Agresti and Min, 2005), so that the interval has a positive width even if none of a
    few images changes.
    """
    count = len(lost) + 2
    mean = float(lost.sum()) / count
    half = 1.96 * float(np.sqrt(max(0.0, (np.square(lost).sum() + 2) / count - mean**2) / count))
    return [round(mean - half, 6), round(mean + half, 6)]


def _share(right, chosen, number):
    """Return the fraction of correct predictions for the chosen images, or None if no images are chosen."""
    column = right if right.ndim == 1 else right[:, number]
    return float(column[chosen].mean()) if chosen.any() else None
