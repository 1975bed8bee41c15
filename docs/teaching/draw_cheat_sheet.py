"""Draw the cheat sheet with the decision chart, one landscape page, as cheat_sheet.pdf and cheat_sheet.svg.

python docs/teaching/draw_cheat_sheet.py
"""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
WIDTH, HEIGHT = 297, 210  # A4 in millimeters
INK, SOFT, LINE, BLUE, BAND, AMBER = "#1b1c1e", "#55585e", "#c9c9c4", "#0a5aa8", "#e6f0fa", "#fbeedd"
TITLE = "Transfer learning with Keras: the decisions on one page"

#: The path that every project takes: what to do, the command, and what it gives.
PATH = (
    ("Look at the images first", "tlkeras check DIR", "damaged files, near-duplicates, suspect labels"),
    ("Start with a probe on features", "tlkeras fit DIR -o RUN", "an accuracy with its interval, in a minute"),
    (
        "Accurate enough?",
        "",
        "Compare the lower end of the interval and the\nmistakes in RUN/report.html with what you need.",
    ),
    (
        "Can its probabilities be trusted?",
        "tlkeras fit DIR --calibrate --reject",
        "90% means 90%, or “none of these”",
    ),
    ("Ship it", "tlkeras export RUN -o phone", "a file that was compared with the model"),
)
#: What to try if it is not accurate enough: the symptom, the commands, and what to know.
REMEDIES = (
    ("Labels look wrong in the report", "tlkeras check DIR", "Fix the labels before anything else."),
    ("Few images per class", "tlkeras learning-curve DIR", "Forecasts what more images would bring."),
    ("You can label only some of them", "tlkeras label-order DIR -o labels.csv", "Says which to label first."),
    (
        "The backbone or block may not suit",
        "tlkeras advise DIR",
        "Compares those on this machine, on your images.",
    ),
    (
        "1,000 images or more, probe below 95%",
        "tlkeras fit DIR -o RUN2 --strategy auto",
        "Fine-tunes, and keeps it only if it is better.",
    ),
    (
        "Good here, bad with another camera",
        "tlkeras evaluate RUN --shifted NEW",
        "Then: tlkeras adapt RUN --images NEW -o RUN3",
    ),
)
#: The same by hand: what for, and the code.
CODE = (
    ("Splits without leaks", 'images = tlkeras.load_images("photos", seed=0)'),
    (
        "Frozen features for scikit-learn, then one model",
        "pipe = make_pipeline(tlkeras.FeatureExtractor(),\n"
        "    StandardScaler(), LogisticRegression(C=0.01))\n"
        "pipe.fit(images.train.paths, images.train.labels)\n"
        "model = tlkeras.fold(pipe)",
    ),
    (
        "Fine-tuning that starts from the probe",
        "model = tlkeras.image_classifier(\n"
        '    "efficientnet_lite0", classes=images.class_names)\n'
        "tlkeras.fine_tune(model, images.train, images.validation)",
    ),
    (
        "Freezing and learning rates, by hand",
        "tlkeras.freeze(model)            # BatchNorm statistics too\n"
        "tlkeras.unfreeze(model, last=2)  # the last two blocks\n"
        "adam = keras.optimizers.AdamW(1e-3)\n"
        "optimizer = tlkeras.differential_optimizer(\n"
        "    model, adam, layer_decay=0.7)\n"
        'model.compile(optimizer, loss, metrics=["accuracy"])\n'
        "print(tlkeras.trainable_table(model))",
    ),
    ("Is A better than B?", "print(tlkeras.compare(a, b, train=342, test=85))"),
)
HABITS = (
    "Validation images choose. Test images measure, once.",
    "An accuracy without an interval is half a number.",
    "Show the baselines: largest class, probe, from scratch.",
    "Keep near-duplicates on one side of every split.",
    "“Cannot be told apart with this many images” is a result.",
)


def draw():
    """Return the page as a figure."""
    figure = Figure(figsize=(WIDTH / 25.4, HEIGHT / 25.4), facecolor="white")
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    page.axis("off")
    _text(page, 10, 12.5, TITLE, 15, weight="bold")
    note = "DIR has one folder per class. Each command is a Python function too. All of this works without a network."
    _text(page, 10, 18.8, note, 8, color=SOFT)
    _draw_path(page)
    _draw_remedies(page)
    _draw_code(page)
    _draw_habits(page)
    return figure


