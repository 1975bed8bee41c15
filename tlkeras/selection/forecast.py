"""A measured learning curve and its forecasts, as text, as a table, as JSON and as a figure."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from tlkeras.evaluation.illustration import HUES, INK, SOFT, Illustration, finish, plain_axes
from tlkeras.selection.curve_fits import FAMILIES, CurveFits, fit_curves
from tlkeras.utils.tables import table
from tlkeras.utils.validation import check_number, invalid

#: Resampled curves per family, and the quantiles that bound 80% of the forecasts.
DRAWS, LOW, HIGH = 200, 0.1, 0.9

#: A forecast extends to at most this many times the available images.
REACH = 3


class Forecast(NamedTuple):
    """An accuracy, or a difference in accuracy, predicted by a learning curve.

    Attributes:
        per_class: Number of images per class to which the forecast applies; for a difference, the number of images
            added per class.
        accuracy: Median of the forecasts, as a fraction.
        low: 10th percentile of the forecasts.
        high: 90th percentile of the forecasts.
    """

    per_class: float
    accuracy: float
    low: float
    high: float


class Hindcast(NamedTuple):
    """A forecast of an accuracy that was also measured, made from measurements on at most half as many images.

    Attributes:
        per_class: Number of training images per class in the measurement.
        from_per_class: Size of the largest training set that the forecast is based on, in images per class.
        predicted: Forecast accuracy, as in `Forecast.accuracy`.
        low: 10th percentile of the forecasts, as in `Forecast.low`.
        high: 90th percentile of the forecasts, as in `Forecast.high`.
        measured: Measured accuracy.
    """

    per_class: float
    from_per_class: float
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def error(self) -> float:
        """Predicted minus measured accuracy."""
        return self.predicted - self.measured


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy against the number of training images per class, measured and forecast.

    `tlkeras.learning_curve` returns this object, which prints as a table followed by the forecast in words.

    Attributes:
        per_class: float64 array of shape `(sizes,)`: mean number of training images per class, ascending.
        accuracy: float64 array of shape `(sizes,)`: fraction of images classified correctly.
        standard_error: float64 array of shape `(sizes,)`: standard error of `accuracy`; images in the same group are
            treated as dependent.
        now: Mean number of available images per class. Probes are trained on at most four fifths of them.
        hindcast: `Hindcast`: a forecast of the last measured accuracy, from measurements on at most half as many
            images.
        fits: Tuple of `CurveFits`, one per family, fitted to the resampled measurements.
    """

    per_class: np.ndarray
    accuracy: np.ndarray
    standard_error: np.ndarray
    now: float
    hindcast: Hindcast
    fits: tuple[CurveFits, ...] = field(repr=False)

    @classmethod
    def fitted(
        cls, per_class: np.ndarray, right: np.ndarray, groups: np.ndarray, now: float, seed: int = 0
    ) -> "LearningCurve":
        """Fit curves to measurements.

        Args:
            per_class: Array of shape `(sizes,)`: numbers of training images per class, ascending.
            right: Bool array of shape `(rounds, sizes, images)`: whether each image was classified correctly.
            groups: Int array of shape `(images,)`; images in the same group are resampled together.
            now: Number of available images per class.
            seed: Seed for the resampling.

        Returns:
            `LearningCurve`.
        """
        draws = _resampled(right, groups, np.random.default_rng(seed))
        error = np.maximum(draws.std(axis=0), 1e-4)
        accuracy = right.mean(axis=(0, 2))
        past = per_class <= per_class[-1] / 2 * 1.001
        known = _quantiles(_predicted(_fits(per_class[past], draws[:, past], error[past]), per_class[-1]))
        hindcast = Hindcast(per_class[-1], per_class[past][-1], *known, accuracy[-1])
        hindcast = Hindcast(*map(float, hindcast))
        return cls(per_class, accuracy, error, float(now), hindcast, _fits(per_class, draws, error))

    def forecast(self, per_class: float) -> Forecast:
        """Forecast the accuracy on new images that are like the available ones.

        Args:
            per_class: Number of training images per class, up to 3 times the available number.

        Raises:
            InputError: `per_class` is not positive, or is more than 3 times the available number.

        Example:

        >>> right = np.arange(100) < np.array([50, 60, 66, 71, 75, 78, 80, 82])[:, None]
        >>> sizes = 40 * 2.0 ** (np.arange(-7, 1) / 2)
        >>> curve = LearningCurve.fitted(sizes, right[None], np.arange(100), now=50)
        >>> 0.8 < curve.forecast(100).accuracy < 0.95
        True
        """
        self._check("per_class", per_class)
        return Forecast(float(per_class), *_quantiles(_predicted(self.fits, per_class)))

    def gain(self, more: float) -> Forecast:
        """Forecast the gain in accuracy from adding images to all those available now.

        Args:
            more: Number of images to add per class, up to twice the available number.

        Raises:
            InputError: `more` is not positive, or is more than twice the available number.
        """
        self._check("more", more, self.now)
        gains = _predicted(self.fits, self.now + more) - _predicted(self.fits, self.now)
        return Forecast(float(more), *_quantiles(gains))

    def _check(self, name, value, less=0.0):
        most = REACH * self.now - less
        if check_number(name, value, "(0, inf)") > most * (1 + 1e-9):
            advice = f"A forecast extends to at most {REACH} times the {self.now:.0f} available images per class."
            raise invalid(name, value, f"be at most {most:.0f}", advice)

    def sentences(self, more: float | None = None) -> list[str]:
        """Describe the forecast gain from more images, and how accurate a forecast of this kind would have been.

        Args:
            more: Number of images to add per class. Defaults to about the available number.

        Returns:
            List of two sentences.
        """
        gain = self.gain(_rounded(self.now) if more is None else more)
        points, low, high = (round(100 * share) for share in gain[1:])
        number = f"{gain.per_class:.0f} more images per class"
        if points < 1:
            first = f"About {number} would raise the accuracy by less than 1 point ({low} to {high})."
        else:
            unit = "point" if points == 1 else "points"
            first = f"About {number} would raise the accuracy by about {points} {unit} ({low} to {high})."
        past = self.hindcast
        return [
            first,
            f"Check on your images: from {past.from_per_class:.0f} per class, the same method predicts "
            f"{past.predicted:.1%} ({past.low:.0%} to {past.high:.0%}) for {past.per_class:.0f} per class. "
            f"The measured accuracy is {past.measured:.1%}, a difference of {abs(100 * past.error):.1f} points.",
        ]

    def forecasts(self) -> list[Forecast]:
        """Forecast the accuracy with all available images, and with two and three times as many."""
        return [self.forecast(times * self.now) for times in range(1, REACH + 1)]

    def to_json(self, more: float | None = None) -> dict:
        """Return the measurements and forecasts as a dict of plain numbers and lists.

        Args:
            more: As in `sentences`.
        """
        columns = (self.per_class.tolist(), self.accuracy.tolist(), self.standard_error.tolist())
        names = ("per_class", "accuracy", "standard_error")
        return {
            "images_per_class": self.now,
            "measured": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)],
            "forecast": [one._asdict() for one in self.forecasts()],
            "gain": self.gain(_rounded(self.now) if more is None else more)._asdict(),
            "hindcast": {**self.hindcast._asdict(), "error": self.hindcast.error},
            "sentences": self.sentences(more),
        }

    def table(self) -> str:
        """Return the measurements and forecasts as a table."""
        rows = [
            (f"{size:.1f}", f"{accuracy:.3f}", f"± {error:.3f}", "measured")
            for size, accuracy, error in zip(self.per_class, self.accuracy, self.standard_error, strict=True)
        ]
        notes = ("forecast: all images", *(f"forecast: {times} times as many" for times in range(2, REACH + 1)))
        for one, note in zip(self.forecasts(), notes, strict=True):
            rows.append((f"{one.per_class:.1f}", f"{one.accuracy:.3f}", f"{one.low:.3f} to {one.high:.3f}", note))
        return table(("images per class", "accuracy", "uncertainty", ""), rows)

    def __repr__(self) -> str:
        return "\n".join([self.table(), "", *self.sentences()])

    def figure(self) -> Figure:
        """Draw the measurements with their standard errors, the forecast with its 80% interval, and the hindcast."""
        figure = Illustration(figsize=(7, 3.8))
        axes = figure.subplots()
        plain_axes(axes, grid="y")
        sizes = np.geomspace(self.per_class[0], REACH * self.now, 100)
        curves = np.concatenate([fits(sizes) for fits in self.fits])
        low, middle, high = 100 * np.quantile(curves, (LOW, 0.5, HIGH), axis=0)
        axes.fill_between(sizes, low, high, color=HUES[0], alpha=0.15, linewidth=0, label="80% of the forecasts")
        axes.plot(sizes, middle, "--", color=HUES[0], label="forecast")
        shares, errors = 100 * self.accuracy, 100 * self.standard_error
        axes.errorbar(self.per_class, shares, errors, fmt="o", color=INK, capsize=3, label="measured, ± standard error")
        past = self.hindcast
        known = f"hindcast, from {past.from_per_class:.0f} per class"
        expected, *ends = 100 * np.array([past.predicted, past.low, past.high])
        ends = np.abs(np.array(ends) - expected)[:, None]
        axes.errorbar(1.04 * past.per_class, expected, ends, fmt="D", color=HUES[1], capsize=3, label=known)
        axes.axvline(self.now, color=SOFT, linestyle=":", label="available images")
        axes.set_xscale("log", base=2)
        ticks = self.now * 2.0 ** np.arange(-4, 2)
        ticks = np.unique(np.round([*ticks[ticks >= self.per_class[0]], REACH * self.now]))
        axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("training images per class", color=SOFT)
        axes.set_ylabel("accuracy (%)", color=SOFT)
        axes.set_ylim(max(0, low.min() - 5), min(100, high.max() + 5))
        axes.legend(frameon=False, loc="lower right", fontsize=9)
        ranges = f"{shares[0]:.0f}% with {self.per_class[0]:.0f} images per class to {shares[-1]:.0f}% with"
        words = f"Measured accuracy: {ranges} {self.per_class[-1]:.0f}. {' '.join(self.sentences())}"
        return finish(figure, "", words)


