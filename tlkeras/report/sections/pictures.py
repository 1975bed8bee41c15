"""The galleries of the page: confident mistakes, uncertain correct predictions, and labels that may be wrong."""

from base64 import b64encode
from io import BytesIO

import numpy as np
from PIL import Image, features

from tlkeras.checks.suspects import find_suspects
from tlkeras.evaluation.activation_overlay import activation_overlay
from tlkeras.report.wording import percent, plain

MOST_MISTAKES, MOST_UNSURE, MOST_SUSPECTS = 12, 8, 12
_SIDE = 144


def pictures(facts):
    """Return the cards of the galleries `mistakes`, `unsure` and `suspects`, and how many images they show."""
    mistakes, unsure, suspects = confident_mistakes(facts), unsure_answers(facts), suspect_labels(facts)
    shown = sorted({index for index, *_ in (*mistakes, *unsure, *suspects)})
    if not shown or facts.read is None:
        return {"mistakes": [], "unsure": [], "suspects": [], "explained": False, "count": 0}
    place = {index: at for at, index in enumerate(shown)}
    pixels = facts.read(np.array(shown))
    thumbnails = [thumbnail(one) for one in pixels]
    explained = [*mistakes, *unsure]
    maps = _maps(facts, pixels, [place[index] for index, _ in explained], explained)

    def card(index, number, seen=None):
        own = facts.probabilities[index]
        return {
            "image": thumbnails[place[index]],
            "map": seen,
            "path": plain(facts.paths[index]),
            "label": _label(facts, index, number),
            "answer": _answer(facts, index, number),
            "probability": percent(_stated(facts, index, number)),
            "own": None if facts.multilabel else percent(own[facts.labels[index]]),
            "suspect": index in suspected,
        }

    suspected = {index for index, _ in suspects}
    cards = [card(*one, seen) for one, seen in zip(explained, maps, strict=True)]
    return {
        "mistakes": cards[: len(mistakes)],
        "unsure": cards[len(mistakes) :],
        "suspects": [card(*one) for one in suspects],
        "explained": any(maps),
        "count": len(shown),
    }


def confident_mistakes(facts):
    """Return pairs of image index and class index, one per image, with the most confident wrong prediction first."""
    if not facts.multilabel:
        wrong = np.flatnonzero(~facts.right)
        order = np.argsort(-facts.probabilities[wrong].max(axis=1), kind="stable")
        return [(int(index), int(facts.decided[index])) for index in wrong[order][:MOST_MISTAKES]]
    wrong = facts.decided != (facts.labels > 0.5)
    sure = np.where(wrong, np.abs(facts.probabilities - np.asarray(facts.thresholds)), -1)
    order = np.argsort(-sure.max(axis=1), kind="stable")[:MOST_MISTAKES]
    return [(int(index), int(sure[index].argmax())) for index in order if wrong[index].any()]


def unsure_answers(facts):
    """Return pairs of image index and class index for correct predictions, the least certain first."""
    right = np.flatnonzero(facts.right)
    if not facts.multilabel:
        order = np.argsort(facts.probabilities[right].max(axis=1), kind="stable")
        return [(int(index), int(facts.decided[index])) for index in right[order][:MOST_UNSURE]]
    close = np.abs(facts.probabilities - np.asarray(facts.thresholds))
    order = np.argsort(close[right].min(axis=1), kind="stable")
    return [(int(index), int(close[index].argmin())) for index in right[order][:MOST_UNSURE]]


def suspect_labels(facts):
    """Return pairs of image index and class index for labels that are probably wrong."""
    if not facts.multilabel:
        suspects = find_suspects(facts.labels, facts.probabilities)[:MOST_SUSPECTS]
        return [(index, int(facts.decided[index])) for index, _ in suspects]
    pairs = []
    for number, column in enumerate(facts.probabilities.T):
        labels = (facts.labels[:, number] > 0.5).astype(int)
        two = np.stack([1 - column, column], axis=1)
        pairs += [(-wrong, index, number) for index, wrong in find_suspects(labels, two)]
    return [(index, number) for _, index, number in sorted(pairs)[:MOST_SUSPECTS]]


def _maps(facts, pixels, places, answers):
    """Draw an activation map for each pair of image and class; return a list of None if the model supports no maps."""
    if facts.explain is None or not answers:
        return [None] * len(answers)
    places, numbers = np.array(places), np.array([number for _, number in answers])
    maps = facts.explain(pixels[places], numbers)
    if maps is None:
        return [None] * len(answers)
    # The answer "not a cat" is explained by the evidence against a cat, so flip the sign.
    signs = [-1 if facts.multilabel and not facts.decided[index, number] else 1 for index, number in answers]
    drawn = zip(places, maps, signs, strict=True)
    return [thumbnail(activation_overlay(pixels[place], sign * one)) for place, one, sign in drawn]


def _label(facts, index, number):
    if not facts.multilabel:
        return facts.class_names[facts.labels[index]]
    given = [name for name, has in zip(facts.class_names, facts.labels[index] > 0.5, strict=True) if has]
    return ", ".join(given) or "no label"


def _answer(facts, index, number):
    name = facts.class_names[number]
    if not facts.multilabel:
        return name
    return name if facts.decided[index, number] else f"not {name}"


def _stated(facts, index, number):
    """Return the probability of the predicted answer.

    The answer is that the image belongs to the class or, if the label was rejected, that the label does not apply.
    """
    stated = facts.probabilities[index, number]
    return 1 - stated if facts.multilabel and not facts.decided[index, number] else stated


def thumbnail(picture):
    """Return a small image as a data URI, in WebP if Pillow supports it and in JPEG otherwise.

    Example:

    >>> thumbnail(np.zeros((224, 224, 3), "uint8"))[:11]
    'data:image/'
    """
    if not isinstance(picture, Image.Image):
        pixels = np.clip(np.asarray(picture), 0, 255).astype("uint8")
        picture = Image.fromarray(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((_SIDE, _SIDE))
    kind = "webp" if features.check("webp") else "jpeg"
    buffer = BytesIO()
    picture.save(buffer, kind, quality=78)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
