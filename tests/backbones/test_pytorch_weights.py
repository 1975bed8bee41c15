"""Only tensors come out of a weights file; whatever else it asks for is refused."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from tlkeras.backbones.efficientnet_lite_weights import embedded_weights
from tlkeras.backbones.pytorch_weights import LEGACY_MAGIC, read_state_dict
from tlkeras.errors import InputError


class _Attack:
    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def _written(path, *objects):
    path.write_bytes(b"".join(pickle.dumps(item, protocol=2) for item in objects))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_arrays_have_the_shapes_and_values_of_the_state_dict():
    weights = read_state_dict(*embedded_weights("efficientnet_lite0"))
    assert len(weights) == 296
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert (weights["_bn1.running_var"] > 0).all()
    assert np.isfinite(weights["_fc.weight"]).all()


def test_a_changed_file_is_refused_before_it_is_unpickled(tmp_path):
    path, sha256 = embedded_weights("efficientnet_lite0")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    (tmp_path / "changed.pth").write_bytes(content)
    with pytest.raises(InputError, match="SHA-256"):
        read_state_dict(tmp_path / "changed.pth", sha256)


@pytest.mark.parametrize(
    "call",
    [(os.system, ("touch {target}",)), (eval, ("1",)), (getattr, ("", "join"))],
    ids=["os.system", "eval", "getattr"],
)
@pytest.mark.parametrize("position", [0, 1, 3, 4])
def test_a_pickle_that_names_anything_else_is_refused(tmp_path, call, position):
    target = tmp_path / "executed"
    function, arguments = call
    arguments = tuple(str(a).format(target=target) if function is os.system else a for a in arguments)
    objects = [LEGACY_MAGIC, 1001, {}, {}, []]
    objects[position] = _Attack((function, arguments))
    with pytest.raises(InputError, match="only the tensors of a state dict can be read"):
        read_state_dict(*_written(tmp_path / "attack.pth", *objects))
    assert not target.exists()


def test_what_is_not_a_legacy_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a legacy PyTorch file"):
        read_state_dict(*_written(tmp_path / "other.pth", 42))
    empty = tmp_path / "empty.pth"
    empty.touch()
    with pytest.raises(InputError, match="not a legacy PyTorch file"):
        read_state_dict(empty, hashlib.sha256(b"").hexdigest())