def _resampled(right: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resample rounds and groups of images with replacement; return accuracies of shape `(DRAWS, sizes)`."""
    _, numbers = np.unique(groups, return_inverse=True)
    count, rounds = numbers.max() + 1, len(right)
    weights = rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, numbers].astype("float64")
    weights /= weights.sum(axis=1, keepdims=True)
    times = rng.multinomial(rounds, np.full(rounds, 1 / rounds), DRAWS) / rounds
    return np.einsum("dr,rsd->ds", times, np.einsum("rsi,di->rsd", right.astype("float64"), weights))


def _fits(per_class, draws, error) -> tuple[CurveFits, ...]:
    return tuple(fit_curves(family, per_class, draws, 1 / error**2) for family in FAMILIES)


def _predicted(fits, per_class) -> np.ndarray:
    """Return the accuracy that each resampled curve, of every family, predicts for a number of images per class."""
    return np.concatenate([fit(per_class)[:, 0] for fit in fits])


def _quantiles(values) -> tuple[float, float, float]:
    """Return the median and the bounds of the central 80% interval."""
    low, middle, high = np.quantile(values, (LOW, 0.5, HIGH))
    return float(middle), float(low), float(high)


def _rounded(number: float) -> float:
    """Round to one significant digit (two below 30), so a forecast does not look more precise than it is."""
    digits = 2 if number < 30 else 1
    return float(f"{number:.{digits}g}")
