"""Predictions without a group, in closed form, are those of models refitted without it."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from tlkeras.selection import leave_one_out as room
from tlkeras.selection.leave_one_out import leave_one_out


def case(images, features, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=images)
    table = generator.normal(size=(images, features)) * generator.uniform(1, 10, features)
    table[:, :3] += 2 * np.eye(3)[labels]
    return table, 2.0 * np.eye(3)[labels] - 1


@pytest.mark.parametrize("shape", [(40, 8), (30, 100)])
@pytest.mark.parametrize("grouped", [False, True])
def test_predictions_equal_those_of_models_refitted_without_the_group(shape, grouped, monkeypatch):
    table, targets = case(*shape)
    groups = np.arange(len(table)) // 3 if grouped else np.arange(len(table))
    scaled = StandardScaler().fit_transform(table)
    monkeypatch.setattr(room, "PENALTIES", np.array([0.3]))
    penalty = 0.3 * (scaled**2).sum() / len(scaled)
    expected = np.empty_like(targets)
    for group in np.unique(groups):
        out = groups == group
        expected[out] = Ridge(penalty).fit(scaled[~out], targets[~out]).predict(scaled[out])
    np.testing.assert_allclose(leave_one_out(table, targets, groups), expected, atol=1e-9)


def test_the_penalty_is_the_one_that_scikit_learn_chooses():
    table, targets = case(60, 20, seed=1)
    scaled = StandardScaler().fit_transform(table)
    penalties = room.PENALTIES * (scaled**2).sum() / len(scaled)
    chosen = RidgeCV(penalties).fit(scaled, targets).alpha_
    expected = [
        Ridge(chosen).fit(np.delete(scaled, i, 0), np.delete(targets, i, 0)).predict(scaled[i : i + 1])[0]
        for i in range(len(scaled))
    ]
    np.testing.assert_allclose(leave_one_out(table, targets, np.arange(60)), expected, atol=1e-9)
