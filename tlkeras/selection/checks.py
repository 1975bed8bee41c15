"""Check the arguments of `rank` and `advise` before Keras is loaded or an image is read."""

import os
from collections.abc import Mapping
from pathlib import Path

from tlkeras.backbones.catalog import list_backbones, listed_info
from tlkeras.data.reading import check_image_size
from tlkeras.errors import InputError
from tlkeras.utils.validation import check_integer, check_number, invalid

#: Budgets, and the attribute of a candidate that each one limits.
BUDGETS = {
    "max_params": "parameters",
    "max_madds": "multiply_adds",
    "max_ms": "milliseconds",
    "max_file_size": "file_size",
}


def check_choosing(images, backbones, blocks, budgets: Mapping[str, float | None], image_size, seed) -> list:
    """Check the arguments of `rank` and `advise`, and return the backbones, without loading Keras.

    Raises:
        InputError: An argument is invalid.
    """
    if isinstance(images, str | os.PathLike) and not str(images).startswith("tfds:") and not Path(images).exists():
        raise InputError(f"`images` must be an existing folder. Received: {str(images)!r}.")
    if isinstance(backbones, str):
        backbones = [backbones]
    if backbones is None:
        backbones = list_backbones(offline=True)
    if not isinstance(backbones, list | tuple) or not backbones:
        raise invalid("backbones", backbones, "be names of backbones, or None for those on this machine")
    for name in backbones:
        if isinstance(name, str):
            listed_info(name)
        elif not hasattr(name, "predict_on_batch"):
            raise invalid("backbones", backbones, "be names of backbones or Keras models")
    if isinstance(blocks, str) and blocks != "all":
        raise invalid(
            "blocks", blocks, "be None, 'all' or a list of names", f"Pass a single name as a list: [{blocks!r}]."
        )
    for name, value in budgets.items():
        if value is not None:
            check_number(name, value, "(0, inf)")
    check_image_size(image_size, optional=True)
    check_integer("seed", seed, 0)
    return list(dict.fromkeys(backbones))


def within_budgets(candidates, budgets: Mapping[str, float | None]) -> list:
    """Keep the candidates that meet all budgets.

    Raises:
        InputError: No candidate meets all budgets; the message gives the smallest value that would be enough.
    """
    kept = candidates
    for name, limit in budgets.items():
        if limit is None or not kept:
            continue
        values = [getattr(one, BUDGETS[name]) for one in kept]
        kept = [one for one, value in zip(kept, values, strict=True) if value is not None and value <= limit]
        if not kept:
            least = min((value for value in values if value is not None), default=None)
            raise invalid(name, limit, "leave at least one candidate", f"A value of {least:,.4g} would be enough.")
    return kept
