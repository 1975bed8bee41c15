"""Compare names that users type, and suggest corrections for misspelled ones."""

import difflib


def comparable(name: str) -> str:
    """Return the same key for spelling variants, such as `EfficientNetB0`, `efficientnet-b0` and `efficientnet_b0`."""
    return name.lower().translate(str.maketrans("", "", "-_ ."))


def suggestions(name: str, known) -> str:
    """Return a question that suggests known names close to `name`, to end an error message, or `""` if there are none.

    Example:

    >>> suggestions("resnet-5", ["ResNet50", "VGG16"])
    " Did you mean 'ResNet50'?"
    """
    by_key = {comparable(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(comparable(name), by_key, n=3, cutoff=0.6)
    near = near or [key for key in by_key if key.startswith(comparable(name))][:3]
    return f" Did you mean {' or '.join(repr(by_key[key]) for key in near)}?" if near else ""
