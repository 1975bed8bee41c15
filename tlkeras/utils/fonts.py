"""Fonts for the names of classes and files, which may be in any script; no single font covers them all."""

from functools import cache
from pathlib import Path


def one_line(text: str) -> str:
    r"""Convert text to a single line that can be drawn, with question marks for bytes that are not valid text.

    Example:

    >>> one_line("caf\udce9\r\nau lait")
    'caf? au lait'
    """
    return " ".join(text.encode("utf-8", "replace").decode().split())


def font_file(text: str) -> str:
    """Find a font that has every character in a text.

    Args:
        text: The text to draw, as `one_line` returns it.

    Returns:
        Path of DejaVu Sans, which comes with matplotlib and covers European alphabets and more. If that font lacks a
        character, the path of an installed font that has every character. If no installed font does, the path of DejaVu
        Sans, which draws boxes for missing characters.

    Example:

    >>> font_file("Vögel, птицы").endswith("DejaVuSans.ttf")
    True
    """
    import matplotlib

    default = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    wanted = {ord(character) for character in text}
    if wanted <= _characters(default):
        return default
    return next((path for path in _installed() if wanted <= _characters(path)), default)


def _installed() -> list[str]:
    from matplotlib.font_manager import fontManager

    # A font of last resort has a box for everything.
    fonts = (font for font in fontManager.ttflist if "lastresort" not in font.name.replace(" ", "").lower())
    return [font.fname for font in fonts]


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # removed since matplotlib listed it, or damaged
        return frozenset()