def write(folder=HERE):
    """Write both files. Equal content gives equal files."""
    figure = draw()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "tlkeras", "pdf.fonttype": 42}
    with matplotlib.rc_context(settings):
        figure.savefig(folder / "cheat_sheet.pdf", metadata={"Title": TITLE, "CreationDate": None})
        figure.savefig(folder / "cheat_sheet.svg", metadata={"Title": TITLE, "Date": None})
    # Code is indented, and SVG drops spaces unless told not to. Other machines may not have these fonts.
    drawing = folder / "cheat_sheet.svg"
    text = drawing.read_text("utf-8").replace("<text ", '<text xml:space="preserve" ')
    text = text.replace("'DejaVu Sans Mono'", "'DejaVu Sans Mono', monospace")
    drawing.write_text(text.replace("'DejaVu Sans';", "'DejaVu Sans', Verdana, sans-serif;"), "utf-8")


def _draw_path(page):
    left, width, height, gap = 10, 74, 24, 9.3
    _text(page, left, 31, "Every project", 9.8, weight="bold")
    for number, (what, command, gives) in enumerate(PATH):
        top = 35 + number * (height + gap)
        decision = not command
        _box(page, left, top, width, height, AMBER if decision else BAND)
        _text(page, left + 4, top + 6.5, what, 9.4, weight="bold")
        if command:
            _text(page, left + 4, top + 13, command, 7.2, color=BLUE, mono=True)
        _text(page, left + 4, top + (13 if decision else 19.5), gives, 7.8, color=SOFT)
        if number + 1 < len(PATH):
            _arrow(page, (left + width / 2, top + height), (left + width / 2, top + height + gap))
            if decision:
                _text(page, left + width / 2 + 2.5, top + height + gap / 2 + 1, "yes", 8, weight="bold")
        if decision:
            middle = top + height / 2
            _arrow(page, (left + width, middle), (left + width + 12, middle))
            _text(page, left + width + 3, middle - 2, "no", 8, weight="bold")


def _draw_remedies(page):
    left, width, height, gap = 96, 78, 22.5, 4.4
    _text(page, left, 31, "If not: find out why", 9.8, weight="bold")
    for number, (symptom, command, gives) in enumerate(REMEDIES):
        top = 35 + number * (height + gap)
        _box(page, left, top, width, height, "white")
        _text(page, left + 4, top + 6.2, symptom, 8.8, weight="bold")
        _text(page, left + 4, top + 12.4, command, 7.6, color=BLUE, mono=True)
        _text(page, left + 4, top + 18.4, gives, 7.8, color=SOFT)
    rule = "Change one thing at a time. No clear gain? Keep the simpler."
    _text(page, left, 199, rule, 8, color=SOFT)


def _draw_code(page):
    left, top = 184, 31
    _text(page, left, top, "In Python", 9.8, weight="bold")
    top += 4
    for what, code in CODE:
        lines = code.count("\n") + 1
        height = 9 + 3.7 * lines
        _box(page, left, top, WIDTH - 10 - left, height, "white")
        _text(page, left + 3.5, top + 5.2, what, 8.4, weight="bold")
        _text(page, left + 3.5, top + 10.2, code, 7, mono=True, spacing=1.25)
        top += height + 2.6


def _draw_habits(page):
    left, top = 184, 155.5
    _box(page, left, top, WIDTH - 10 - left, 36.7, AMBER)
    _text(page, left + 3.5, top + 6, "Five habits", 9.2, weight="bold")
    for number, habit in enumerate(HABITS):
        _text(page, left + 3.5, top + 12 + 5.4 * number, f"{number + 1}  {habit}", 7.8)


def _box(page, left, top, width, height, color):
    style = "round,pad=0,rounding_size=2"
    page.add_patch(FancyBboxPatch((left, top), width, height, style, facecolor=color, edgecolor=LINE, linewidth=0.7))


def _arrow(page, start, end):
    page.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=SOFT, shrinkA=0, shrinkB=0))


def _text(page, x, y, text, size, color=INK, weight="normal", mono=False, spacing=1.3):
    family = "DejaVu Sans Mono" if mono else "DejaVu Sans"
    vertical = "baseline" if "\n" not in text else "top"
    y = y - 2.4 if "\n" in text else y
    style = {"color": color, "weight": weight, "family": family, "linespacing": spacing}
    page.text(x, y, text, fontsize=size, va=vertical, parse_math=False, **style)


if __name__ == "__main__":
    write()
