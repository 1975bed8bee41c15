"""The page's charts, as inline SVG. The style sheet sets their colors by CSS class, for light and dark mode."""

from math import ceil, floor, log10

import numpy as np

from tlkeras.report.svg import chart, tag

#: Shapes of the marks. Marks differ in shape as well as color, so they can be distinguished without color.
SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "M-3.6-3.6h7.2v7.2h-7.2Z",
    "M0-4.6L4.4 3.4H-4.4Z",
    "M0-5L4.4 0L0 5L-4.4 0Z",
    "M0 4.6L-4.4-3.4H4.4Z",
)
HUES = 8

_LEFT, _BOTTOM, _TOP, _RIGHT = 44, 40, 26, 12


def ticks(low, high, most=5):
    """Choose round tick values between two numbers.

    Example:

    >>> [float(value) for value in ticks(0, 1)], [float(value) for value in ticks(0.13, 2.4, 4)]
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 2.0])
    """
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(number * step, 10) for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


class Plane:
    """A chart area with two axes.

    Args:
        width: Width of the chart, including its axes.
        height: Height of the chart, including its axes.
        x: Lowest and highest values on the horizontal axis.
        y: Lowest and highest values on the vertical axis.
    """

    def __init__(self, width, height, x, y):
        self.width, self.height, self.x_range, self.y_range = width, height, x, y

    def x(self, value):
        """Return the x coordinate of a value."""
        low, high = self.x_range
        return _LEFT + float((value - low) / ((high - low) or 1)) * (self.width - _LEFT - _RIGHT)

    def y(self, value):
        """Return the y coordinate of a value."""
        low, high = self.y_range
        return self.height - _BOTTOM - float((value - low) / ((high - low) or 1)) * (self.height - _TOP - _BOTTOM)

    def axes(self, x_name, y_name, x_ticks, y_ticks, write=str):
        """Draw both axes with grid lines."""
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        drawn = []
        for value in y_ticks:
            at = self.y(value)
            drawn.append(tag("line", x1=_LEFT, x2=right, y1=at, y2=at, class_="grid"))
            drawn.append(tag("text", write(value), x=_LEFT - 6, y=at + 4, text_anchor="end"))
        for value, text in x_ticks:
            drawn.append(tag("text", text, x=self.x(value), y=bottom + 16, text_anchor="middle"))
        drawn.append(tag("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
        middle = (_LEFT + right) / 2
        drawn.append(tag("text", x_name, x=middle, y=self.height - 6, text_anchor="middle", class_="axis-name"))
        drawn.append(tag("text", y_name, x=4, y=11, class_="axis-name"))
        return drawn


def line_chart(series, x, x_name, y_name, label):
    """Draw one line per series, with a different mark for each.

    Args:
        series: Dict that maps names to lists of values, with None for missing values.
        x: Positions of the values on the horizontal axis.
        x_name: Name of the horizontal axis.
        y_name: Name of the vertical axis.
        label: Description of the chart for screen readers.
    """
    values = [value for line in series.values() for value in line if value is not None]
    low, high = min(0.0, *values), max(values)
    plane = Plane(400, 250, (min(x), max(x)), (low, high or 1))
    every = ceil(len(x) / 10)
    drawn = plane.axes(
        x_name, y_name, [(one, f"{one:g}") for one in x[::every]], ticks(low, high or 1, 4), "{:g}".format
    )
    for number, line in enumerate(series.values()):
        points = [(plane.x(at), plane.y(value)) for at, value in zip(x, line, strict=True) if value is not None]
        path = " ".join(f"{'L' if index else 'M'}{a:.1f} {b:.1f}" for index, (a, b) in enumerate(points))
        drawn.append(tag("path", d=path, class_=f"line line-{number}"))
        drawn += [_mark(number, a, b) for a, b in points]
    return chart(400, 250, label, *drawn)


def reliability_chart(bins, label):
    """Draw a reliability diagram: the fraction of correct predictions against the predicted probability.

    Args:
        bins: One dict per bin, with `confidence`, `share`, `low`, `high` and `images`.
        label: Description of the chart for screen readers.
    """
    plane = Plane(400, 300, (0, 1), (0, 1))
    shares = [0, 0.25, 0.5, 0.75, 1]
    drawn = plane.axes(
        "predicted probability", "correct", [(one, f"{one:.0%}") for one in shares], shares, lambda one: f"{one:.0%}"
    )
    drawn.append(tag("line", x1=plane.x(0), y1=plane.y(0), x2=plane.x(1), y2=plane.y(1), class_="ideal"))
    most = max(one["images"] for one in bins)
    for one in bins:
        at = plane.x(one["confidence"])
        text = f"predicted {one['confidence']:.0%}, correct {one['share']:.0%} of {one['images']}"
        drawn.append(
            tag(
                "g",
                tag("title", text),
                tag("line", x1=at, x2=at, y1=plane.y(one["low"]), y2=plane.y(one["high"]), class_="interval"),
                tag("circle", cx=at, cy=plane.y(one["share"]), r=2.5 + 4.5 * (one["images"] / most) ** 0.5),
                class_="bin",
            )
        )
    return chart(400, 300, label, *drawn)


def map_chart(points, kinds, wrong, titles, label):
    """Draw a scatter plot with one point per image and a ring around each wrong prediction.

    Args:
        points: Coordinates of the images, array of shape `(images, 2)`.
        kinds: Index of each image's mark, or None to use one mark for all images.
        wrong: Boolean array of shape `(images,)`: whether each prediction is wrong.
        titles: Tooltip text for each image, or None.
        label: Description of the chart for screen readers.
    """
    width, height, edge = 520, 400, 14
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1)
    drawn = []
    for index in np.argsort(wrong, kind="stable"):  # draw wrong answers last, on top
        x, y = edge + scaled[index, 0] * (width - 2 * edge), height - edge - scaled[index, 1] * (height - 2 * edge)
        inside = [tag("title", titles[index])] if titles else []
        if wrong[index]:
            inside.append(tag("circle", r=6.5, class_="ring"))
        drawn.append(_mark(None if kinds is None else kinds[index], x, y, *inside))
    return chart(width, height, label, *drawn)


def heat_map(shares, counts, names, label):
    """Draw a confusion matrix with many classes, with one square for each nonempty cell.

    Args:
        shares: Each cell's fraction of the images in its row, array of shape `(classes, classes)`.
        counts: Number of images in each cell, int array with the shape of `shares`.
        names: Class names, in the order of the rows and columns.
        label: Description of the chart for screen readers.
    """
    number, edge = len(names), 26
    cell = 480 / number
    drawn = [tag("rect", x=edge, y=edge, width=480, height=480, class_="frame")]
    for row, column in np.argwhere(counts):
        text = f"{names[row]} → {names[column]}: {counts[row, column]}"
        drawn.append(
            tag(
                "rect",
                tag("title", text),
                x=edge + column * cell,
                y=edge + row * cell,
                width=max(cell - 0.4, 1.0),
                height=max(cell - 0.4, 1.0),
                class_="hit" if row == column else "miss",
                style=f"fill-opacity:{0.25 + 0.75 * float(shares[row, column]):.2f}",
            )
        )
    drawn.append(tag("text", "predicted class", x=edge + 240, y=16, text_anchor="middle", class_="axis-name"))
    drawn.append(
        tag(
            "text", "true class", transform=f"translate(16 {edge + 240}) rotate(-90)", text_anchor="middle",
            class_="axis-name",
        )
    )  # fmt: skip
    return chart(edge + 488, edge + 488, label, *drawn)


def legend_mark(number):
    """Draw the mark of a series for a legend, hidden from screen readers."""
    return tag("svg", _mark(number, 6, 6), viewBox="0 0 12 12", class_="key", aria_hidden="true")


def _mark(number, x, y, *inside):
    if number is None:
        shape = tag("circle", r=3)
        kind = "mark plain"
    else:
        shape, kind = tag("path", d=SHAPES[number % len(SHAPES)]), f"mark hue-{number % HUES}"
    return tag("g", *inside, shape, transform=f"translate({x:.1f} {y:.1f})", class_=kind)
