"""Candidates: backbones and their blocks, the cost of each, and the features of all blocks from one pass."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import keras
import numpy as np

from tlkeras.backbones.catalog import listed_info
from tlkeras.errors import InputError
from tlkeras.features.engines.choice import make_engine
from tlkeras.features.engines.exported import ExportFolder
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.features.identity import network_identity
from tlkeras.features.network import shared_network
from tlkeras.features.parameters import network_settings
from tlkeras.features.taps import block_output
from tlkeras.models.blocks import blocks as map_blocks
from tlkeras.utils.store import cache_folder
from tlkeras.utils.validation import invalid

#: Number of single images to time. The fastest counts, since other programs can only slow it down.
TIMED = 9

#: Blocks that a candidate reads at once: a block and those right below it, whose features cost nothing more. On our
#: data sets this was more accurate than the best single block (docs/performance.md).
JOINED = 3


def block_names(block):
    """List the blocks whose output is read; `("output",)` for the whole backbone, where `block` is None."""
    return ("output",) if block is None else (block,) if isinstance(block, str) else tuple(block)


@dataclass(frozen=True)
class Candidate:
    """A whole backbone, or a backbone up to one of its blocks, and its cost.

    Attributes:
        backbone: Name of the backbone.
        block: Name of the block whose output is used as features, or names of several blocks, lowest first, whose
            features are concatenated, as in `tlkeras.FeatureExtractor`; None for the output of the whole backbone.
        width: Number of features.
        parameters: Number of weights up to that block, including moving statistics, without a head.
        multiply_adds: Multiply-adds per image up to that block.
        top1: Top-1 ImageNet accuracy of the whole backbone as a fraction, or None if it is not published.
        milliseconds: Time per image on this machine, one image at a time, on one core if the engine is LiteRT. It is
            measured on the whole backbone; for a block, it is scaled by multiply-adds. None if not measured.
        classes: Number of classes in the head.
    """

    backbone: str
    block: str | tuple[str, ...] | None
    width: int
    parameters: int
    multiply_adds: int
    top1: float | None
    milliseconds: float | None
    classes: int

    @property
    def end(self) -> str:
        """Name of the last block that is computed; "output" for the whole backbone."""
        return block_names(self.block)[-1]

    @property
    def label(self) -> str:
        """Backbone and blocks as one string."""
        *lower, end = block_names(self.block)
        if lower:
            return f"{self.backbone}, {', '.join(lower)} and {end} together"
        return self.backbone if self.block is None else f"{self.backbone}, {end}"

    @property
    def file_size(self) -> int:
        """Size in bytes of a classifier's float32 weights, including the head. The file is nearly this large."""
        return 4 * (self.parameters + (self.width + 1) * self.classes)


