"""The page of a run: a self-contained HTML file that supports dark mode, phones, keyboards and screen readers."""

from functools import cache
from importlib import resources

from markupsafe import Markup

from tlkeras._version import __version__
from tlkeras.report.exports import PLACE
from tlkeras.report.sections.calibration import calibration
from tlkeras.report.sections.data import data_summary, settings
from tlkeras.report.sections.headline import headline
from tlkeras.report.sections.image_map import image_map
from tlkeras.report.sections.mistakes import class_rows, confusion
from tlkeras.report.sections.pictures import pictures
from tlkeras.report.sections.training import training
from tlkeras.report.wording import count, plain, size

_STRATEGIES = {"features": "linear probe on frozen features", "finetune": "fine-tuned", "auto": "automatic strategy"}


def render_page(facts):
    """Render the page of a run.

    Args:
        facts: `Facts` of the run.

    Returns:
        HTML, str. Names of classes and files are escaped, and the page's Content-Security-Policy forbids scripts and
        requests.
    """
    shown = pictures(facts)
    context = {
        "headline": headline(facts),
        "confusion": confusion(facts),
        "classes": class_rows(facts),
        "pictures": shown,
        "calibration": calibration(facts),
        "map": image_map(facts),
        "training": training(facts),
        "data": data_summary(facts),
        "exports": Markup(PLACE),
    }
    context["sections"] = [
        (anchor, title)
        for anchor, title, there in (
            ("result", "Result", True),
            ("confusion", "Mistakes", context["confusion"]),
            ("classes", "Labels" if facts.multilabel else "Classes", True),
            ("pictures", "Images", shown["mistakes"] or shown["unsure"]),
            ("suspects", "Labels to check", shown["suspects"]),
            ("calibration", "Probabilities", True),
            ("map", "Map", context["map"]),
            ("training", "Training", True),
            ("data", "Data", True),
            ("again", "Reproduce", True),
        )
        if there
    ]
    return template("report.html").render(
        name=plain(facts.name),
        metrics=facts.metrics,
        multilabel=facts.multilabel,
        kinds=count(len(facts.class_names), "label" if facts.multilabel else "class"),
        notes=facts.notes,
        strategy=_STRATEGIES.get(facts.metrics["strategy"], facts.metrics["strategy"]),
        date=facts.events[-1]["time"][:10] if facts.events and "time" in facts.events[-1] else None,
        settings=settings(facts),
        files=[(name, size(number)) for name, number in facts.files.items()],
        command=plain(facts.command),
        pictured=count(shown["count"], "image"),
        version=__version__,
        style=Markup(resources.files("tlkeras.report").joinpath("templates/style.css").read_text("utf-8")),
        **context,
    )


@cache
def template(name):
    """Load a template of this package, once per process. HTML templates escape their variables."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tlkeras.report"),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    return environment.get_template(name)
