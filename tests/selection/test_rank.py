"""Candidates are compared on the same folds; ties are called ties, and the cheapest of them is recommended."""

from collections import Counter

import keras
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras
from tlkeras.data.dataset import ImageSplit, ImageSplits
from tlkeras.features import extraction
from tlkeras.selection import comparison
from tlkeras.selection.automatic import train_automatically
from tlkeras.selection.candidates import Candidate, Tapped
from tlkeras.selection.checks import within_budgets
from tlkeras.selection.comparison import lead, probe_scores, quick_scores
from tlkeras.selection.images import images_to_choose_on
from tlkeras.selection.on_features import train_on_features
from tlkeras.selection.outcome import Task
from tlkeras.selection.rank import compare


def split_of(labels, groups=None, sources=None):
    names, classes = np.array([f"{i}.png" for i in range(len(labels))]), int(np.max(labels)) + 1
    labels = np.asarray(labels)
    classes = labels.shape[1] if labels.ndim == 2 else classes
    groups = np.arange(len(labels)) if groups is None else groups
    names_of_classes = tuple("abcdefgh"[:classes])
    return ImageSplit(names, labels, names_of_classes, (8, 8), "stretch", groups, names if sources is None else sources)


def candidate(name, multiply_adds, block=None, top1=0.7):
    return Candidate(name, block, 4, 10 * multiply_adds, multiply_adds, top1, 1.0, 3)


@pytest.fixture(scope="module")
def split():
    return split_of(np.arange(150) % 3)


def table(split, strength, seed=0):
    noise = np.random.default_rng(seed).normal(size=(len(split), 12))
    noise[:, :3] += strength * np.eye(3)[split.labels]
    return noise


def test_a_tie_goes_to_the_cheapest_and_is_called_a_tie(split):
    good = table(split, 3)
    ranking = compare([candidate("big", 9, top1=0.9), candidate("small", 3)], [good, good], split)
    assert [row.tied for row in ranking.rows] == [True, True]
    assert ranking.recommended.candidate.backbone == "small"
    assert ranking.prior.candidate.backbone == "big"
    assert not ranking.beats_prior
    assert "the recommendation is not clearly better" in str(ranking) and "tie" in str(ranking)


def test_a_candidate_out_of_chance_wins_whatever_it_costs_and_beats_the_prior(split):
    candidates = [candidate("weak", 1, top1=0.9), candidate("strong", 9), candidate("strong", 5, block="early")]
    ranking = compare(candidates, [table(split, 0.5), table(split, 3), table(split, 0.1, 1)], split)
    assert ranking.recommended is ranking.best is ranking.rows[0]
    assert ranking.best.candidate.label == "strong"
    assert ranking.beats_prior and "the recommendation is better" in str(ranking)
    assert ranking.rows[-1].accuracy is None  # out of reach after the quick look
    low, high = ranking.best.interval
    assert low < ranking.best.accuracy < high
    assert ranking.to_json()["recommended"] == {"backbone": "strong", "block": None}
    assert max(map(len, str(ranking).splitlines())) <= 80


def test_where_no_whole_backbone_fits_the_prior_is_the_most_of_the_best_and_no_block_is_compared_with_the_output(split):
    candidates = [
        candidate("net", 1, block="stem"),
        candidate("net", 5, block="block2"),
        candidate("weak", 9, "b", 0.6),
    ]
    ranking = compare(candidates, [table(split, 1), table(split, 2), table(split, 1)], split)
    assert ranking.prior.candidate.block == "block2"
    assert [row.over_output for row in ranking.rows] == [None] * 3


def test_an_interval_is_no_point_where_all_answers_are_right(split):
    (row,) = compare([candidate("net", 1)], [table(split, 20)], split).rows
    assert row.accuracy == 1 and row.standard_error == 0
    low, high = row.interval
    assert 0.95 < low < 0.98 and high == 1  # 1 - 3.7 / 150 by Clopper and Pearson is 0.976


def test_the_standard_error_of_a_lead_is_the_spread_over_repetitions():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(150), 2)  # both images of a group are equally hard
    leads, errors = [], []
    for _ in range(400):
        hard = np.repeat(generator.random(150), 2)
        first = (hard < 0.8).astype(float)
        second = np.where(np.repeat(generator.random(150), 2) < 0.1, 1 - first, first)  # agrees with it mostly
        one, error = lead(first, second, groups)
        leads.append(one)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(leads), rel=0.1)
    apart = np.sqrt(2 * 0.8 * 0.2 / 300)
    assert np.mean(errors) < apart  # pairing pays off


