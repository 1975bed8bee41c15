"""Names that people type: how they compare, and what a misspelt one may have meant."""

import difflib


def comparable(name):
    """Spelling variants share a key: `EfficientNetB0`, `efficientnet-b0` and `efficientnet_b0`."""
    return name.lower().translate(str.maketrans("", "", "-_ ."))


def suggestions(name: str, known) -> str:
    """The end of an error message: which of the `known` names `name` comes near to or begins, if any."""
    by_key = {comparable(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(comparable(name), by_key, n=3, cutoff=0.6)
    near = near or [key for key in by_key if key.startswith(comparable(name))][:3]
    return f" Did you mean {' or '.join(repr(by_key[key]) for key in near)}?" if near else ""
