"""Leave-one-out ridge regression in closed form, to score many candidates quickly."""

import numpy as np

from tlkeras.pipelines.scaling import fitted_scaler

#: Ridge penalties to choose from, as multiples of the mean eigenvalue of the features.
PENALTIES = 10.0 ** np.arange(-2, 2.1, 0.5)


def leave_one_out(features, targets, groups):
    """Predict the targets of each image by ridge regression on all images outside its group.

    No model is refitted: if a group is left out, the residuals of its images are `(I - H)⁻¹ r`, where `H` is the
    group's block of the matrix that maps targets to predictions, and `r` is the group's residuals in the fit to all
    images. The penalty is chosen to minimize the squared error of these predictions.

    Args:
        features: Features of shape `(images, features)`; this function standardizes them.
        targets: Array of shape `(images, outputs)`, such as 1 for the class of an image and -1 for all other classes.
        groups: Int array of shape `(images,)`; images in the same group are left out together.

    Returns:
        float64 array of shape `(images, outputs)`: for each image, the prediction of a model fitted without the image's
        group, except that features are standardized using all images.

    Example:

    >>> leave_one_out([[0.0], [1.0], [2.0], [3.0]], [[-1], [-1], [1], [1]], np.arange(4)).round(1).ravel().tolist()
    [-1.3, -0.1, 0.1, 1.3]

    Reference: Cook and Weisberg, 1982, Residuals and Influence in Regression, section 2.2.
    """
    targets = np.asarray(targets, "float64")
    features = np.asarray(features, "float64")
    axes, lengths = _principal_axes(fitted_scaler(features).transform(features))
    centered = targets - targets.mean(axis=0)
    along = axes.T @ centered
    members = _members(groups)
    best, lowest = None, np.inf
    for penalty in PENALTIES * lengths.sum() / len(targets):
        shrinkage = lengths / (lengths + penalty)
        residuals = _left_out(axes, shrinkage, centered - axes @ (shrinkage[:, None] * along), members)
        error = (residuals**2).sum()
        if error < lowest:
            best, lowest = targets - residuals, error
    return best


def _principal_axes(table):
    """Return orthonormal axes of shape `(images, rank)` and the squared length along each axis, float64 `(rank,)`."""
    wide = table.shape[0] <= table.shape[1]
    values, vectors = np.linalg.eigh(table @ table.T if wide else table.T @ table)
    kept = values > values[-1] * 1e-10
    values, vectors = values[kept], vectors[:, kept]
    return (vectors if wide else table @ vectors / np.sqrt(values)), values


def _left_out(axes, shrinkage, residuals, members):
    """Convert residuals of the fit to all images into residuals of fits that leave out each image's group."""
    leverage = 1 / len(axes) + (axes**2) @ shrinkage
    without = residuals / (1 - leverage)[:, None]
    for rows in members:
        own = 1 / len(axes) + (axes[rows] * shrinkage) @ axes[rows].T
        without[rows] = np.linalg.solve(np.eye(len(rows)) - own, residuals[rows])
    return without


def _members(groups):
    """List the images of each group that has more than one image."""
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(np.asarray(groups)[order], return_index=True)
    return [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]