def test_probes_are_those_of_scikit_learn_on_shared_folds(split, monkeypatch):
    monkeypatch.setattr(comparison, "CS", (0.01,))
    weak = table(split, 1)
    folds = comparison.labeled_features(weak, split.labels).deal_folds(5, 0)
    pairs = [(np.setdiff1d(np.arange(150), held_out), held_out) for held_out in folds]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    expected = cross_val_predict(model, weak, split.labels, cv=pairs) == split.labels
    scores = probe_scores([weak, weak], split, rounds=1)
    np.testing.assert_array_equal([one["logistic"] for one in scores], [expected, expected])
    discriminant = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    expected = cross_val_predict(discriminant, weak, split.labels, cv=pairs) == split.labels
    np.testing.assert_array_equal([one["lda"] for one in scores], [expected, expected])
    (other,) = probe_scores([weak], split, seed=1, rounds=1)
    (both,) = probe_scores([weak], split, rounds=2)
    np.testing.assert_array_equal(both["lda"], (scores[0]["lda"] + other["lda"]) / 2)


def test_no_image_takes_part_in_the_choice_of_its_own_penalty(split):
    # If it did, labels of pure noise would be predicted better than by chance.
    noise = np.random.default_rng(3).normal(size=(150, 300))
    assert max(one.mean() for one in probe_scores([noise], split)[0].values()) < 0.33 + 3 * np.sqrt(0.33 * 0.67 / 150)
    assert quick_scores([noise], split).mean() < 0.33 + 3 * np.sqrt(0.33 * 0.67 / 150)


def test_several_labels_per_image_are_scored_by_the_share_of_right_ones():
    generator = np.random.default_rng(0)
    labels = (generator.random((80, 3)) < 0.5).astype("float32")
    several = split_of(labels)
    features = np.concatenate([labels + 0.1 * generator.normal(size=labels.shape), labels], axis=1)
    assert quick_scores([features], several).min() == 1
    assert probe_scores([features], several)[0]["logistic"].min() == 1


def test_near_duplicates_are_held_out_together():
    labels = np.random.default_rng(0).integers(2, size=60).repeat(2)
    noise = np.random.default_rng(1).normal(size=(60, 200)).repeat(2, axis=0)  # each image twice, labels by chance
    together, apart = split_of(labels, np.arange(60).repeat(2)), split_of(labels)
    for scores in (
        lambda split: quick_scores([noise], split),
        lambda split: probe_scores([noise], split)[0]["logistic"],
    ):
        assert scores(apart).mean() > 0.8
        assert scores(together).mean() < 0.75


def test_budgets_leave_what_meets_all_of_them_or_say_what_would():
    small, large = candidate("small", 3), candidate("large", 30)
    assert within_budgets([small, large], {"max_params": 100, "max_madds": None}) == [small]
    assert within_budgets([small, large], {"max_file_size": large.file_size}) == [small, large]
    with pytest.raises(tlkeras.InputError, match=r"`max_madds` must leave .*A value of 3 would be enough\."):
        within_budgets([small, large], {"max_params": 1e9, "max_madds": 2})


