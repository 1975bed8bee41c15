"""Compute features on several machines, with a Ray Data pipeline that writes Parquet files (extra `ray`)."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.features.extractor import FeatureExtractor
from tlkeras.features.identity import weights_hash
from tlkeras.utils.files import file_written_whole
from tlkeras.utils.validation import check_integer, invalid

# Programs that read a folder of Parquet files ignore names that start with an underscore.
_JOB = "_job.json"

#: Parameters of the extractor that do not change the features.
_IRRELEVANT = {"cache", "on_error", "batch_size", "verbose"}


@dataclass(frozen=True)
class RayExtraction:
    """The result of `extract_on_ray`.

    Attributes:
        images: Number of images.
        computed: Number of images that this call processed; earlier calls processed the rest.
        unreadable: Total number of images that could not be read.
    """

    images: int
    computed: int
    unreadable: int


def extract_on_ray(
    paths: Sequence[str | os.PathLike],
    extractor: FeatureExtractor,
    output: str | os.PathLike,
    *,
    workers: int = 2,
    images_per_file: int = 1024,
    num_cpus: float = 1,
    num_gpus: float = 0,
) -> RayExtraction:
    """Compute the features of image files on a Ray cluster, and write them as Parquet files.

    The images are divided into chunks. Each worker is an actor that builds the network once and writes one Parquet file
    per chunk. A file appears only when it is complete, and always under the same name. A worker that dies therefore
    loses only its current chunk, which another worker computes again. No chunk is written twice. If a call is
    interrupted, repeating the call resumes where it stopped.

    The function uses the cluster that `ray.init` connected to, if any. Otherwise, it starts Ray on this machine,
    without the dashboard or usage statistics. Use this function for several machines; on a single machine,
    `FeatureExtractor.extract` does the same work in one process.

    Args:
        paths: Sequence of paths of image files that all machines can read.
        extractor: `tlkeras.FeatureExtractor` that each worker uses.
        output: Folder that all machines can write to.
        workers: Number of actors, such as one per GPU or one for every few CPU cores. Defaults to 2.
        images_per_file: Number of images per chunk, and thus of rows per file. Defaults to 1024.
        num_cpus: Number of CPU cores that each actor reserves and uses. Defaults to 1.
        num_gpus: Number of GPUs that each actor reserves. Defaults to 0.

    Returns:
        `RayExtraction`. The folder contains `part-00000.parquet` and so on, in the order of `paths`, with the columns
        `index` (int64, the position in `paths`), `path` (string), `features` (list of float32, of equal length in all
        rows; null if the image cannot be read) and `error` (string, the reason if the image cannot be read; null
        otherwise). pandas, Polars, DuckDB, `pyarrow` and `ray.data.read_parquet` can read such a folder.

    Raises:
        InputError: An argument is invalid, or the folder contains the results of a different extraction or unrelated
            files.

    Example:

    >>> extract_on_ray(paths, tlkeras.FeatureExtractor(), "/shared/features", workers=8, num_gpus=1)  # doctest: +SKIP
    RayExtraction(images=1281167, computed=1281167, unreadable=0)

    Reference: Moritz et al., 2018, https://arxiv.org/abs/1712.05889
    """
    if not isinstance(extractor, FeatureExtractor):
        raise invalid("extractor", extractor, "be a `tlkeras.FeatureExtractor`")
    if isinstance(paths, str | os.PathLike) or not len(paths):
        raise invalid("paths", paths, "be a sequence of one or more paths of image files")
    check_integer("images_per_file", images_per_file, minimum=1)
    check_integer("workers", workers, minimum=1)
    paths = [os.fspath(path) for path in paths]
    output = Path(output)
    _claim(output, paths, extractor, images_per_file)
    missing = [share for share in _shares(paths, images_per_file) if not (output / share["file"]).exists()]
    if missing:
        _run(missing, extractor, output, min(workers, len(missing)), {"num_cpus": num_cpus, "num_gpus": num_gpus})
    return RayExtraction(len(paths), sum(len(share["paths"]) for share in missing), _count_errors(output))


def _shares(paths, images_per_file):
    """Divide the images into chunks, one chunk per file."""
    return [
        {
            "file": f"part-{start // images_per_file:05d}.parquet",
            "start": start,
            "paths": paths[start:][:images_per_file],
        }
        for start in range(0, len(paths), images_per_file)
    ]


def _claim(output, paths, extractor, images_per_file):
    """Record the settings of this extraction in the folder, so that files of different extractions are never mixed."""
    settings = {name: repr(value) for name, value in extractor.get_params().items() if name not in _IRRELEVANT}
    if isinstance(extractor.backbone, keras.Model):
        del settings["backbone"]  # its repr contains only its name
    job = {
        "paths": hashlib.sha256("\0".join(paths).encode()).hexdigest(),
        "images_per_file": images_per_file,
        "extractor": settings,
        "weights": weights_hash(extractor.backbone, extractor.weights, extractor.image_size),
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        found = json.loads((output / _JOB).read_text()) if (output / _JOB).exists() else None
        if found is None and any(not path.name.startswith(".") for path in output.iterdir()):
            raise invalid("output", str(output), "be empty, or contain an extraction", "Choose another folder.")
        if found is None:
            with file_written_whole(output / _JOB) as part:
                part.write_text(json.dumps(job, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"`output` must be a writable folder. Received: {str(output)!r}: {error.strerror}.") from error
    # Unknown values cannot be compared: weights that are not downloaded yet have no hash.
    other = [name for name in job if found and None not in (job[name], found.get(name)) and job[name] != found[name]]
    if other:
        raise InputError(
            f"`output` must be empty or contain files of this extraction. Received: {str(output)!r}, which contains "
            f"an extraction with different {', '.join(other)}. Choose another folder."
        )


def _run(shares, extractor, output, workers, resources):
    import ray

    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(**({} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}))
    environment = {"KERAS_BACKEND": keras.backend.backend()}
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        environment["TF_CPP_MIN_LOG_LEVEL"] = os.environ["TF_CPP_MIN_LOG_LEVEL"]
    done = ray.data.from_items(shares, override_num_blocks=len(shares)).map_batches(
        _Worker,
        fn_constructor_args=(extractor, output.resolve()),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),  # restarts dead actors and reassigns their work
        runtime_env={"env_vars": environment},
        **resources,
    )
    for _ in done.iter_rows():
        pass


class _Worker:
    """An actor that keeps the network in memory and turns chunks of the images into files."""

    def __init__(self, extractor, output):
        self._extractor, self._output = extractor, output

    def __call__(self, batch):
        for file, start, paths in zip(batch["file"], batch["start"], batch["paths"], strict=True):
            table = _table(int(start), list(paths), self._extractor.extract(list(paths)))
            _write(table, self._output / str(file))
        return {"file": batch["file"]}


def _table(start, paths, found):
    import pyarrow as pa

    bad = np.zeros(len(paths), bool)
    bad[list(found.unreadable)] = True
    features = pa.FixedSizeListArray.from_arrays(
        pa.array(found.features.ravel()), found.features.shape[1], mask=pa.array(bad)
    )
    errors = [found.unreadable[row].reason if row in found.unreadable else None for row in range(len(paths))]
    index = np.arange(start, start + len(paths), dtype="int64")
    return pa.table({"index": index, "path": paths, "features": features, "error": pa.array(errors, pa.string())})


def _write(table, path):
    import pyarrow.parquet as pq

    with file_written_whole(path) as part:
        pq.write_table(table, part)


def _count_errors(output):
    import pyarrow.dataset as ds

    files = [str(path) for path in output.glob("part-*.parquet")]
    return ds.dataset(files).count_rows(filter=~ds.field("error").is_null())
