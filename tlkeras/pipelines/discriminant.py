"""Linear discriminant analysis with shrunk covariances, calibrated by temperature scaling: a closed-form probe."""

import numpy as np
from scipy.linalg import solve
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import validate_data

from tlkeras.pipelines.scaling import fitted_scaler

#: Temperatures to choose from, the most cautious first. With a thousand features, the scores are far too large.
TEMPERATURES = tuple(np.geomspace(100, 1, 25).tolist())

#: Temperature to use if there are too few images to choose one; suits a thousand features of several hundred images.
FALLBACK_TEMPERATURE = 20.0


class ShrunkDiscriminant(LinearDiscriminantAnalysis):
    """A faster equivalent of `LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")`.

    The within-class covariance is a diagonal matrix plus `rows.T @ rows`, where `rows` has one row per image. If there
    are fewer images than features, the matrix to invert therefore has only one dimension per image. scikit-learn
    instead computes one covariance per class, and factors the mean of these covariances in all dimensions.

    Args:
        temperature: Number by which scores are divided. A larger temperature makes probabilities less certain but does
            not change the predicted classes.
        priors: Array of shape `(classes,)`: the expected class proportions. Defaults to None, which uses the class
            proportions of the training images.

    Example:

    >>> X, y = np.array([[0.0, 0.1], [0.2, 0.0], [1.0, 1.2], [1.1, 0.9]]), [0, 0, 1, 1]
    >>> ShrunkDiscriminant().fit(X, y).predict([[0.0, 0.0], [2.0, 2.0]]).tolist()
    [0, 1]

    Reference: Ledoit and Wolf, 2004, https://doi.org/10.1016/S0047-259X(03)00096-4
    """

    def __init__(self, temperature: float = 1.0, priors=None):
        super().__init__(solver="lsqr", shrinkage="auto", priors=priors)
        self.temperature = temperature

    def fit(self, X, y):
        """Estimate the class means and the shared covariance.

        Args:
            X: Features of shape `(images, features)`.
            y: Labels of shape `(images,)`, with at least two classes.

        Returns:
            The fitted classifier.
        """
        X, y = validate_data(self, X, y, dtype="float64")
        self.classes_, numbers = np.unique(y, return_inverse=True)
        counts = np.bincount(numbers)
        self.priors_ = counts / len(y) if self.priors is None else np.asarray(self.priors, "float64")
        self.means_ = np.stack([X[numbers == number].mean(axis=0) for number in range(len(counts))])
        rows, diagonal = _shrunk_covariance(X - self.means_[numbers], numbers, self.priors_)
        coefficients = _solved(rows, diagonal, self.means_.T).T
        intercepts = np.log(self.priors_) - 0.5 * (self.means_ * coefficients).sum(axis=1)
        if len(counts) == 2:
            coefficients, intercepts = coefficients[1:] - coefficients[:1], intercepts[1:] - intercepts[:1]
        self.coef_, self.intercept_ = coefficients / self.temperature, intercepts / self.temperature
        return self


def discriminant_paths(data, parts, temperatures, class_weight=None, at_least=0):
    """Fit a discriminant without the held-out images, and classify these images at each temperature.

    Args:
        data: `LabeledFeatures`, with one label per image.
        parts: int arrays: the indices of the images to hold out, in parts that are evaluated separately.
        temperatures: Temperatures by which scores are divided.
        class_weight: As in `tlkeras.linear_probe`.
        at_least: Ignored; present for compatibility with `probability_paths`.

    Returns:
        List with one float64 array per part, of shape `(temperatures, images of the part, classes)`.
    """
    held_out = np.concatenate(parts)
    train = np.setdiff1d(np.arange(len(data.labels)), held_out)
    known = np.unique(data.numbers[train])
    paths = np.zeros((len(temperatures), len(held_out), len(data.classes)))
    if len(known) == 1:
        paths[..., known[0]] = 1
    else:
        probe = _pipeline(data, train, 1.0, class_weight)
        scores = probe.decision_function(data.features[held_out])
        if scores.ndim == 1:
            scores = np.stack([np.zeros(len(scores)), scores], axis=1)
        paths[..., known] = softmax(scores / np.reshape(temperatures, (-1, 1, 1)), axis=-1)
    return np.split(paths, np.cumsum([len(rows) for rows in parts])[:-1], axis=1)


def fit_discriminant(data, temperature, class_weight=None):
    """Fit the scaler and the discriminant with a given temperature on all images.

    Args:
        data: `LabeledFeatures`, with one label per image.
        temperature: Number by which scores are divided.
        class_weight: As in `tlkeras.linear_probe`.

    Returns:
        A fitted `sklearn.pipeline.Pipeline`.
    """
    return _pipeline(data, slice(None), temperature, class_weight)


def _pipeline(data, rows, temperature, class_weight):
    """Fit a pipeline on some of the images; class weights become priors."""
    labels = data.labels[rows]
    _, numbers = np.unique(labels, return_inverse=True)
    weights = np.bincount(numbers, data.weights(class_weight, rows))
    classifier = ShrunkDiscriminant(temperature, priors=weights / weights.sum())
    scaler = fitted_scaler(data.features[rows])
    classifier.fit(scaler.transform(data.features[rows]), labels)
    return Pipeline([("scaler", scaler), ("classifier", classifier)])


def _shrunk_covariance(centered, numbers, priors):
    """Return the mean of the classes' shrunk covariances; like scikit-learn, standardize each class before shrinking.

    Args:
        centered: Features minus their class means, of shape `(images, features)`.
        numbers: Class index of each image.
        priors: Weight of each class.

    Returns:
        `(rows, diagonal)`, of shapes `(images, features)` and `(features,)`: the covariance is
        `rows.T @ rows + np.diag(diagonal)`.
    """
    rows, diagonal = np.empty_like(centered), np.zeros(centered.shape[1])
    for number, prior in enumerate(priors):
        of_class = numbers == number
        images = centered[of_class]
        scales = images.std(axis=0)
        scales[scales < 1e-12] = 1
        shrinkage, variance = _ledoit_wolf(images / scales)
        rows[of_class] = images * np.sqrt(prior * (1 - shrinkage) / len(images))
        diagonal += prior * shrinkage * variance * scales**2
    return rows, np.maximum(diagonal, 1e-6 * diagonal.mean()) if diagonal.any() else np.ones(len(diagonal))


def _ledoit_wolf(images):
    """Return the shrinkage of a covariance and the mean variance to shrink toward; `images` must be centered."""
    count, features = images.shape
    squares = (images**2).sum(axis=1)
    variance = squares.sum() / count / features
    product = ((images @ images.T) ** 2).sum() / count**2  # the sum of the squared entries of the covariance
    beta = ((squares**2).sum() / count - product) / count
    delta = product - features * variance**2
    shrinkage = min(beta, delta) / delta if min(beta, delta) > 0 else 0.0
    return (shrinkage if shrinkage > 1e-9 else 0.0), variance  # for two images it is 0, up to rounding


def _solved(rows, diagonal, right):
    """Solve `(rows.T @ rows + np.diag(diagonal)) @ x = right`, working in the smaller of the two dimensions."""
    if len(rows) >= rows.shape[1]:
        return solve(rows.T @ rows + np.diag(diagonal), right, assume_a="pos")
    scaled, start = rows / diagonal, right / diagonal[:, None]
    inner = np.eye(len(rows)) + scaled @ rows.T
    return start - scaled.T @ solve(inner, rows @ start, assume_a="pos")
