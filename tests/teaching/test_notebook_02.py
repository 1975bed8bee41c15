"""Exercises of `02_what_the_network_sees`: right answers of any kind pass, wrong ones do not."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from tlkeras.data.dataset import ImageSplit
from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize("prediction, right", [(30, True), (22, True), (34.5, True), (70, False), ("30", False)])
def test_02_1_takes_a_guess_within_ten_points(prediction, right):
    if right:
        check("02.1", prediction, 0.29)
    else:
        with pytest.raises(NotYet):
            check("02.1", prediction, 0.29)


def _by_hand(features, query, k):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return [i for i in np.argsort(-(unit @ unit[query])) if i != query][:k]


def _by_scikit_learn(features, query, k):
    alike = cosine_similarity(features)[query]
    alike[query] = -np.inf
    return np.argsort(alike)[::-1][:k]


def _by_neighbors(features, query, k):
    search = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(features)
    return search.kneighbors(features[[query]], return_distance=False)[0, 1:]


@pytest.mark.parametrize("answer", [_by_hand, _by_scikit_learn, _by_neighbors])
def test_02_2_takes_any_function_that_finds_the_nearest(answer, capsys):
    check("02.2", answer)
    assert capsys.readouterr().out.startswith("02.2 is right")


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda f, q, k: np.argsort(-cosine_similarity(f)[q])[:k], "query itself"),
        (lambda f, q, k: [i for i in np.argsort(-(f @ f[q])) if i != q][:k], "length|most similar"),
        (lambda f, q, k: _by_hand(f, q, k)[::-1], "not in order of similarity"),
        (lambda f, q, k: _by_hand(f, q, k + 1), "return k numbers"),
    ],
    ids=["with the query", "no lengths", "reversed", "one more"],
)
def test_02_2_says_what_is_wrong(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("02.2", answer)


def test_02_3_compares_neighbors_with_chance(capsys):
    labels = np.repeat([0, 1, 2, 3], 6)
    images = ImageSplit(labels, labels, tuple("abcd"), (8, 8), "stretch", np.arange(24), labels)
    good = np.eye(4)[labels] + np.random.default_rng(0).normal(size=(24, 4)) / 10
    for right in (good, 1000 * good + 5, list(np.eye(4)[labels])):
        check("02.3", right, images)
    assert "By chance it would be 25%" in capsys.readouterr().out
    with pytest.raises(NotYet, match="by chance"):
        check("02.3", np.random.default_rng(1).normal(size=(24, 4)), images)
    with pytest.raises(NotYet, match="one row of features per image, 24"):
        check("02.3", good[:5], images)
    with pytest.raises(NotYet, match="finite"):
        check("02.3", good * np.nan, images)
