"""Reliability of a run's predictions: calibration of probabilities, and recognition of unknown classes."""

from tlkeras.errors import InputError
from tlkeras.utils.validation import invalid

#: The answer for an image that belongs to none of the known classes.
UNKNOWN = "unknown"


def check_trust(strategy, calibrate, reject, multilabel):
    """Check the arguments `calibrate` and `reject` of `fit` before any image is read.

    Raises:
        InputError: `calibrate` or `reject` cannot be used with the other arguments.
    """
    for name, value in (("calibrate", calibrate), ("reject", reject)):
        if not isinstance(value, bool):
            raise invalid(name, value, "be True or False")
        if value and multilabel:
            raise invalid(
                name, value, "be False if images have several labels", "Each label already has its own threshold."
            )
    if reject and strategy != "features":
        raise invalid(
            "strategy",
            strategy,
            "be 'features' with reject=True",
            "Fine-tuning removes features that distinguish unknown classes.",
        )


def check_classes(images, calibrate, reject, probe):
    """Check that loaded images work with `calibrate`, `reject` and `probe`.

    Raises:
        InputError: Images have several labels, or a class is named `"unknown"`, which is the prediction for images of
            unknown classes.
    """
    if probe != "logistic" and images.train.multilabel:
        raise invalid("probe", probe, "be 'logistic' if images may have several labels")
    if (calibrate or reject) and images.train.multilabel:
        raise InputError(
            "`calibrate` and `reject` need one label per image, but these images have several or none. Use neither; "
            "each label already has its own threshold."
        )
    if reject and UNKNOWN in images.class_names:
        raise InputError(
            f"The class name {UNKNOWN!r} is reserved with reject=True for images of unknown classes. Rename the class, "
            "or leave out its images."
        )


def measure_calibration(trained, calibrate, seed=0):
    """Measure the calibration of probabilities and, on request, scale the model's head with a temperature.

    Args:
        trained: `tlkeras.selection.outcome.Trained`, with the model and its measured predictions. If `calibrate` is
            true, the trained model is changed in place.
        calibrate: Whether to scale the probabilities.
        seed: Seed for the folds and for the bootstrap. Defaults to 0.

    Returns:
        Dict for `metrics.json`: `temperature`, `before` and `after`. The latter two contain the fields of
        `tlkeras.Reliability` before and after scaling. Without scaling, `temperature` and `after` are None. If an image
        may have several labels, the result is None instead of a dict.
    """
    from tlkeras.evaluation.calibration import fit_temperature, reliability, scale_temperature
    from tlkeras.evaluation.temperature import cross_fitted, scale_head

    images, probabilities = trained.measured.images, trained.measured.probabilities
    if images.multilabel:
        return None
    options = {"groups": images.groups, "seed": seed}
    before = reliability(images.labels, probabilities, **options).to_dict()
    if not calibrate:
        return {"temperature": None, "before": before, "after": None}
    chosen_on = trained.calibration or trained.measured
    temperature = fit_temperature(chosen_on.images.labels, chosen_on.probabilities)
    scale_head(trained.model, temperature)
    if trained.calibration is None:  # chosen on the measured images, so cross-fit
        scaled = cross_fitted(images.labels, probabilities, images.groups, seed=seed)
    else:
        scaled = scale_temperature(probabilities, temperature)
    return {
        "temperature": temperature,
        "before": before,
        "after": reliability(images.labels, scaled, **options).to_dict(),
    }


class UnknownScoring:
    """Engine that appends the unknown score of each image to its probabilities.

    Args:
        engine: Engine that takes pixels and returns an array of probabilities followed by features.
        classes: Number of known classes, which is also the number of probabilities per image.
        rejector: `tlkeras.Rejector` that computes the unknown scores.
    """

    def __init__(self, engine, classes, rejector):
        self.engine, self.classes, self.rejector = engine, classes, rejector
        self.batch_size = engine.batch_size

    def __call__(self, pixels):
        """Return a float32 array of shape `(images, classes + 1)`."""
        import numpy as np  # `fit --help` imports this module and does not need NumPy

        answers = self.engine(pixels)
        # Score images one by one. Rounding in a matrix product depends on its size, and an image's score must not
        # depend on the other images.
        scores = [self.rejector.unknown_scores(features[None])[0] for features in answers[:, self.classes :]]
        return np.column_stack([answers[:, : self.classes], scores]).astype("float32")


def trust_text(metrics):
    """Yield the sentences about calibration and unknown images in a run's summary.

    Args:
        metrics: Contents of a run's `metrics.json`.
    """
    calibration, rejection = metrics.get("calibration"), metrics.get("rejection")
    if calibration and calibration["temperature"]:
        yield _scaled_text(calibration)
    elif calibration and not _includes_zero(calibration["before"]["overconfidence"]):
        before = calibration["before"]
        yield (
            f"The probabilities are miscalibrated: the mean confidence is {before['confidence']:.2f}, but the "
            f"accuracy is {before['accuracy']:.2f}. Use --calibrate to scale the probabilities."
        )
    if rejection:
        caught = f"{rejection['caught']:.0%} ± {rejection['standard_error']:.0%}"
        yield (
            f"With each class left out once, {caught} of the images of unknown classes were recognized as {UNKNOWN!r}, "
            f"with {rejection['false_alarms']:.0%} false alarms."
        )
        if rejection["caught"] - 2 * rejection["standard_error"] < rejection["false_alarms"]:
            yield "This is hardly better than chance, so do not rely on it for these images."


def _includes_zero(interval):
    return interval[0] <= 0 <= interval[1]


def _scaled_text(calibration):
    """Return sentences on the effect of scaling, and on whether it could be due to chance."""
    before, after = calibration["before"], calibration["after"]
    errors = [one["expected_calibration_error"] for one in (before, after)]
    text = (
        f"The probabilities are scaled with a temperature of {calibration['temperature']:.2f}. The expected "
        f"calibration error is {errors[0]:.3f} before and {errors[1]:.3f} after scaling"
    )
    if max(errors) <= after["noise_limit"]:
        return f"{text}. Errors up to {after['noise_limit']:.3f} can be due to chance with {after['images']} images."
    return f"{text}; about {after['noise']:.3f} is expected by chance."
