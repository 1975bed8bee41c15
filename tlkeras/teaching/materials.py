"""Find the images that ship with the project, and read stored measurements that take too long to repeat in a lesson."""

import json
from importlib import resources
from pathlib import Path

from tlkeras.errors import InputError


def clipart10():
    """Find the drawings that ship with the source: 427 of them in ten classes.

    Returns:
        `pathlib.Path` of the folder `data/clipart10`. The function looks for it in the current folder, in the folders
        above it, and next to the package.

    Raises:
        InputError: The folder was not found. An installed wheel contains no data.

    Example:

    >>> clipart10().name
    'clipart10'
    """
    return _data("clipart10")


def emoji4():
    """Find the emoji that ship with the source: 442 of them in fifteen classes, each drawn in four styles.

    Returns:
        `pathlib.Path` of the folder `data/emoji4`, found in the same way as the folder of `clipart10`.

    Raises:
        InputError: The folder was not found. An installed wheel contains no data.

    Example:

    >>> emoji4().name
    'emoji4'
    """
    return _data("emoji4")


def _data(name):
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[2]):
        if (images := folder / "data" / name).is_dir():
            return images
    raise InputError(
        f"The folder data/{name} was not found in {here} or above it. Run this in a clone of the repository."
    )


def measured(name):
    """Read a stored measurement made by a script in `benchmarks/`, with the versions of the packages used.

    Args:
        name: `"from_scratch"` for the test accuracies of EfficientNet-Lite0 trained from random weights on several
            splits of clipart10. The first key of the result is the image size, such as `"96"`. Below it, `"test"` has
            one accuracy per split and `"seeds"` the seeds of the splits; see `benchmarks/from_scratch.py`.
            `"trial"` for a `tlkeras.trial` of clipart10 with a quarter of its training images; see
            `benchmarks/trial.py`. `"notebook_seconds"` for the run time of each notebook; see
            `benchmarks/notebook_seconds.py`.

    Returns:
        The contents of the JSON file: dicts, lists and numbers.

    Raises:
        InputError: There is no measurement with this name.

    Example:

    >>> sorted(measured("from_scratch")["96"]["versions"])
    ['keras', 'numpy', 'python', 'tensorflow', 'tlkeras']
    """
    folder = resources.files("tlkeras.teaching") / "measurements"
    file = folder / f"{name}.json"
    if not file.is_file():
        known = ", ".join(sorted(repr(entry.name[:-5]) for entry in folder.iterdir() if entry.name.endswith(".json")))
        raise InputError(f"There is no measurement {name!r}. Available: {known}.")
    return json.loads(file.read_text())
