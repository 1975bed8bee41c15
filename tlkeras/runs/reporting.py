"""Collect the facts of a run for its report, and write the page and the model card next to the model."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from tlkeras.errors import InputError, first_line
from tlkeras.runs.folder import CARD, REPORT
from tlkeras.runs.trust import trust_text

_PARTS = ("train", "validation", "test")


def write_reports(folder, run, trained, task, command):
    """Write `report.html` and `model_card.md`. A failure only causes a warning, so that the trained model is not lost.

    Args:
        folder: Output folder that already contains the rest of the run's files, `pathlib.Path`.
        run: The `Run` that was trained.
        trained: `tlkeras.selection.outcome.Trained`, with the model and its measured predictions.
        task: `tlkeras.selection.outcome.Task` that the model was trained for.
        command: Command that reproduces the run.
    """
    try:
        from tlkeras.report.model_card import render_card
        from tlkeras.report.page import render_page

        facts = facts_of(folder, run, trained, task, command)
        (folder / REPORT).write_text(render_page(facts), "utf-8")
        (folder / CARD).write_text(render_card(facts), "utf-8")
    except Exception as error:
        warnings.warn(f"The report could not be written: {first_line(error)}", stacklevel=2)


def facts_of(folder, run, trained, task, command):
    """Return the `tlkeras.report.facts.Facts` of a newly trained run."""
    from tlkeras.report.facts import Facts, Part

    images, measured = task.images, trained.measured
    parts = [getattr(images, name) for name in _PARTS]
    return Facts(
        name=Path(run.path).resolve().name,
        class_names=run.class_names,
        metrics=run.metrics,
        paths=_shown_paths(measured.images.paths, run.metrics["data"]["source"]),
        labels=measured.images.labels,
        probabilities=_delivered(measured.probabilities, run.metrics),
        thresholds=run.thresholds,
        features=measured.features,
        events=run.log,
        parts=[
            Part(name, part.counts(), len(part), name in images.given) for name, part in zip(_PARTS, parts, strict=True)
        ],
        near_duplicates=sum(count for count in _group_sizes(parts) if count > 1),
        command=command,
        read=lambda indices: measured.images.take(indices).read(),
        explain=lambda pixels, classes: _explained(trained.model, pixels, classes),
        notes=tuple(trust_text(run.metrics)),
        files={path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    )


def _delivered(probabilities, metrics):
    """Return the probabilities, scaled with the final model's temperature if it has one."""
    from tlkeras.evaluation.calibration import scale_temperature

    temperature = (metrics.get("calibration") or {}).get("temperature")
    return np.asarray(probabilities) if temperature is None else scale_temperature(probabilities, temperature)


def _explained(model, pixels, classes):
    """Return activation maps, or None for a model that does not support them."""
    from tlkeras.evaluation.activation_maps import quick_activation_maps

    try:
        return quick_activation_maps(model, pixels, classes)
    except InputError:
        return None


def _group_sizes(parts):
    return Counter(np.concatenate([part.groups for part in parts]).tolist()).values()


def _shown_paths(paths, source):
    """Make paths relative to the source, but leave paths outside the source unchanged."""
    root = Path(source)
    return [Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else str(path) for path in paths]
