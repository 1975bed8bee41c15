"""The page of an adapted run, which describes the adaptation and the limits of its measurements."""

from importlib import resources

from markupsafe import Markup

from tlkeras._version import __version__
from tlkeras.report.page import template
from tlkeras.report.wording import count, percent, plain


def render_adapted_page(name, class_names, metrics, lines, command):
    """Render the page of an adapted run.

    Args:
        name: Title, such as the name of the run's folder.
        class_names: Class names, in index order.
        metrics: Contents of the run's `metrics.json`, including `adaptation` and the scores of the original run.
        lines: Sentences that describe the adaptation.
        command: Command or Python call that reproduces the run.

    Returns:
        HTML, str. Names are escaped, and the page's Content-Security-Policy forbids scripts and requests.
    """
    facts, scores = metrics["adaptation"], metrics.get("scores", {})
    before, now = facts["shares"]
    labeled = facts.get("labeled")
    if labeled:
        old, new = map(percent, labeled["accuracy"])
        labeled = {"images": count(labeled["images"], "image"), "before": old, "now": new}
    original = None
    if "accuracy" in scores:
        original = (
            f"The original run had an accuracy of {percent(scores['accuracy'])} on its own domain, "
            f"measured on {count(scores['images'], 'image')}. This number does not apply to the new images."
        )
    rows = sorted(zip(class_names, before, now, strict=True), key=lambda row: -row[2])
    return template("adapted.html").render(
        name=plain(name),
        kinds=count(len(class_names), "class"),
        images=count(facts["images"], "image"),
        labeled=labeled,
        original=original,
        lines=lines,
        rows=[{"name": one, "before": percent(old, 0), "now": percent(new, 0), "share": new} for one, old, new in rows],
        command=plain(command),
        version=__version__,
        style=Markup(resources.files("tlkeras.report").joinpath("templates/style.css").read_text("utf-8")),
    )
