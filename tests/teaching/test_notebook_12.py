"""Exercises of `12_decisions`: right answers of any kind pass, wrong ones do not."""

from types import SimpleNamespace

import pytest

from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize("answer", [("last", False), ["last", False], ("last", 1 > 2)])
def test_12_1_takes_the_rule_and_that_it_was_not_measured(answer):
    check("12.1", answer)


@pytest.mark.parametrize(
    "answer, hint",
    [
        (("head", False), "between"),
        (("all", False), "between"),
        (("last", True), "table"),
        ("last", "pair"),
        (("last", "no"), "True or False"),
        (("some", False), "first"),
        (..., "replace"),
    ],
)
def test_12_1_says_what_is_wrong(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("12.1", answer)


def _early_returns(images, smallest_class, probe):
    if images < 1000 or smallest_class < 10:
        return "features"
    return "features" if probe >= 0.95 else "finetune"


def _by_all(images, smallest_class, probe):
    return "finetune" if all([images > 999, smallest_class > 9, not probe >= 0.95]) else "features"


def _by_index(images, smallest_class, probe):
    return ("features", "finetune")[(images >= 1000) * (smallest_class >= 10) * (probe < 0.95)]


@pytest.mark.parametrize("answer", [_early_returns, _by_all, _by_index])
def test_12_2_takes_any_function_that_follows_the_rule(answer):
    check("12.2", answer)


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda images, smallest, probe: "finetune" if images > 1000 else "features", "1,000 images"),
        (lambda images, smallest, probe: "finetune" if images >= 1000 and probe < 0.95 else "features", "9 in"),
        (lambda images, smallest, probe: images >= 1000, "return 'finetune'"),
        (lambda images: "features", "raised"),
        ("features", "function"),
    ],
    ids=["border", "without the smallest class", "a truth value", "one argument", "text"],
)
def test_12_2_says_what_is_wrong(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("12.2", answer)


def _run(accuracy, majority=0.2):
    return SimpleNamespace(metrics={"scores": {"accuracy": accuracy, "majority_accuracy": majority, "images": 50}})


EXPORT = SimpleNamespace(report={"verified": {"agreement": 1.0}})


@pytest.mark.parametrize("run", [_run(0.7), _run(0.21), _run(0.96, 0.9)])
def test_12_3_takes_a_run_that_beats_the_majority_class(run):
    check("12.3", run, EXPORT)


@pytest.mark.parametrize(
    "run, export, hint",
    [(_run(0.2), EXPORT, "majority"), (0.7, EXPORT, "tlkeras.fit"), (_run(0.7), "phone", "tlkeras.export")],
)
def test_12_3_says_what_is_wrong(run, export, hint):
    with pytest.raises(NotYet, match=hint):
        check("12.3", run, export)