class Tapped:
    """A backbone that outputs the features of several blocks in one pass.

    Args:
        backbone: Name of a backbone, or a Keras model that takes raw pixels.
        blocks: None for the output only; `"all"` for every block, each joined with the blocks right below it; or names
            of blocks, which are read one at a time.
        image_size: As in `FeatureExtractor`.
        resize: As in `FeatureExtractor`.
        cache: As in `FeatureExtractor`; if False, this object uses a temporary folder.
        verbose: Whether to show progress on stderr.
    """

    def __init__(self, backbone, blocks, image_size=None, resize="stretch", cache=True, verbose=False):
        self.name = backbone.name if isinstance(backbone, keras.Model) else backbone
        self._folder = cache_folder() if cache is True else cache and Path(cache)
        if not self._folder:
            self._temporary = tempfile.TemporaryDirectory(prefix="tlkeras-")
            self._folder = Path(self._temporary.name)
        options = {"image_size": image_size, "resize": resize, "cache": self._folder, "verbose": verbose}
        self._whole = FeatureExtractor(backbone, **options)
        self._facts = ExportFolder(self._exports(self._whole))
        self._layout = self._remembered("layout", self._lay_out)
        names = [name for name, *_ in self._layout]
        if blocks not in (None, "all"):
            _check_names(self.name, blocks, names)
            self._layout = [row for row in self._layout if row[0] in (*blocks, names[-1])]
        self._layout = self._layout[-1:] if blocks is None else self._layout
        taps, last = [name for name, *_ in self._layout], len(self._layout) - 1
        below = JOINED - 1 if blocks == "all" else 0
        self._reads = [range(max(0, end - below), end + 1) for end in range(last)] + [range(last, last + 1)]
        reads = [tuple(taps[read.start : read.stop]) for read in self._reads[:-1]]
        self._blocks = [*(names if len(names) > 1 else names[0] for names in reads), None]
        self._extractor = self._whole if len(taps) == 1 else FeatureExtractor(backbone, block=tuple(taps), **options)

    def candidates(self, classes):
        """List the candidates, not yet timed, from the lowest block to the whole backbone."""
        top1, rows = self._info and self._info.top1, []
        for block, read in zip(self._blocks, self._reads, strict=True):
            width = sum(self._layout[index][1] for index in read)
            costs = self._layout[read[-1]][2:]
            rows.append(Candidate(self.name, block, width, *costs, top1, None, classes))
        return rows

    def features(self, images):
        """Compute the features of a split: a list of float32 arrays `(images, width)`, one per candidate."""
        table = self._extractor.transform(images)
        starts = np.cumsum([0, *(width for _, width, *_ in self._layout)])
        return [table[:, starts[read.start] : starts[read.stop]] for read in self._reads]

    def features_at(self, images, block):
        """Compute the features of a split for the candidate with this `block`; float32 `(images, width)`."""
        return self.features(images)[self._blocks.index(block)]

    def milliseconds(self):
        """Measure the time per image of the whole backbone, once per machine if features are cached."""
        return self._remembered("milliseconds", self._time)

    @property
    def _info(self):
        return listed_info(self._whole.backbone) if isinstance(self._whole.backbone, str) else None

    def _exports(self, extractor):
        identity = network_identity(network_settings(extractor))
        return identity and self._folder / "networks" / identity

    def _remembered(self, name, find):
        known = self._facts.remembered().get(name)
        if known is None:
            known = find()
            self._facts.remember(**{name: known})
        return known

    def _lay_out(self):
        """List `(name, width, parameters, multiply-adds)` up to each block that can be read, as JSON values."""
        backbone = self._whole.backbone
        model = backbone if isinstance(backbone, keras.Model) else shared_network(network_settings(self._whole))
        rows, parameters, products = [], 0, 0
        try:
            block_map = map_blocks(model)
        except InputError:  # it has no weights
            return [["output", model.output_shape[-1], 0, 0]]
        for block in block_map:
            parameters += block.count_params()
            products += sum(map(_multiply_adds, block.layers))
            try:
                width = model.output_shape[-1] if block is block_map[-1] else _width(model, block.name)
            except InputError:  # the block ends within a layer, or parallel to another
                continue
            rows.append([block.name, width, parameters, products])
        return _as_published(rows, self._info, network_settings(self._whole).image_size)

    def _time(self):
        """Time single images, and return the fastest time in milliseconds."""
        settings = network_settings(self._extractor)
        network = self._whole.backbone if isinstance(self._whole.backbone, keras.Model) else None
        info, size = self._info, settings.image_size
        if size is None:
            size = (info.default_size,) * 2 if info else (network or shared_network(settings)).input_shape[1:3]
        channels = 3 if network is None else network.input_shape[-1]
        shape = (1, *size, channels)
        engine = make_engine("auto", lambda: shared_network(settings), shape, folder=self._exports(self._extractor))
        image = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
        engine(image)
        times = []
        for _ in range(TIMED):
            start = perf_counter()
            engine(image)
            times.append(perf_counter() - start)
        return 1000 * min(times)


def _check_names(backbone, blocks, names):
    for name in blocks:
        if name not in names:
            raise invalid("blocks", name, f"be blocks of {backbone!r}", f"The blocks are {', '.join(names)}.")


def _as_published(rows, info, image_size):
    """Scale multiply-adds so that the total matches the catalog, which also counts attention."""
    if info is None or not info.multiply_adds:
        return rows
    height, width = image_size or (info.default_size, info.default_size)
    factor = info.multiply_adds * height * width / info.default_size**2 / rows[-1][-1]
    return [[*row[:-1], round(row[-1] * factor)] for row in rows]


def _width(model, name):
    return block_output(model, name)[1].shape[-1]


def _multiply_adds(layer):
    """Count the multiply-adds of a layer: the size of each kernel times the number of positions where it is applied.

    Products of two activations, as in attention, are not counted.
    """
    kernels = sum(int(np.prod(weight.shape)) for weight in layer.weights if len(weight.shape) > 1)
    try:
        positions = int(np.prod(layer.output.shape[1:-1]))
    except (AttributeError, TypeError, ValueError):  # inside a composite layer, or the image size is not fixed
        positions = 1
    return kernels * positions
