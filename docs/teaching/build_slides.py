"""Write slides for every module from its executed notebook and its teacher's notes, one HTML file each.

The files load nothing: pictures, style and script are inside. Arrow keys turn the slides, N shows speaker notes.

python docs/teaching/build_slides.py [--output dist/slides] [NAME ...]
"""

import argparse
import base64
import io
import re
from pathlib import Path

import jinja2
from lessons import READ, ROOT, names, read_lesson, read_notes, read_polls, to_html
from markupsafe import Markup
from PIL import Image

MOST, _ASKED = 12, 2
TEMPLATES = Path(__file__).parent / "templates"
#: A picture has the findings beside it if it is at most this many times as wide as high, with short and long findings.
_BESIDE, _BESIDE_LONG, _LONG = 1.45, 2.2, 200
#: What a slide says of a figure has about this many letters, and fewer below a table or wide picture. The rest goes
#: into the notes.
_MOST_LETTERS, _MOST_LETTERS_BELOW = 360, 240


def environment():
    """Return the Jinja environment of the teaching pages."""
    settings = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    return jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, **settings)


def html(text):
    """Render Markdown for a slide."""
    return Markup(to_html(text))


def outline(lesson, notes):
    """Choose the slides of a lesson: at most 12.

    Title, goals, exercises and recap always stay, and one poll. Figures with findings come before others. Two of the
    questions that the notebook asks before a figure get a slide of their own, so that the class can vote. More of them
    and further polls fill the rest.

    Args:
        lesson: `lessons.Lesson`.
        notes: Result of `lessons.read_notes`.

    Returns:
        List of dicts with the keys that the template reads.
    """
    polls = [
        _slide("poll", asked, html(choices), html(answer), kicker="Vote")
        for asked, choices, answer in read_polls(notes)
    ]
    opening = [_slide("title", body=html(lesson.question), notes=html(notes.get("", "")))]
    if lesson.goals:
        opening.append(_points("You will be able to", lesson.goals, notes.get("Before you start", "")))
    closing = []
    if lesson.exercises:
        closing.append(_points("Your turn", lesson.exercises, notes.get("Usual wrong answers", "")))
    if lesson.recap:
        closing.append(_points("What to remember", lesson.recap, notes.get("Expected ranges", "")))
    room = MOST - len(opening) - len(closing) - len(polls[:1])
    questions = sum(bool(step.predict) for step in lesson.steps)
    shown = _worth_showing(lesson.steps, room - min(_ASKED, questions))
    asked = [step for step in shown if step.predict][: room - len(shown)]
    middle = []
    for step in shown:
        if any(step is one for one in asked):
            middle.append(_slide("predict", "", html(step.predict), _say(step), kicker="Predict", choices=step.choices))
        middle.append(_figure(step, asked_before=any(step is one for one in asked)))
    spare = MOST - len(opening) - len(middle) - len(closing)
    return opening + middle + polls[:spare] + closing


def render(lesson, notes):
    """Render the slides of a lesson as one HTML page."""
    return environment().get_template("slides.html").render(lesson=lesson, slides=outline(lesson, notes))


def write_slides(folder, chosen=None, read=READ):
    """Write the slides of the chosen lessons, or of all, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in chosen or names(read):
        written.append(folder / f"{name}.html")
        written[-1].write_text(render(read_lesson(read / f"{name}.ipynb"), read_notes(name)), "utf-8")
    return written


def _worth_showing(steps, room):
    """Choose at most `room` steps, those with a picture and a finding first, and keep their order."""
    worth = {id(step): _worth(step) for step in steps}
    best = sorted(steps, key=lambda step: worth[id(step)], reverse=True)[:room]
    return [step for step in steps if any(step is one for one in best)]


def _worth(step):
    """Return what steps are sorted by: what they say and show, then questions before figures and lengths of tables."""
    says = bool(step.findings) or "<li>" in step.table
    return bool(step.image) + says, bool(step.image), bool(step.image and step.predict), _lines(step.table)


def _slide(kind, heading="", body="", notes="", **more):
    return {"kind": kind, "heading": heading, "body": body, "notes": notes, "kicker": "", "choices": (), **more}


def _points(heading, points, notes):
    return _slide("points", heading, html("\n".join(f"- {point}" for point in points)), html(notes))


def _figure(step, asked_before):
    ratio = _width_per_height(step.image) if step.image else 1
    below = bool(step.table) or ratio > _BESIDE_LONG
    said, more = _parted(step.findings, _MOST_LETTERS_BELOW if below else _MOST_LETTERS)
    findings = [html(text) if kind == "markdown" else Markup(text) for kind, text in said]
    letters = sum(len(text) for _, text in said)
    question = "" if asked_before or not step.predict else f"**Ask before you show it.** {step.predict}\n\n"
    return _slide(
        "shown",
        step.heading,
        notes=html(question) + html(f"**Then say.** {more}" if more else "") + _say(step),
        image=Markup(step.image),
        alt=step.alt or _plain(" ".join([f"Figure: {step.heading}.", *findings])),
        table=Markup(step.table),
        size=f"{_size(step.table, bool(letters)):.2f}",
        findings=findings,
        ratio=f"{ratio:.3f}",
        beside=bool(step.image and letters) and ratio <= (_BESIDE_LONG if letters > _LONG else _BESIDE),
    )


def _parted(findings, room):
    """Part findings into those that fit on a slide, by whole sentences, and Markdown for the notes."""
    said, more = [], []
    for kind, text in findings:
        kept = []
        for sentence in re.findall(r".+?(?:[.?!](?=\s)\s*|$)", text, re.DOTALL) if kind == "markdown" else [text]:
            fits = not more and (len(sentence) <= room or not (said or kept))
            (kept if fits else more).append(sentence)
            room -= len(sentence)
        if kept:
            said.append((kind, "".join(kept)))
        more += [" "] if more else []
    return said, "".join(more).strip()


def _lines(table):
    """Estimate the lines of a table or list on a slide, from the longest cell of each row."""
    rows = re.findall(r"<(?:tr|li)>.*?</(?:tr|li)>", table, re.DOTALL)
    letters = 80 if "<li>" in table else 56
    return sum(1 + max(len(_plain(cell)) for cell in re.split(r"<t[dh]", row)) // letters for row in rows)


def _size(table, said):
    """Estimate the font size, at most 1, at which a table or list fits. On screen the page corrects the estimate."""
    fitting = 11 if "<li>" in table else 7 if said else 9
    return max(0.5, min(1, fitting / max(1, _lines(table))))


def _say(step):
    return html(f"**From the notebook.** {step.prose}" if step.prose else "")


def _plain(markup):
    return " ".join(Markup(markup).striptags().split())


def _width_per_height(uri):
    kind, _, data = uri.partition(";base64,")
    if not data or "svg" in kind:
        return 2.0
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return image.width / image.height


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", help="modules, such as 03_feature_extraction; by default all")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "slides")
    arguments = parser.parse_args()
    for file in write_slides(arguments.output, arguments.name):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
