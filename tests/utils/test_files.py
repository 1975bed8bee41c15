"""Files get their names only when they are complete."""

import pytest
from PIL import Image

from tlkeras.utils.files import save_picture


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "sheet.png"
    save_picture(Image.new("RGB", (2, 3), "red").save, path)

    def save(part, format):
        part.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_picture(save, path)
    assert Image.open(path).size == (2, 3) and [file.name for file in tmp_path.iterdir()] == ["sheet.png"]
