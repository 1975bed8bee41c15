"""`tlkeras evaluate RUN --shifted SOURCE`: accuracy on clean, corrupted and shifted images in one table."""

import typer

from tlkeras.cli.terminal import load_keras, print_json, say


def print_comparison(folder, source, shifted, options, as_json):
    """Compare accuracy across domains and print a table or one JSON object.

    Args:
        folder: `pathlib.Path` of the run.
        source: Clean labeled images, or None for the training images.
        shifted: Labeled images from another domain.
        options: Dict with the keys `columns`, `root`, `label_separator` and `verbose`.
        as_json: Whether to print JSON.
    """
    load_keras()
    from tlkeras.data.sources import TableOptions
    from tlkeras.runs.run import load_run
    from tlkeras.runs.shifted import evaluate_shifted

    table = TableOptions(options["columns"], options["root"], options["label_separator"], None)
    comparison, seen = evaluate_shifted(load_run(folder), source, shifted, table, options["verbose"])
    if seen:
        say(
            f"The model has learned from {seen} of the clean images: their accuracy is the one measured in training. "
            "They are not corrupted either: give images that it has not seen as SOURCE for that."
        )
    for row in comparison.rows:
        if row.skipped:
            say(f"Skipped {row.skipped} images of {row.name!r} that cannot be read.")
    if as_json:
        print_json({**comparison.to_dict(), "seen_in_training": seen})
        return
    typer.echo(comparison)
    typer.echo("Distance: proxy A-distance of features, 0 (cannot be told apart from the clean images) to 2 (always).")
