"""Features of one domain are mapped to where those of another lie; the map is SKADA's, and it folds into the head."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

import tlkeras
from tlkeras.pipelines.affine import affine
from tlkeras.pipelines.fold import folded_weights


@pytest.fixture(scope="module")
def domains():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 5))
    return rng.normal(size=(80, 5)) + 1, 3 * rng.normal(size=(60, 5)) @ mixing - 2


def test_standardizing_gives_each_feature_the_mean_and_deviation_of_the_source(domains):
    source, target = domains
    aligned = tlkeras.FeatureAlignment().fit(source, target=target).transform(target)
    np.testing.assert_allclose(aligned.mean(axis=0), source.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(aligned.std(axis=0), source.std(axis=0))


def test_coral_is_that_of_skada_with_the_domains_exchanged(domains):
    skada = pytest.importorskip("skada")
    source, target = domains
    aligned = tlkeras.FeatureAlignment("coral").fit(source, target=target).transform(target)
    theirs = skada.CORALAdapter(reg="auto").fit(
        np.concatenate([target, source]), sample_domain=np.repeat([1, -2], [60, 80])
    )
    expected = theirs.transform(target, sample_domain=np.ones(60), allow_source=True) + source.mean(axis=0)
    np.testing.assert_allclose(aligned, expected, atol=1e-8)


def test_linear_optimal_transport_gives_the_covariance_of_the_source(domains):
    pytest.importorskip("skada")
    source, target = domains
    aligned = tlkeras.FeatureAlignment("linear_ot").fit(source, target=target).transform(target)
    np.testing.assert_allclose(aligned.mean(axis=0), source.mean(axis=0), atol=1e-6)
    apart = [np.abs(np.cov(one.T) - np.cov(source.T)).max() for one in (target, aligned)]
    assert apart[1] < 0.1 * apart[0]


@pytest.mark.parametrize("method", ["standardize", "coral"])
def test_an_alignment_folds_into_the_head(domains, method):
    source, target = domains
    labels = (source.sum(axis=1) > 5).astype(int)
    probe = tlkeras.linear_probe(source, labels, Cs=[0.1])
    alignment = tlkeras.FeatureAlignment(method).fit(source, target=target)
    kernel, bias = folded_weights([alignment, probe[0]], probe[1])
    logits = target @ kernel + bias
    expected = Pipeline([("alignment", alignment), *probe.steps]).predict_proba(target)
    np.testing.assert_allclose(1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), expected[:, 1], atol=1e-9)


def test_a_feature_that_is_almost_dead_in_the_target_is_not_blown_up(domains):
    source, target = (one.copy() for one in domains)
    target[:, 1] *= 1e-4
    deviations = target.std(axis=0)
    ratio = affine(tlkeras.FeatureAlignment().fit(source, target=target)).matrix
    assert ratio[1] == pytest.approx(source[:, 1].std() / (0.1 * np.median(deviations)), rel=1e-6)
    assert ratio[0] == pytest.approx(source[:, 0].std() / deviations[0])


def test_without_a_target_nothing_changes_and_a_constant_feature_is_only_moved(domains):
    source, _ = domains
    assert (tlkeras.FeatureAlignment("coral").fit(source).transform(source) == source).all()
    target = source.copy()
    target[:, 2] = 7
    step = affine(tlkeras.FeatureAlignment().fit(source, target=target))
    assert step.matrix[2] == 1 and step.offset[2] == pytest.approx(source[:, 2].mean() - 7)


def test_arguments_that_do_not_fit_are_refused(domains):
    source, target = domains
    with pytest.raises(tlkeras.InputError, match="`method` must be 'standardize', 'coral' or 'linear_ot'"):
        tlkeras.FeatureAlignment("deep").fit(source)
    with pytest.raises(tlkeras.InputError, match="5 and 4 columns"):
        tlkeras.FeatureAlignment().fit(source, target=target[:, :4])


def test_it_keeps_the_conventions_of_scikit_learn(domains):
    for estimator, check in estimator_checks_generator(tlkeras.FeatureAlignment()):
        check(estimator)
    source, _ = domains
    pipeline = make_pipeline(tlkeras.FeatureAlignment(), LogisticRegression()).fit(source, source[:, 0] > 1)
    assert pipeline.score(source, source[:, 0] > 1) > 0.9
