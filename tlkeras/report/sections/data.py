"""The sections on the data and the settings, which show what is needed to use or reproduce the run."""

from tlkeras.report.wording import count, plain

_PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}
_MOST_SKIPPED = 20


def data_summary(facts):
    """Return the numbers of images per class and split, and the skipped files."""
    parts = [part for part in facts.parts if part.images]
    totals = sum(part.counts for part in parts) if parts else [0] * len(facts.class_names)
    most = max(1, *map(int, totals))
    skipped = facts.metrics.get("data", {}).get("skipped", [])
    return {
        "source": plain(facts.metrics.get("data", {}).get("source", "")),
        "columns": [f"{_PARTS[part.name]}{' (given)' if part.given else ''}" for part in parts],
        "rows": [
            {
                "name": name,
                "counts": [f"{int(part.counts[number]):,}" for part in parts],
                "total": f"{int(totals[number]):,}",
                "share": int(totals[number]) / most,
            }
            for number, name in enumerate(facts.class_names)
        ],
        "totals": [f"{part.images:,}" for part in parts],
        "images": sum(part.images for part in parts),
        "near_duplicates": facts.near_duplicates,
        "skipped": [{"path": plain(one["path"]), "reason": plain(one["reason"])} for one in skipped[:_MOST_SKIPPED]],
        "skipped_count": len(skipped),
    }


def settings(facts):
    """Return the settings of the run as `(name, value)` pairs."""
    metrics = facts.metrics
    rows, columns = metrics["image_size"]
    named = {
        "Backbone": metrics["backbone"],
        "Strategy": metrics["strategy"],
        "Probe": metrics.get("probe") if metrics["strategy"] == "features" else None,
        "Image size": f"{rows} × {columns} pixels, {metrics['resize']}",
        "Class weight": metrics.get("class_weight") or "none",
        "Domain": metrics.get("domain"),
        "Epochs": metrics.get("epochs"),
        "Time limit": None if metrics.get("minutes") is None else f"{metrics['minutes']:g} minutes",
        "Seed": metrics["seed"],
        "Classes": count(len(facts.class_names), "label" if facts.multilabel else "class"),
    }
    return [(name, str(value)) for name, value in named.items() if value is not None]
