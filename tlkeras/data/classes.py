"""Turn the labels of a source into classes: leave out missing labels, and apply `classes` and `multilabel`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tlkeras.data.labels import is_missing, name_of, ordered
from tlkeras.data.listing import ImageFile
from tlkeras.errors import InputError, warn
from tlkeras.utils.naming import suggestions
from tlkeras.utils.validation import invalid, listed, shown

_SEPARATORS = "|;,"


def name_classes(
    files: Sequence[ImageFile],
    known: Iterable[Any] = (),
    classes: Sequence[Any] | None = None,
    multilabel: bool | None = None,
) -> tuple[tuple[str, ...], list[ImageFile], bool]:
    """Name the classes and leave out unlabeled images, with one warning that says how many.

    Args:
        files: Images with their original labels from the source: a name or number, or a list of names or numbers.
        known: Classes that the source lists, whether or not they have images.
        classes: Classes to load, in the order of their indices. Defaults to all classes, in the order of `ordered`.
        multilabel: Whether an image may have several labels. Defaults to true if any image has several labels or none.

    Returns:
        The class names; the labeled images of these classes, whose `label` is a name, or a tuple of names in a
        multi-label data set; and whether the data set is multi-label.

    Raises:
        InputError: A class is unknown, labels are quantities, or an image has several labels although `multilabel` is
            False.
    """
    chosen = None if classes is None else _chosen(classes)
    names = _without_codes([_names(file.label, chosen or ()) for file in files], chosen or ())
    _warn_of_unlabeled(files, names)
    labeled = [(file, one) for file, one in zip(files, names, strict=True) if one is not None]
    several = next((one for _, one in labeled if len(one) != 1), None)
    if multilabel is None:
        multilabel = several is not None
    elif not multilabel and several is not None:
        raise invalid("multilabel", multilabel, f"be True because an image has the labels {list(several)}")
    used = {name for _, one in labeled for name in one}
    everything = ordered(used | {name_of(name) for name in known if not is_missing(name)} - {"-1"})
    if chosen is None:
        if several is None:
            _refuse_joined(used)
        chosen = everything
    else:
        _check_known(classes, chosen, everything)
    position = {name: number for number, name in enumerate(chosen)}
    if multilabel:  # an image without any of the chosen labels stays, as an example of no class
        kept = [replace(file, label=tuple(sorted(position.keys() & one, key=position.get))) for file, one in labeled]
    else:
        kept = [replace(file, label=one[0]) for file, one in labeled if one[0] in position]
    return chosen, kept, multilabel


def _chosen(classes: Sequence[Any]) -> tuple[str, ...]:
    names = () if isinstance(classes, str) or not hasattr(classes, "__iter__") else tuple(map(name_of, classes))
    if not names:
        raise invalid("classes", classes, "be a sequence of class names")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise invalid("classes", classes, f"name each class only once; {repeated[0]!r} is repeated")
    return names


def _check_known(classes: Sequence[Any], chosen: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in chosen if name not in known]
    if unknown:
        advice = suggestions(unknown[0], known).strip()
        if set(unknown[0].split(",")) <= set(known):
            advice = "Each item must be one name; on the command line, repeat `--classes` for each class."
        raise invalid("classes", classes, f"be classes of the data set ({listed(known)})", advice)


def _names(label: Any, chosen: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of one image's labels: None if the image is unlabeled, () if no label applies to it."""
    if isinstance(label, np.ndarray):
        label = label.tolist()
    if not isinstance(label, list | tuple | set | frozenset):
        label = [label]
    elif not label:
        return ()
    names = [name_of(one) for one in label if not is_missing(one) or (isinstance(one, str) and one in chosen)]
    return tuple(dict.fromkeys(names)) or None


def _without_codes(names: list[tuple[str, ...] | None], chosen: Sequence[str]) -> list[tuple[str, ...] | None]:
    """Leave out the label -1, the usual code for "unlabeled", if all other labels are whole numbers from 0 up."""
    others = {name for one in names if one for name in one} - {"-1"}
    if "-1" in chosen or not all(name.isdecimal() for name in others):
        return names
    return [one and (tuple(name for name in one if name != "-1") or None) for one in names]


def _warn_of_unlabeled(files: Sequence[ImageFile], names: Sequence[tuple[str, ...] | None]) -> None:
    labels = [file.label for file, one in zip(files, names, strict=True) if one is None]
    marks = Counter(shown(label.item() if isinstance(label, np.generic) else label) for label in labels)
    if not marks:
        return
    count, listed = marks.total(), ", ".join(mark for mark, _ in marks.most_common(3))
    if count == len(files):
        raise InputError(f"None of the {count} images has a label. Received labels such as {listed}.")
    code = any(isinstance(label, str | int | np.integer) and str(label).strip() for label in labels)
    advice = " If one of these values is a class, include it in `classes`." if code else ""
    warn(f"{count} of {len(files)} images have no label ({listed}) and are left out.{advice}")


def _refuse_joined(names: set[str]) -> None:
    """Reject 'cat|wild' if 'cat' is a class and 'wild' occurs elsewhere too: the cell contains several labels."""
    for separator in _SEPARATORS:
        divided = {name: [part.strip() for part in name.split(separator)] for name in sorted(names)}
        used = Counter(part for parts in divided.values() for part in set(parts))
        for name, parts in divided.items():
            if len(parts) > 1 and names.intersection(parts) and all(used[part] > 1 for part in parts):
                raise InputError(
                    f"The label {name!r} contains parts that also occur in other labels. If it means several labels, "
                    f"pass label_separator={separator!r}; if it is one class, list all classes in `classes`."
                )
