"""What notebooks read: the drawings that ship with the project, and what took too long to measure in a lesson."""

import json
from importlib import resources
from pathlib import Path

from tlkeras.errors import InputError


def clipart10():
    """Finds the drawings that ship with the source: 427 of them in ten classes.

    Returns:
        `pathlib.Path` of the folder `data/clipart10`, looked for beside the folder that Python runs in, above it, and
        beside the package.

    Raises:
        InputError: The source is not there; an installed wheel has no data.

    Example:

    >>> clipart10().name
    'clipart10'
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[2]):
        if (found := folder / "data" / "clipart10").is_dir():
            return found
    raise InputError(f"data/clipart10 is neither in {here} nor above it: run this in a clone of the repository.")


def measured(name):
    """Reads what a script of `benchmarks/` measured and stored, with the versions it was measured with.

    Args:
        name: `"from_scratch"`: by image size (`"96"`), the test accuracies (`"test"`) of EfficientNet-Lite0 trained
            from random weights on the splits of clipart10 of each seed (`"seeds"`), see `benchmarks/from_scratch.py`.
            `"notebook_seconds"`: what each notebook ran, see `benchmarks/notebook_seconds.py`.

    Returns:
        What the file holds: dicts, lists and numbers.

    Raises:
        InputError: Nothing of this name is stored.

    Example:

    >>> sorted(measured("from_scratch")["96"]["versions"])
    ['keras', 'numpy', 'python', 'tensorflow', 'tlkeras']
    """
    folder = resources.files("tlkeras.teaching") / "measurements"
    file = folder / f"{name}.json"
    if not file.is_file():
        known = ", ".join(sorted(repr(entry.name.removesuffix(".json")) for entry in folder.iterdir()))
        raise InputError(f"No measurement is called {name!r}; there are: {known}.")
    return json.loads(file.read_text())
