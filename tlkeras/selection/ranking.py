"""The result of `rank`: compared candidates, ties and a recommendation, as text and as JSON."""

import textwrap
from dataclasses import asdict, dataclass

from tlkeras.selection.candidates import Candidate
from tlkeras.utils.tables import table

#: Width of the terminal, in columns, that text is formatted for.
COLUMNS = 80

#: Names of the probes in text.
PROBES = {"logistic": "logistic regression", "lda": "linear discriminant analysis"}


@dataclass(frozen=True)
class Ranked:
    """A candidate, and the accuracy of a probe on its features.

    Attributes:
        candidate: `Candidate` with the backbone, the block and their cost.
        images: Number of images on which the accuracies are measured.
        quick_accuracy: Leave-one-out accuracy of ridge regression, as a fraction.
        over_output: `(difference, standard error)`: quick accuracy minus the quick accuracy at the output of the same
            backbone; None if that output is not a candidate. If an earlier block leads, the images are probably unlike
            the images used for pretraining.
        probe: `"logistic"` or `"lda"`, whichever is more accurate, as in `tlkeras.linear_probe`; None for a candidate
            whose `quick_accuracy` was too far below the best.
        accuracy: Cross-validated accuracy of that probe, as a fraction, or None.
        standard_error: Standard error of `accuracy`; near-duplicates are treated as dependent.
        behind: Accuracy of the best candidate minus that of this one, or None.
        behind_error: Standard error of `behind`, computed from paired predictions for the same images.
    """

    candidate: Candidate
    images: int
    quick_accuracy: float
    over_output: tuple[float, float] | None = None
    probe: str | None = None
    accuracy: float | None = None
    standard_error: float | None = None
    behind: float | None = None
    behind_error: float | None = None

    @property
    def tied(self) -> bool:
        """Whether the candidate is within one standard error of the best."""
        return self.behind is not None and self.behind <= self.behind_error

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% interval for the accuracy on images like those in the comparison, or None.

        Two correct and two wrong predictions are added (Agresti and Coull, 1998), so the interval has a positive width
        even if all predictions are correct.
        """
        if self.accuracy is None:
            return None
        center = (self.accuracy * self.images + 2) / (self.images + 4)
        half = 1.96 * max(self.standard_error, (center * (1 - center) / (self.images + 4)) ** 0.5)
        return max(0.0, center - half), min(1.0, center + half)


@dataclass(frozen=True)
class Ranking:
    """A comparison of backbones and blocks on the user's images. It prints as a table with a recommendation.

    Attributes:
        rows: A `Ranked` for each candidate: first the cross-validated candidates, best first, then the remaining ones
            by quick accuracy.
        best: The row with the highest cross-validated accuracy.
        recommended: The cheapest row, by multiply-adds, within one standard error of the best.
        prior: The row of the whole backbone with the highest ImageNet accuracy among those that meet the budgets: the
            choice of a static list that ignores the images.
        lead: Accuracy of `recommended` minus that of `prior`, measured on the same images.
        lead_error: Standard error of `lead`.
        images: Number of images used for the comparison.
        classes: Number of classes.
        skipped: Unreadable files, a tuple of `SkippedFile`.
    """

    rows: tuple[Ranked, ...]
    best: Ranked
    recommended: Ranked
    prior: Ranked
    lead: float
    lead_error: float
    images: int
    classes: int
    skipped: tuple = ()

    @property
    def ties(self) -> tuple[Ranked, ...]:
        """The rows within one standard error of the best, including the best."""
        return tuple(row for row in self.rows if row.tied)

    @property
    def beats_prior(self) -> bool:
        """Whether the recommendation is more accurate than the static prior by more than one standard error."""
        return self.lead > self.lead_error

    def to_json(self) -> dict:
        """Return the ranking as a dict that JSON supports."""
        return {
            "images": self.images,
            "classes": self.classes,
            "skipped": [asdict(one) for one in self.skipped],
            "recommended": _name(self.recommended),
            "best": _name(self.best),
            "ties": [_name(row) for row in self.ties],
            "prior": {
                **_name(self.prior),
                "lead": self.lead,
                "lead_error": self.lead_error,
                "beaten": self.beats_prior,
            },
            "rows": [_row(row) for row in self.rows],
        }

    def __str__(self) -> str:
        return "\n".join([*self._heading(), "", *self._profiles(), self._table(), "", *self._sentences()])

    def _heading(self):
        backbones = len({row.candidate.backbone for row in self.rows})
        compared = f"{_counted(backbones, 'backbone')}, {_counted(len(self.rows), 'candidate')}"
        yield f"{self.images:,} images, {self.classes} classes; {compared}"
        if any(isinstance(row.candidate.block, tuple) for row in self.rows):
            yield "Each block below the output is read together with the two below it."
        if self.skipped:
            yield f"{_counted(len(self.skipped), 'unreadable file')}, such as {self.skipped[0].path}"

    def _profiles(self):
        """Format the quick accuracy of each block, one line per backbone."""
        profiles = {}
        for row in self.rows:
            profiles.setdefault(row.candidate.backbone, []).append(row)
        if all(len(rows) == 1 for rows in profiles.values()):
            return
        yield "Quick scores: leave-one-out accuracy of ridge regression, first block to output"
        width = max(map(len, profiles))
        for name, rows in profiles.items():
            rows = sorted(rows, key=lambda row: row.candidate.multiply_adds)
            best = max(rows, key=lambda row: row.quick_accuracy)
            shares = " ".join(f"{row.quick_accuracy:.2f}".removeprefix("0") for row in rows)
            text = f"{name:<{width}}  {shares}  best: {best.candidate.end}"
            yield textwrap.fill(text, max(COLUMNS, width + 40), subsequent_indent=" " * (width + 2))
        yield ""

    def _table(self):
        """Format the cross-validated rows as a table."""
        header = ("backbone", "up to", "accuracy", "95%", "vs best", "ms", "madds", "params", "file")
        rows = []
        for row in self.rows:
            if row.accuracy is not None:
                one = row.candidate
                low, high = row.interval
                ms = "-" if one.milliseconds is None else f"{one.milliseconds:.{0 if one.milliseconds >= 10 else 1}f}"
                cells = (one.backbone, one.end, f"{row.accuracy:.3f}", f"{low:.2f}-{high:.2f}")
                costs = (ms, _short(one.multiply_adds), _short(one.parameters), f"{one.file_size / 1e6:.1f}M")
                rows.append((*cells, self._versus(row), *costs))
        return table(header, rows)

    def _versus(self, row):
        if row is self.best:
            return "best"
        return "tie" if row.tied else f"-{row.behind:.3f}"

    def _sentences(self):
        chosen, prior = self.recommended, self.prior
        why = "the most accurate" if chosen is self.best else "the cheapest within one standard error of the best"
        if chosen is self.best and len(self.ties) > 1:
            why += ", and the cheapest of those within one standard error"
        elif chosen is not self.best:
            why += f" ({chosen.behind:.3f} ± {chosen.behind_error:.3f} behind)"
        yield _wrapped(f"Recommended: {chosen.candidate.label}, with {PROBES[chosen.probe]}: {why}.")
        name = f"Static prior (highest ImageNet accuracy within the budgets): {prior.candidate.label}"
        if prior is chosen:
            yield _wrapped(f"{name}, the same candidate.")
            return
        saved = 1 - chosen.candidate.multiply_adds / prior.candidate.multiply_adds
        fewer = f"{saved:.0%} fewer multiply-adds" if saved > 0.005 else ""
        measured = f"({self.lead:+.3f} ± {self.lead_error:.3f})"
        if self.beats_prior:
            verdict = f"On these images, the recommendation is better {measured}" + (fewer and f", with {fewer}")
        else:
            verdict = f"On these images, the recommendation is not clearly better {measured}" + (
                fewer and f", but needs {fewer}"
            )
        yield _wrapped(f"{name}. {verdict}.")


def _counted(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _wrapped(text):
    return textwrap.fill(text, COLUMNS, subsequent_indent="  ", break_on_hyphens=False)


def _short(number):
    """Format a count in at most five characters."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size or unit == "K":
            return f"{number / size:.{0 if number >= 100 * size else 1}f}{unit}"
    return str(number)


def _name(row):
    return {"backbone": row.candidate.backbone, "block": row.candidate.block}


def _row(row):
    costs = {
        name: getattr(row.candidate, name) for name in ("parameters", "multiply_adds", "milliseconds", "file_size")
    }
    measured = {key: value for key, value in asdict(row).items() if key != "candidate"}
    return {**_name(row), **measured, "interval": row.interval, "tied": row.tied, **costs}
