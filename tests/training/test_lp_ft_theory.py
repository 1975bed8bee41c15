"""The two-layer linear network of the LP-FT paper: why `fine_tune` fits the head before it trains the rest.

Kumar et al., 2022, https://arxiv.org/abs/2202.10054, section 3: targets are linear in the features `B* x`; the
pretrained extractor is near `B*`; training inputs lie in a subspace, and inputs out of distribution do not.
"""

import numpy as np

SEEDS, INPUTS, FEATURES, SUBSPACE, IMAGES = 20, 40, 4, 16, 200
PRETRAINING_ERROR, RATE, STEPS = 0.05, 0.05, 4000


def _orthonormal_rows(rng, rows, columns):
    return np.linalg.qr(rng.normal(size=(columns, rows)))[0].T


def _fine_tune(head, features, x, y):
    """Gradient descent on the mean squared error of `head @ features @ x` over both layers."""
    for _ in range(STEPS):
        residual = x @ features.T @ head - y
        gradient = residual @ x / len(x)
        head, features = head - RATE * features @ gradient, features - RATE * np.outer(head, gradient)
    return features.T @ head


def _errors(seed):
    """Mean squared errors `(in, out of distribution)` of the probe, fine-tuning and LP-FT.

    Inputs are normal, so the error is the squared distance of the whole linear map, within the subspace or everywhere.
    """
    rng = np.random.default_rng(seed)
    true_features = _orthonormal_rows(rng, FEATURES, INPUTS)
    head = rng.normal(size=FEATURES)
    head /= np.linalg.norm(head)
    shifted = true_features + PRETRAINING_ERROR * rng.normal(size=true_features.shape)
    pretrained = np.linalg.qr(shifted.T)[0].T
    basis = _orthonormal_rows(rng, SUBSPACE, INPUTS)
    x = rng.normal(size=(IMAGES, SUBSPACE)) @ basis
    target = true_features.T @ head
    y = x @ target
    probe = np.linalg.lstsq(x @ pretrained.T, y, rcond=None)[0]
    random = rng.normal(size=FEATURES) / np.sqrt(FEATURES)
    maps = {
        "probe": pretrained.T @ probe,
        "fine-tuning": _fine_tune(random, pretrained, x, y),
        "LP-FT": _fine_tune(probe, pretrained, x, y),
    }
    return {name: (np.sum((basis @ (m - target)) ** 2), np.sum((m - target) ** 2)) for name, m in maps.items()}


def test_lp_ft_beats_fine_tuning_out_of_distribution_and_the_probe_in_distribution_in_every_seed():
    found = [_errors(seed) for seed in range(SEEDS)]
    assert sum(errors["LP-FT"][1] < errors["fine-tuning"][1] for errors in found) == SEEDS
    assert sum(errors["LP-FT"][0] < errors["probe"][0] for errors in found) == SEEDS
