"""Build SVG elements as escaped markup."""

from markupsafe import Markup, escape


def tag(name, *children, **attributes):
    """Build an SVG element.

    Args:
        name: Name of the element, such as `"rect"`.
        *children: Markup, or text, which will be escaped.
        **attributes: Attributes of the element. In their names, a trailing underscore is removed, and other underscores
            become hyphens. Floats are rounded to two decimals. Attributes that are None are omitted.

    Returns:
        `markupsafe.Markup`.

    Example:

    >>> tag("text", "a<b", x=1.23456, class_="name")
    Markup('<text x="1.23" class="name">a&lt;b</text>')
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(_name(key), _value(value)) for key, value in attributes.items() if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, Markup("").join(map(escape, children)))


def _name(key):
    return Markup(key if key == "viewBox" else key.rstrip("_").replace("_", "-"))


def _value(value):
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def chart(width, height, label, *children, **attributes):
    """Build a chart that scales with the page and has a label for screen readers."""
    return tag(
        "svg", *children, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_="chart", **attributes
    )
