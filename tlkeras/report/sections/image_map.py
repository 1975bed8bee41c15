"""The map of the images: a two-dimensional plot of features, in which similar images are close together."""

from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from tlkeras.report.charts import legend_mark, map_chart
from tlkeras.report.wording import percent, plain

MOST_POINTS = 1500
_MOST_KINDS, _MOST_TITLES = 20, 600


def image_map(facts):
    """Return the chart, its legend and the method used, or None if there are no features or fewer than three images."""
    if facts.features is None or len(facts.features) < 3:
        return None
    count = len(facts.features)
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:MOST_POINTS])
    points, method, kept = plane(np.asarray(facts.features)[chosen])
    kinds, names = None, []
    if not facts.multilabel and len(facts.class_names) <= _MOST_KINDS:
        kinds, names = facts.labels[chosen], facts.class_names
    titles = [_title(facts, index) for index in chosen] if len(chosen) <= _MOST_TITLES else None
    label = f"Map of {len(chosen)} images by {method}; wrong predictions have a ring."
    return {
        "chart": map_chart(points, kinds, ~facts.right[chosen], titles, label),
        "legend": [(legend_mark(number), name) for number, name in enumerate(names)],
        "method": method,
        "kept": None if kept is None else percent(kept, 0),
        "count": len(chosen),
        "of": count,
    }


def plane(features):
    """Reduce features to two dimensions with UMAP if it is installed, else with principal components.

    Args:
        features: Array of shape `(images, features)`. Each row is first scaled to length 1.

    Returns:
        `(points, method, kept)`: an array of shape `(images, 2)`, the name of the method, and the fraction of the
        variance that the points preserve, which is None for UMAP.
    """
    features = np.asarray(features, "float32")
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    if find_spec("umap") is not None and len(features) > 15:
        from umap import UMAP

        return UMAP(random_state=0, n_jobs=1).fit_transform(features), "UMAP", None
    from sklearn.decomposition import PCA

    if min(features.shape) < 2 or not np.ptp(features, axis=0).any():
        return np.column_stack([features[:, 0], np.zeros(len(features))]), "principal components", None
    pca = PCA(2, svd_solver="randomized", random_state=0)
    with threadpool_limits(1, user_api="blas"):  # for matrices this small, more threads are slower
        points = pca.fit_transform(features)
    return points, "principal components", float(pca.explained_variance_ratio_.sum())


def _title(facts, index):
    if facts.multilabel:
        return plain(facts.paths[index])
    answer = facts.class_names[facts.decided[index]]
    given = facts.class_names[facts.labels[index]]
    verdict = f"{given}, correct" if facts.right[index] else f"{given}, predicted {answer}"
    return plain(f"{facts.paths[index]}: {verdict}")
