"""The section on training: settings, phases and, for fine-tuning, curves and learning rates."""

from tlkeras.report.charts import legend_mark, line_chart
from tlkeras.report.wording import seconds

_CHOICES = {
    "C": "C of the logistic regression",
    "folds": "Folds",
    "epochs": "Epochs",
    "epoch": "Best epoch",
    "steps": "Steps",
    "runs": "Runs averaged",
    "average_with_probe": "Share of the fine-tuned weights in the average with the probe",
    "blocks": "Trained blocks",
    "stopped": "Stopped early",
    "kept": "Kept strategy",
    "lead": "Lead of fine-tuning on validation images",
    "lead_standard_error": "Standard error of the lead",
}
#: Keys of numbers in an event that do not measure the model.
_COUNTED = {"epoch", "epochs", "run", "step", "steps", "steps_per_epoch", "images", "learning_rate", "seconds", "time"}
_STAGES = {"choose": "on the training images", "refit": "on all images, with the same choices"}


def training(facts):
    """Return the training settings, the duration of each phase, and the curves and the epoch table of each stage."""
    choices = [(_CHOICES.get(name, name.replace("_", " ")), _shown(value)) for name, value in _known(facts)]
    phases = [
        {"name": event["phase"], "seconds": seconds(event["seconds"]), "detail": _detail(event)}
        for event in facts.events
        if "seconds" in event and "epoch" not in event
    ]
    epochs = [event for event in facts.events if event.get("phase") == "fine-tune" and "epoch" in event]
    stages = [_stage(name, [one for one in epochs if one.get("stage") == name]) for name in _order(epochs)]
    return {"choices": choices, "phases": phases, "stages": stages, "total": _total(facts)}


def _known(facts):
    return [(name, value) for name, value in facts.metrics.get("choices", {}).items() if value is not None]


def _total(facts):
    taken = facts.metrics.get("seconds", {})
    return seconds(sum(taken.values())) if taken else None


def _order(epochs):
    return list(dict.fromkeys(event.get("stage") for event in epochs))


def _detail(event):
    parts = []
    if "images" in event:
        parts.append(f"{event['images']:,} images")
    if "images_per_second" in event:
        parts.append(f"{event['images_per_second']:,.0f} per second")
    return ", ".join(parts)


def _stage(name, events):
    """Return the curves and the epoch table of one training stage."""
    measures = list(dict.fromkeys(key for event in events for key, value in event.items() if _is_measure(key, value)))
    x = [event["epoch"] for event in events]
    rates = [event.get("learning_rate") for event in events]
    return {
        "name": _STAGES.get(name, name),
        "charts": [
            chart
            for title, chosen in (
                ("loss", [key for key in measures if key.endswith("loss")]),
                ("accuracy", [key for key in measures if not key.endswith("loss")]),
            )
            if (chart := _chart(title, chosen, events, x))
        ],
        "columns": [key.replace("_", " ") for key in measures],
        "rows": [
            {
                "epoch": event["epoch"],
                "rate": "–" if rate is None else f"{rate:.2g}",
                "values": [_shown(event.get(key)) for key in measures],
            }
            for event, rate in zip(events, rates, strict=True)
        ],
    }


def _is_measure(key, value):
    return key not in _COUNTED and isinstance(value, int | float)


def _chart(title, chosen, events, x):
    if not chosen or len(events) < 2:
        return None
    series = {key.replace("_", " "): [event.get(key) for event in events] for key in chosen}
    label = f"{title} by epoch; the table below lists the numbers."
    legend = [(legend_mark(number), name) for number, name in enumerate(series)]
    return {"title": title, "svg": line_chart(series, x, "epoch", title, label), "legend": legend}


def _shown(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)
