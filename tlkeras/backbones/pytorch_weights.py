"""Read a `.pth` file in the legacy PyTorch format into NumPy arrays, without torch and without running its code.

Such a file is a sequence of pickles followed by raw storages. A pickle can call any function by name, so nothing is
unpickled before the file's SHA-256 has been verified. Even then, only the four names that a state dict needs are
allowed, and stand-ins replace the classes and functions of torch.
"""

import hashlib
import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkeras.errors import InputError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage, offset, shape, strides, *_unused):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


_ADMITTED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _StateDictUnpickler(pickle.Unpickler):
    """Unpickler that allows only the names that a state dict needs."""

    def find_class(self, module, name):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise InputError(
                f"The weights file refers to {module}.{name}, but only the tensors of a state dict can be read."
            ) from None

    def persistent_load(self, pid):
        kind, dtype, key, _location, size, *_view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise InputError(f"A weights file may only refer to storages. Received: {pid!r}.")
        return _Storage(key, dtype, size)


def read_state_dict(path, sha256):
    """Read a legacy `.pth` state dict after checking its hash.

    Args:
        path: Path of the file, as a string or `pathlib.Path`.
        sha256: The hexadecimal SHA-256 that the file must have.

    Returns:
        A dict that maps parameter names to read-only arrays (float32 or int64) in PyTorch's axis order.

    Raises:
        InputError: The file has a different SHA-256, is not in the legacy format, or contains a pickle that refers to
            anything but tensors.

    Example:

    >>> from tlkeras.backbones.efficientnet_lite_weights import embedded_weights
    >>> weights = read_state_dict(*embedded_weights("efficientnet_lite0"))
    >>> weights["_fc.weight"].shape
    (1000, 1280)

    The layout is that of `torch.serialization._legacy_save` in PyTorch before 1.6.
    """
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"The weights file {path} is damaged or is a different file: its SHA-256 is {found} instead of {sha256}. "
            "Reinstall the package that it belongs to."
        )
    return _parse(io.BytesIO(content), path)


def _parse(stream, path):
    try:
        magic = _StateDictUnpickler(stream).load()
        if magic != LEGACY_MAGIC:
            raise InputError(f"{path} is not a legacy PyTorch file: it starts with {magic!r}.")
        _protocol, _system = (_StateDictUnpickler(stream).load() for _ in range(2))
        tensors = _StateDictUnpickler(stream).load()
        keys = _StateDictUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise InputError(f"{path} is not a legacy PyTorch file: {error}") from error

    # The pickle also contains OrderedDict's `_metadata` attribute; only the items are needed.
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    arrays = {}
    for key in keys:
        (size,) = struct.unpack("<q", stream.read(8))
        if size != storages[key].size:
            raise InputError(f"{path} contains {size} values for a storage of {storages[key].size} values.")
        arrays[key] = np.frombuffer(stream.read(size * storages[key].dtype.itemsize), storages[key].dtype)
    return {name: _view(tensor, arrays[tensor.storage.key]) for name, tensor in tensors.items()}


def _view(tensor, values):
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or last >= len(values):
        raise InputError(f"A tensor of shape {tensor.shape} extends past its storage of {len(values)} values.")
    strides = [step * values.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
