"""Exercises of `08_choosing_a_backbone`: right answers of any kind pass, wrong ones do not."""

from types import SimpleNamespace

import pytest

import tlkeras
from tlkeras.selection.candidates import Candidate
from tlkeras.selection.ranking import Ranked, Ranking
from tlkeras.teaching import NotYet, check


@pytest.mark.parametrize(
    "prediction, better, right",
    [
        ("block6", "block6", True),
        ("output", "output", True),
        ("not told apart", None, True),
        ("block6", None, False),
        ("output", "block6", False),
        ("block5", "block6", False),
        (..., None, False),
    ],
)
def test_08_1_is_judged_by_the_comparison(prediction, better, right, capsys):
    comparison = SimpleNamespace(better=better, difference=0.04, interval=(-0.01, 0.09))
    if right:
        check("08.1", prediction, comparison)
        assert ("no advantage" in " ".join(capsys.readouterr().out.split())) == (better is None)
    else:
        with pytest.raises(NotYet):
            check("08.1", prediction, comparison)


def _by_loop(names, budget):
    best = None
    for name in names:
        info = tlkeras.backbone_info(name)
        if info.top1 is not None and info.multiply_adds <= budget and (best is None or info.top1 > best.top1):
            best = info
    return best.name


def _by_sorting(names, budget):
    infos = sorted(map(tlkeras.backbone_info, names), key=lambda info: info.top1 or 0)
    return [info.name for info in infos if info.multiply_adds <= budget][-1]


def _by_the_catalog(names, budget):
    meeting = set(tlkeras.list_backbones(max_madds=budget, min_top1=0.01))
    return max(meeting & set(names), key=lambda name: tlkeras.backbone_info(name).top1)


@pytest.mark.parametrize("answer", [_by_loop, _by_sorting, _by_the_catalog])
def test_08_2_takes_any_function_that_meets_the_budget(answer):
    check("08.2", answer)


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda names, budget: "convnext_tiny", "needs"),
        (lambda names, budget: "efficientnet_lite0", "another one"),
        (lambda names, budget: max(names, key=lambda name: tlkeras.backbone_info(name).top1), "raised"),
        (lambda names, budget: None, "return"),
        (lambda names, budget: tlkeras.backbone_info("vgg16"), "return a name"),
    ],
    ids=["no budget", "the cheapest", "none as a number", "nothing", "not a name"],
)
def test_08_2_says_what_is_missing(answer, hint):
    with pytest.raises(NotYet, match=hint):
        check("08.2", answer)


def _row(name, behind):
    candidate = Candidate(name, None, 1280, 3_000_000, 300_000_000, 0.75, 10.0, 4)
    return Ranked(candidate, 100, 0.7, None, "logistic", 0.7 - behind, 0.04, behind, 0.02)


BEST, TIE, BEHIND = _row("lite1", 0.0), _row("lite0", 0.01), _row("lite2", 0.05)
RANKING = Ranking((BEST, TIE, BEHIND), BEST, TIE, BEST, 0.0, 0.01, 100, 4)


@pytest.mark.parametrize("choice", [BEST, TIE, RANKING.recommended])
def test_08_3_takes_every_tie(choice):
    check("08.3", choice, RANKING)


@pytest.mark.parametrize(
    "choice, ranking, hint",
    [
        (BEHIND, RANKING, "behind the best"),
        ("lite0", RANKING, "a row of my_ranking"),
        (_row("other", 0.0), RANKING, "not a row"),
        (BEST, Ranking((BEST,), BEST, BEST, BEST, 0.0, 0.01, 100, 4), "two candidates"),
        (BEST, "lite0", "tlkeras.rank"),
    ],
)
def test_08_3_says_what_is_missing(choice, ranking, hint):
    with pytest.raises(NotYet, match=hint):
        check("08.3", choice, ranking)
