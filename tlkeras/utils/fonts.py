"""Fonts: names of classes and files are in any script, and no font has them all."""

from functools import cache
from pathlib import Path


def one_line(text: str) -> str:
    r"""What can be drawn of a text: one line, with question marks for bytes that are no text, as file names may have.

    Example:

    >>> one_line("caf\udce9\r\nau lait")
    'caf? au lait'
    """
    return " ".join(text.encode("utf-8", "replace").decode().split())


def font_file(text: str) -> str:
    """Finds a font that has all characters of a text.

    Args:
        text: What is to be written, as `one_line` gives it.

    Returns:
        Path of DejaVu Sans, which comes with matplotlib and has the alphabets of Europe and more; or else of a font
        that is installed and has these characters; where none is, of DejaVu Sans again, which draws boxes for them.

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
