"""Read an executed notebook as a lesson: its question, and what it shows, figure by figure, with findings."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
READ = ROOT / "notebooks" / "read"
NOTES = Path(__file__).parent / "notes"

_markdown = MarkdownIt("commonmark").enable("table")
#: A table or a numbered list of Markdown, up to the next empty line.
_BLOCK = re.compile(r"^(?:\|.*\n?)+|^1\. .*(?:\n\S.*|\n +\S.*)*", re.MULTILINE)
#: Calls of `tlkeras.teaching` that say what came out, and those that show a table.
_SAYING = re.compile(r"^teaching\.(finding|outcome)\(", re.MULTILINE)
_TABLES = re.compile(r"^teaching\.(table|scoreboard)\(", re.MULTILINE)


@dataclass
class Step:
    """One figure or table of a lesson, with what surrounds it.

    Attributes:
        heading: Heading of the section.
        prose: Markdown of the section before it, without the prediction.
        predict: Markdown of the question asked before it. Empty if there was none.
        choices: Answers to choose from, if the notebook offers any.
        image: Data URI of the picture, or empty.
        table: HTML of the table, or empty.
        alt: The picture in words.
        findings: What came out, each as `(kind, text)`. The kind is `"html"` or `"markdown"`.
    """

    heading: str
    prose: str = ""
    predict: str = ""
    choices: tuple = ()
    image: str = ""
    table: str = ""
    alt: str = ""
    findings: list = field(default_factory=list)

    @property
    def empty(self):
        """True as long as nothing has been shown or found."""
        return not (self.image or self.table or self.findings)


@dataclass
class Lesson:
    """What an executed notebook teaches.

    Attributes:
        name: Name of the notebook, such as `"03_feature_extraction"`.
        title: Its title, without the number.
        question: The question it answers, as Markdown.
        goals: Its objectives, each as Markdown.
        steps: Its figures and tables, in order.
        exercises: Its exercises, each as Markdown: the heading, and the first sentences of the task.
        recap: Its summary, each point as Markdown.
    """

    name: str
    title: str
    question: str
    goals: list
    steps: list
    exercises: list
    recap: list

    @property
    def number(self):
        """Number of the lesson, as two digits."""
        return self.name[:2]


def names(folder=READ):
    """Return the names of all notebooks in the order of the course."""
    return sorted(path.stem for path in folder.glob("[0-9][0-9]_*.ipynb"))


def read_lesson(path):
    """Read a lesson from an executed notebook.

    Args:
        path: Notebook file with its outputs.

    Returns:
        `Lesson`.
    """
    cells = nbformat.read(path, as_version=4).cells
    first = cells[0].source
    markdown = [cell.source for cell in cells if cell.cell_type == "markdown"]
    recap = next((text for text in reversed(markdown) if text.startswith("## Recap")), "")
    return Lesson(
        name=Path(path).stem,
        title=re.sub(r"^\d+\s*·\s*", "", re.search(r"^# (.+)$", first, re.MULTILINE).group(1)),
        question=_paragraph(first, "Question"),
        goals=_bullets(first),
        steps=_steps(cells),
        exercises=[exercise for text in markdown for exercise in _exercises(text)],
        recap=_bullets(recap),
    )


def to_html(markdown, with_links=False):
    """Render Markdown. Links to other pages become plain text by default, since a slide stands alone."""
    return _markdown.render(markdown if with_links else re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", markdown))


def read_notes(name, folder=NOTES):
    """Read the teacher's notes of a lesson as a dict from heading to Markdown; the opening has the key `""`."""
    path = folder / f"{name}.md"
    if not path.exists():
        return {}
    opening, *sections = re.split(r"^## ", path.read_text("utf-8"), flags=re.MULTILINE)
    parted = {section.partition("\n")[0].strip(): section.partition("\n")[2].strip() for section in sections}
    return {"": re.sub(r"^# .*\n", "", opening).strip(), **parted}


def read_polls(notes):
    """Read the polls in a lesson's notes.

    Args:
        notes: Result of `read_notes`.

    Returns:
        List of `(question, choices, answer)`, all Markdown.
    """
    polls = []
    for poll in re.split(r"^### ", notes.get("Polls", ""), flags=re.MULTILINE)[1:]:
        question, _, rest = poll.partition("\n")
        choices, _, answer = rest.partition("**Answer.**")
        polls.append((question.strip(), choices.strip(), answer.strip()))
    return polls


