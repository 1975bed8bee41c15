"""Read data sets from TensorFlow Datasets."""

from typing import Any

from tlkeras.data.hugging_face import kept_splits, listed_classes, named
from tlkeras.data.listing import ImageFile
from tlkeras.errors import InputError
from tlkeras.utils.naming import suggestions


def find_builder(name: str) -> Any:
    """Return the builder of a data set that has been downloaded to this machine.

    Raises:
        InputError: TensorFlow Datasets is not installed or has no such data set, or the data set has not been
            downloaded yet.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            "Data sets named 'tfds:...' need the package tensorflow-datasets. Run: pip install tensorflow-datasets."
        ) from error
    if not name:
        raise InputError("'tfds:' must be followed by the name of a data set, such as 'tfds:tf_flowers'.")
    try:
        builder = tfds.builder(name)
    except ValueError:  # DatasetNotFoundError is a ValueError; its message would list every data set
        near = suggestions(name, tfds.list_builders(with_community_datasets=False))
        raise InputError(f"TensorFlow Datasets has no data set {name!r}.{near}") from None
    if not builder.data_path.exists():
        raise InputError(
            f"The data set {name!r} is not on this machine. To download it, run with a network connection: import "
            f"tensorflow_datasets; tensorflow_datasets.builder({name!r}).download_and_prepare()"
        )
    return builder


def list_examples(builder: Any, groups: Any = None) -> tuple[list[str], list[ImageFile], tuple[str, ...]]:
    """List the images of a builder, in compressed form if the builder supports it.

    Returns:
        The class names that are listed in the features of the data set, the images with their original labels, and the
        feature names.

    Raises:
        InputError: The data set has no images with labels.
    """
    import tensorflow_datasets as tfds

    features = tuple(builder.info.features)
    label_key = next((name for name in ("label", "labels") if name in features), None)
    if label_key is None or "image" not in features:
        raise InputError(
            f"The data set must have the features `image` and `label`. {builder.name!r} has {', '.join(features)}."
        )
    classes = listed_classes(builder.info.features[label_key])
    splits, files = kept_splits(builder.info.splits), []
    for split, part in splits.items():
        try:  # compressed images take far less memory than their pixels
            examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        except NotImplementedError:  # ImageFolder decodes by itself
            examples = builder.as_dataset(split=split)
        for index, example in enumerate(examples.as_numpy_iterator()):
            label = named(example[label_key], classes) if classes else example[label_key]
            group = example[groups] if isinstance(groups, str) and groups in features else None
            key = f"{split}/{index}"
            files.append(ImageFile(key, f"{builder.name} {key}", label, part, group, content=example["image"]))
    return list(classes or ()), files, features
