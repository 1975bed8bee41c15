"""The model card of a run: Markdown with a YAML header, in the format of the Hugging Face Hub."""

import json
import re

from tlkeras._version import __version__
from tlkeras.backbones.catalog import listed_info
from tlkeras.report.page import template
from tlkeras.report.sections.data import settings
from tlkeras.report.sections.headline import headline
from tlkeras.report.sections.mistakes import class_rows
from tlkeras.report.wording import plain

_MARKS = re.compile(r"([\\`*_\[\]#|<>~$&])")


def render_card(facts):
    """Render the model card of a run.

    Args:
        facts: `Facts` of the run.

    Returns:
        Markdown, str. It contains no images and no file names.
    """
    known = listed_info(facts.metrics["backbone"])
    return template("model_card.md").render(
        name=plain(facts.name),
        names=[plain(one) for one in facts.class_names],
        metrics=facts.metrics,
        scores=facts.scores,
        multilabel=facts.multilabel,
        headline=headline(facts),
        classes=class_rows(facts),
        settings=settings(facts),
        license=known.license if known else None,
        pretraining=known.pretraining if known else None,
        command=plain(facts.command),
        fence="`" * max(3, 1 + max(map(len, re.findall("`+", facts.command)), default=0)),
        version=__version__,
        md=markdown,
        yaml=yaml_text,
    )


def markdown(text):
    r"""Escape text for a Markdown paragraph or table.

    Example:

    >>> markdown("a|b <c>")
    'a\\|b \\<c\\>'
    """
    return _MARKS.sub(r"\\\1", plain(text))


def yaml_text(text):
    r"""Format text as a YAML scalar in double quotes.

    Example:

    >>> yaml_text('say "hi"')
    '"say \\"hi\\""'
    """
    return json.dumps(plain(text), ensure_ascii=False)