def _steps(cells):
    """Collect figures and tables, each with the text before it and the findings after it."""
    steps, heading, now = [], "", Step("")
    for cell in cells[1:]:
        if cell.cell_type == "markdown":
            if title := re.search(r"^## (.+)$", cell.source, re.MULTILINE):
                heading = title.group(1)
                if heading.startswith(("Exercise", "Question", "Quiz", "Did it all hold", "Read on", "Recap")):
                    break
            if not now.empty:
                now = Step(heading)
            now.heading = heading
            prose, prediction = _parted(cell.source)
            if block := _BLOCK.search(prose):
                part = re.search(r"^### (.+)$", cell.source, re.MULTILINE)
                now = Step(part.group(1) if part else heading, table=to_html(block.group()))
                prose = prose.replace(block.group(), "")
                steps.append(now)
            now.prose = f"{now.prose}\n\n{prose}".strip()
            now.predict = prediction or now.predict
        elif cell.cell_type == "code":
            if "teaching.predict(" in cell.source:
                if not now.empty:
                    now = Step(heading)
                now.predict, now.choices = _question(now, cell.source), _choices(cell.source)
            for shown in _shown(cell):
                if shown.image or shown.table:
                    if now.image or now.table or (shown.image and now.findings):
                        now = Step(heading)
                    now.heading = shown.heading or now.heading
                    now.image, now.table, now.alt = shown.image, shown.table, shown.alt
                now.findings += shown.findings
                if not now.empty and (not steps or steps[-1] is not now):
                    steps.append(now)
    return steps


def _shown(cell):
    """Yield what a code cell shows, each as a step without its surroundings."""
    saying, table = _SAYING.search(cell.source), _TABLES.search(cell.source)
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        image = next((kind for kind in data if kind.startswith("image/")), None)
        if image:
            alt = output.metadata.get(image, {}).get("alt") or _plain(data.get("text/plain", ""))
            yield Step("", image=_uri(image, data[image]), alt=alt)
        elif saying and (kind := next((kind for kind in ("text/html", "text/markdown") if kind in data), None)):
            yield Step("", findings=[(kind.removeprefix("text/"), _said(data[kind]))])
        elif table and "text/html" in data:
            board = table.group(1) == "scoreboard"
            yield Step("Scoreboard" if board else "", table=_news(data["text/html"]) if board else data["text/html"])


def _news(board):
    """Shorten a scoreboard to its first row, the baseline, and the rows of this lesson, which have bold cells."""
    head, _, body = board.partition("<tbody>")
    first, *rows = re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    return f"{head}<tbody>{first}{''.join(row for row in rows if '<th' in row)}</tbody></table>"


def _said(markdown):
    """Take a callout out of its box, and leave out the guess of whoever executed the notebook."""
    text = re.sub(r"^> ?", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"^\*\*Finding\.\*\*\s*", "", text)
    text = text.replace("**You guessed it.**", "**What came:**")
    return re.sub(r"^\*\*Your guess\.\*\*.*?(?=\*\*What came:)", "", text, flags=re.DOTALL)


def _parted(source):
    """Part the text of a cell into prose, without headings, and the prediction that it asks for."""
    prose, _, prediction = source.partition("**Predict.**")
    prose = "\n".join(line for line in prose.splitlines() if not line.startswith("#"))
    return prose.strip(), prediction.strip()


def _question(step, source):
    """Return what the class is asked: the questions at the end of the text, and the comment above the guess."""
    comment = re.sub(r"^# ?", "", re.match(r"(?:#.*\n)*", source).group(), flags=re.MULTILINE)
    paragraph = step.prose.rpartition("\n\n")[2]
    asked = [text for text in re.split(r"(?<=[.?!]) ", " ".join(paragraph.split())) if text.endswith("?")]
    return f"{step.predict or ' '.join(asked) or paragraph}\n\n{comment}".strip()


def _choices(source):
    """Return the choices of the guess in a cell: the argument of `teaching.predict`, written there or named above."""
    named, given = {}, None
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named[node.targets[0].id] = node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "predict":
            given = next((one.value for one in node.keywords if one.arg == "choices"), None)
            given = given or (node.args[2] if len(node.args) > 2 else None)
    given = named.get(getattr(given, "id", None), given)
    try:
        return tuple(map(str, ast.literal_eval(given))) if given else ()
    except ValueError:  # computed in the notebook
        return ()


def _exercises(source):
    """Return the exercises of a cell, each shortened to its heading and at most 160 letters of whole sentences."""
    found = []
    for heading, task in re.findall(r"^### (Exercise .+)\n+((?:[^#<\n].*\n?)*)", source, re.MULTILINE):
        sentences, kept = re.split(r"(?<=[.?!]) ", " ".join(task.split())), ""
        for sentence in sentences:
            if kept and len(kept) + len(sentence) > 160:
                break
            kept = f"{kept} {sentence}".strip()
        found.append(f"**{heading}.** {kept}".strip())
    return found


def _uri(kind, data):
    if kind == "image/svg+xml":
        from urllib.parse import quote

        return f"data:{kind},{quote(data)}"
    return f"data:{kind};base64,{''.join(data.split())}"


def _plain(text):
    return "" if text.startswith("<") else text


def _paragraph(source, word):
    found = re.search(rf"\*\*{word}\.\*\*\s*(.+?)(?:\n\n|$)", source, re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


def _bullets(source):
    """Return the points of the first list of a text, each on one line."""
    block = re.search(r"(?:^- .*\n?(?:^[ \t]+\S.*\n?)*)+", source, re.MULTILINE)
    return (
        [" ".join(point.split()) for point in re.split(r"^- ", block.group(), flags=re.MULTILINE)[1:]] if block else []
    )
