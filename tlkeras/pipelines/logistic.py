"""Logistic regressions along a path of C, each starting where the last one ended: many are fitted to choose C."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

#: Largest slope at which a fit ends, in preconditioned units. On two paths of five values of C, losses were within
#: 0.02% of the converged ones up to C = 0.1. A limit ten times smaller took twice as long.
TOLERANCE = 1e-4

#: Iterations of L-BFGS, enough for the weakest penalty on a thousand features.
MAX_ITERATIONS = 2000

#: Mean curvature of the loss in training, relative to that of the start, where all images have the same answer.
_CURVATURE = 0.3


def regression_path(rows, targets, weights, Cs, exclusive):
    """Fit a logistic regression for each C, with the objective of scikit-learn's `LogisticRegression`.

    Unlike scikit-learn's solver, L-BFGS works in units in which the loss is about equally curved in all directions,
    which took a third of the iterations on two paths of five values of C. For that, columns should be principal axes.

    Args:
        rows: float64 array of shape `(images, features)`.
        targets: float64 array of zeros and ones of shape `(images, columns)`.
        weights: float64 array of shape `(images, 1)` or `(images, columns)`.
        Cs: Values of C; ascending ones are fastest.
        exclusive: Whether each image has one of several labels (softmax); otherwise columns are independent (sigmoid).

    Yields:
        A function per C, from rows to probabilities of shape `(images, columns)`.

    Example:

    >>> rows, targets = np.array([[-1.0], [0.5], [1.0]]), np.array([[0.0], [1.0], [1.0]])
    >>> weak, strong = regression_path(rows, targets, np.ones((3, 1)), [0.01, 100], exclusive=False)
    >>> bool(weak(rows)[2, 0] < strong(rows)[2, 0])
    True
    """
    total = weights.sum(axis=0)
    shares = targets.mean(axis=0)
    curvature = max(_CURVATURE * float((shares * (1 - shares)).mean()), 1e-6)
    spread = np.square(rows).mean(axis=0)
    parameters = np.zeros((rows.shape[1] + 1, targets.shape[1]))  # the last row is the intercepts
    for C in Cs:
        penalty = 1 / (C * total)
        scales = np.sqrt(np.append(curvature * spread + penalty.mean(), curvature))[:, None]
        objective = _objective(rows, targets, weights / total, penalty, scales, exclusive)
        options = {"maxiter": MAX_ITERATIONS, "gtol": TOLERANCE, "ftol": 1e-10}
        result = minimize(objective, (parameters * scales).ravel(), jac=True, method="L-BFGS-B", options=options)
        parameters = result.x.reshape(parameters.shape) / scales
        yield _predictor(parameters, exclusive)


def _objective(rows, targets, weights, penalty, scales, exclusive):
    """Return the function from scaled parameters to the penalized loss and its gradient."""

    def loss_and_gradient(scaled):
        parameters = scaled.reshape(len(scales), -1) / scales
        coefficients, scores = parameters[:-1], rows @ parameters[:-1] + parameters[-1]
        if exclusive:
            shares, logarithms = _softmax(scores)
            residuals, losses = shares - targets, logarithms - (targets * scores).sum(axis=1, keepdims=True)
        else:
            residuals, losses = expit(scores) - targets, np.logaddexp(0, scores) - targets * scores
        residuals *= weights
        loss = (weights * losses).sum() + 0.5 * (penalty * coefficients**2).sum()
        gradient = np.vstack([rows.T @ residuals + penalty * coefficients, residuals.sum(axis=0)]) / scales
        return loss, gradient.ravel()

    return loss_and_gradient


def _predictor(parameters, exclusive):
    def predict(rows):
        scores = rows @ parameters[:-1] + parameters[-1]
        return _softmax(scores)[0] if exclusive else expit(scores)

    return predict


def _softmax(scores):
    """Return the softmax of each row and the logarithm of the sum of its exponentials; faster than SciPy's."""
    largest = scores.max(axis=1, keepdims=True)
    powers = np.exp(scores - largest)
    sums = powers.sum(axis=1, keepdims=True)
    return powers / sums, np.log(sums) + largest
