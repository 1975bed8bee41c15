"""Format numbers and sentences for the page and the model card."""

_MEASURED = {
    "cross-validation": "{count} in {folds}-fold cross-validation",
    "held-out images": "{count} that were held out",
    "test images": "{count} in the test split",
}


def percent(share, digits=1):
    """Format a fraction in [0, 1] as a percentage.

    Example:

    >>> percent(0.9461), percent(None)
    ('94.6%', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def count(number, word):
    """Format a number with a noun in the singular or plural.

    Example:

    >>> count(1, "image"), count(1427, "image"), count(2, "class")
    ('1 image', '1,427 images', '2 classes')
    """
    plural = f"{word}{'es' if word.endswith('s') else 's'}"
    return f"{number:,} {word if number == 1 else plural}"


def seconds(value):
    """Format a duration in seconds.

    Example:

    >>> seconds(0.42), seconds(75), seconds(4000)
    ('0.4 s', '1 min 15 s', '1 h 6 min')
    """
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(number):
    """Format a number of bytes.

    Example:

    >>> size(812), size(14_200_000)
    ('812 B', '14.2 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


def measured_on(metrics):
    """Describe the images that the score was measured on.

    Example:

    >>> measured_on({"scores": {"images": 427}, "measured": {"by": "cross-validation", "folds": 5}})
    '427 images in 5-fold cross-validation'
    """
    measured = metrics["measured"]
    images = count(metrics["scores"]["images"], "image")
    return _MEASURED[measured["by"]].format(count=images, folds=measured.get("folds"))


def independence(metrics):
    """Explain why the score is unbiased: no image was scored by a model that was trained on it."""
    measured = metrics["measured"]
    learned = count(measured["learned_from"], "image")
    if measured["by"] == "test images":
        return f"The model was trained on {learned} and on none of these."
    if measured["by"] == "held-out images" and not measured["refitted"]:
        return f"The model was trained on {learned} and on none of these."
    return (
        "Each image was classified by a model that had not seen it. The final model was then trained on all "
        f"{learned}, so expect slightly better accuracy."
    )


def plain(text):
    r"""Return text that can be written to any file: on one line, without control characters or lone surrogates.

    Example:

    >>> plain("two\nlines\x00 \udcff")
    'two lines� �'
    """
    text = str(text)
    if text.isprintable():  # almost always, and many times faster
        return text
    text = "".join(" " if one in "\n\r\t" else one for one in text)
    return "".join(_shown(one) for one in text)


def _shown(character):
    code = ord(character)
    return "�" if code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE else character
