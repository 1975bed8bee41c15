"""The style of figures: one palette, high resolution, readable on white and dark pages, with a text alternative."""

import base64
import io
import textwrap
from typing import Any

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from tlkeras.utils.fonts import font_file, one_line

#: Colors of series, the same as in the report (the palette of Okabe and Ito, designed for color blindness). Some look
#: alike in grayscale, so series also differ in their markers.
HUES = ("#0072b2", "#d55e00", "#009e73", "#b0508a", "#e69f00", "#3a9bdc", "#6b6b6b", "#8a6d00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "d")
INK, SOFT, GRID, PAPER = "#1b1c1e", "#55585e", "#ececea", "#ffffff"
#: From the paper color to dark blue: darker means more, even in grayscale.
SCALE = LinearSegmentedColormap.from_list("tlkeras", [PAPER, "#9cc3ea", "#0a5aa8", "#062c54"]).with_extremes(bad=GRID)

_SCREEN = 96  # pixels per inch on a page; figures have twice as many
_LONGEST = 32  # characters of a name


class Illustration(Figure):
    """A figure with a text alternative, rendered at twice the usual screen resolution.

    The background is white even on dark pages. Notebooks show the figure at its size in inches, with `alt` for screen
    readers.

    Attributes:
        alt: Description of the figure in words.
    """

    def __init__(self, *args: Any, alt: str = "", **settings: Any):
        super().__init__(*args, **{"dpi": 2 * _SCREEN, "layout": "constrained", "facecolor": PAPER, **settings})
        self.alt = alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        file = io.BytesIO()
        self.savefig(file, format="png")
        width, height = (round(inches * _SCREEN) for inches in self.get_size_inches())
        data = {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": width, "height": height, "alt": self.alt}}


def finish(figure: Illustration, title: str, alt: str) -> Illustration:
    """Set the title and the text alternative, and make dollar signs and letters of all scripts appear as written."""
    if title:
        letters = max(24, int(figure.get_size_inches()[0] * 9.2))
        text = "\n".join(textwrap.wrap(one_line(title), letters))
        figure.suptitle(text, x=0.012, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    figure.alt = f"{one_line(title)}{'' if title.endswith(('.', '!', '?')) else '.'} {alt}" if title else alt
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        if not text.get_text().isascii():
            size, weight = text.get_fontsize(), text.get_fontweight()
            # Matplotlib includes the bold font of the title, but fonts of other scripts have only one weight.
            file = font_file(one_line(text.get_text()))
            if "DejaVuSans" not in file:
                text.set_fontproperties(FontProperties(fname=file, size=size, weight=weight))
    return figure


def short(name: object, longest: int = _LONGEST) -> str:
    """Shorten a name to a single line of at most `longest` characters."""
    name = one_line(str(name))
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def plain_axes(axes, *, grid=None):
    """Remove the frame and the tick marks of axes, and optionally draw faint grid lines along one axis."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=SOFT, labelsize=9)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=1)