def test_test_images_are_not_looked_at():
    parts = [split_of(np.arange(12) % 3) for _ in range(3)]
    images = ImageSplits(*parts, ("a", "b", "c"), (8, 8), "stretch")
    assert len(images_to_choose_on(images)[0]) == 24
    assert len(images_to_choose_on(parts[0])[0]) == 12


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([0, 0, 1], [0, 1, 2], r"Class 'b' must have at least 2 .* Received: 1 image, 1 distinct"),
        ([0, 0, 1, 1], [0, 1, 2, 2], r"Class 'b' must have at least 2 .* Received: 2 images, 1 distinct"),
    ],
)
def test_a_class_that_cannot_be_held_out_is_refused(labels, groups, message):
    with pytest.raises(tlkeras.InputError, match=message):
        images_to_choose_on(split_of(labels, np.array(groups)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": "no/such/folder"}, "must be an existing folder. Received: 'no/such/folder'"),
        ({"backbones": "nonet"}, "no backbone named 'nonet'"),
        ({"backbones": []}, "`backbones` must be names"),
        ({"blocks": "block3"}, r"as a list: \['block3'\]"),
        ({"max_ms": 0}, "`max_ms` must be a positive number"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(split, arguments, message):
    with pytest.raises(tlkeras.InputError, match=message):
        tlkeras.rank(**{"images": split, **arguments})


@pytest.fixture(scope="module")
def network():
    layers = [
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(4, 3, padding="same", strides=2, name="block1_conv"),
        keras.layers.BatchNormalization(name="block1_bn"),
        keras.layers.ReLU(name="block1_relu"),
        keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block2_dwconv"),
        keras.layers.Conv2D(6, 1, use_bias=False, name="block2_conv"),
    ]
    return keras.Sequential(layers, name="tiny")


def test_costs_are_counted_up_to_each_block(network):
    candidates = Tapped(network, "all", cache=False).candidates(classes=2)
    assert [(one.block, one.width) for one in candidates] == [("block1", 4), (None, 6)]
    # 3·3·3·4 weights at 4 · 4 places; then 3 · 3 · 4 and 4 · 6 at as many
    assert [one.multiply_adds for one in candidates] == [108 * 16, 108 * 16 + (36 + 24) * 16]
    assert [one.parameters for one in candidates] == [112 + 16, network.count_params()]
    assert candidates[0].file_size == 4 * (128 + 5 * 2)


def test_a_block_is_read_together_with_those_right_below_it_and_costs_what_it_ends_at(tmp_path):
    layers = [keras.layers.Conv2D(2 + number, 3, name=f"block{number}_conv") for number in range(1, 6)]
    deep = keras.Sequential([keras.Input((16, 16, 3)), *layers], name="deep")
    tapped = Tapped(deep, "all", cache=tmp_path)
    candidates, alone = tapped.candidates(2), Tapped(deep, [f"block{n}" for n in range(1, 5)], cache=tmp_path)
    names = ["block1", ("block1", "block2"), ("block1", "block2", "block3"), ("block2", "block3", "block4"), None]
    assert [one.block for one in candidates] == names
    assert [one.width for one in candidates] == [3, 3 + 4, 3 + 4 + 5, 4 + 5 + 6, 7]
    assert [one.end for one in candidates] == ["block1", "block2", "block3", "block4", "output"]
    costs = [[(one.parameters, one.multiply_adds) for one in each] for each in (candidates, alone.candidates(2))]
    assert costs[0] == costs[1]
    assert candidates[3].label == "deep, block2, block3 and block4 together"
    pixels = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype("uint8")
    images = tlkeras.load_images(list(pixels), labels=[0, 1] * 3, image_size=16, near_duplicates=False, test_size=0)
    for one, table in zip(candidates, tapped.features(images.train), strict=True):
        extractor = tlkeras.FeatureExtractor(deep, block=one.block, cache=False)
        np.testing.assert_allclose(table, extractor.transform(images.train), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(table, tapped.features_at(images.train, one.block))


def test_models_are_ranked_by_their_blocks_in_one_pass(network, tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(24) % 2
    pixels = generator.integers(0, 100, (24, 8, 8, 3)).astype("uint8")
    pixels[labels == 1, ..., 0] += 120
    split = split_of(labels, sources=np.array([None] * 24, object))
    split.sources[:] = list(pixels)
    ranking = tlkeras.rank(split, [network], cache=tmp_path)
    assert {row.candidate.block for row in ranking.rows} == {"block1", None}
    assert ranking.best.accuracy > 0.9
    assert all(row.candidate.milliseconds > 0 for row in ranking.rows)
    features = Tapped(network, ["block1"], cache=tmp_path).features(split)
    expected = tlkeras.FeatureExtractor(network, block="block1", cache=False).transform(split)
    np.testing.assert_allclose(features[0], expected, rtol=1e-4)
    with pytest.raises(tlkeras.InputError, match=r"`blocks` must be blocks of 'tiny'\. Received: blocks='block9'"):
        tlkeras.rank(split, [network], ["block9"], cache=tmp_path)


def test_the_strategy_auto_passes_each_image_through_the_network_once(network, monkeypatch):
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = generator.integers(0, 100, (40, 8, 8, 3)).astype("uint8")
    pixels[labels == 1, ..., 0] += 120
    images = tlkeras.load_images(list(pixels), labels=labels, image_size=8, near_duplicates=False)
    computed, make_engine = [], extraction.make_engine

    def counting_engine(*arguments, **options):
        engine = make_engine("keras", *arguments[1:], **options)

        def count(pixels):
            computed.extend(np.asarray(one, "uint8").tobytes() for one in pixels)
            return engine(pixels)

        count.name, count.batch_size = engine.name, engine.batch_size
        return count

    monkeypatch.setattr(extraction, "make_engine", counting_engine)
    events = []
    trained = train_automatically(Task(images, network, cache=False, on_event=events.append))
    assert [event["phase"] for event in events] == ["advice", "features", "probe"]
    assert (events[0]["strategy"], events[0]["features"]) == ("features", trained.choices["block"] or "output")
    assert sorted(Counter(computed)[one.tobytes()] for one in pixels) == [1] * 40
    assert trained.choices["advised"] == "features"
    assert (trained.model.predict(pixels, verbose=0).argmax(axis=1) == labels).mean() > 0.9
    both = train_on_features(Task(images, network, block=("block1", "block2"), cache=False))
    assert (both.model.predict(pixels, verbose=0).argmax(axis=1) == labels).mean() > 0.9
