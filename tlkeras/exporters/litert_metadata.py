"""Labels inside a `.tflite` file, in the format that Android Studio, MediaPipe and other tools read.

The buffer `TFLITE_METADATA` contains a FlatBuffer with its own schema ("M001"), which describes the input and the
outputs. A zip archive appended to the model contains `labels.txt` and `labels.json`. LiteRT itself ignores the buffer
and the archive. Source: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata
"""

import io
import json
import zipfile

import flatbuffers
import numpy as np

from tlkeras.errors import InputError
from tlkeras.exporters.litert_editing import opened, packed
from tlkeras.exporters.options import LABELS, LABELS_TEXT

_LARGEST_MEMBER = 4_000_000


def with_metadata(content, labels):
    """Add labels to a LiteRT file.

    Args:
        content: Contents of a `.tflite` file without metadata, as bytes.
        labels: Dict of labels, described in `tlkeras.exporters.labels`.

    Returns:
        Contents of the file, including the metadata, as bytes.
    """
    from ai_edge_litert import schema_py_generated as schema

    model, _ = opened(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_described(labels), "uint8")
    model.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    file = io.BytesIO(packed(model))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for name, text in ((LABELS_TEXT, "\n".join(labels["class_names"])), (LABELS, json.dumps(labels))):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)  # fixed date for reproducible bytes
    return file.getvalue()


def read_metadata(path):
    """Read the labels that `with_metadata` added to a file. Return None if there are none.

    Only `labels.json` is read, directly into memory. Nothing is extracted to disk.

    Raises:
        InputError: The file has labels that cannot be read.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if LABELS not in archive.namelist():
                return None
            if archive.getinfo(LABELS).file_size > _LARGEST_MEMBER:
                raise ValueError(f"{LABELS} is too large")
            return json.loads(archive.read(LABELS))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"The labels in {str(path)!r} cannot be read: {error}. Export the model again.") from error


def _described(labels):
    """Build the FlatBuffer that describes the input and the outputs."""
    builder = flatbuffers.Builder(1024)
    height, width = labels["image_size"]
    size = _table(builder, 2, uint32={0: width, 1: height})
    image = _table(builder, 2, int8={0: 1}, offsets={1: size})  # RGB
    content = _table(builder, 3, uint8={0: 2}, offsets={1: image})  # union member 2: an image
    description = builder.CreateString("RGB pixels, 0 to 255, uint8")
    name = builder.CreateString("image")
    pixels = _table(builder, 7, offsets={0: name, 1: description, 3: content, 5: _stats(builder, 255.0)})
    feature = _table(builder, 0)
    content = _table(builder, 3, uint8={0: 1}, offsets={1: feature})
    file = _table(builder, 5, offsets={0: builder.CreateString(LABELS_TEXT)}, int8={2: 2})  # labels along an axis
    description = builder.CreateString("One probability per line of labels.txt")
    name, files = builder.CreateString("probabilities"), _vector(builder, [file])
    offsets = {0: name, 1: description, 3: content, 5: _stats(builder, 1.0), 6: files}
    described = [_table(builder, 7, offsets=offsets)]
    if "unknown_threshold" in labels:
        described.append(_unknown_score(builder, labels["unknown_threshold"]))
    inputs, outputs = _vector(builder, [pixels]), _vector(builder, described)
    graph = _vector(builder, [_table(builder, 5, offsets={2: inputs, 3: outputs})])
    texts = {0: "image classifier", 1: json.dumps(labels["provenance"]), 2: "1", 7: "1.0.0"}
    offsets = {slot: builder.CreateString(text) for slot, text in texts.items()}
    builder.Finish(_table(builder, 8, offsets={**offsets, 3: graph}), b"M001")
    return bytes(builder.Output())


def _unknown_score(builder, threshold):
    """Describe the second output, the unknown score."""
    feature = _table(builder, 0)
    content = _table(builder, 3, uint8={0: 1}, offsets={1: feature})
    description = builder.CreateString(f"The image belongs to none of the classes if this is at least {threshold:.6f}")
    name = builder.CreateString("unknown_score")
    return _table(builder, 7, offsets={0: name, 1: description, 3: content, 5: _stats(builder, 1.0)})


def _stats(builder, largest):
    """Write the range of a tensor's values, from 0 to `largest`."""
    return _table(builder, 2, offsets={0: _floats(builder, [largest]), 1: _floats(builder, [0.0])})


def _floats(builder, values):
    """Write a vector of float32."""
    return builder.CreateNumpyVector(np.array(values, "float32"))


def _vector(builder, tables):
    """Write a vector of tables."""
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def _table(builder, slots, offsets=None, uint32=None, int8=None, uint8=None):
    """Write a table. The arguments are dicts that map slots to values; the schema numbers the slots in order."""
    builder.StartObject(slots)
    for slot, value in (offsets or {}).items():
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    for slot, value in (uint32 or {}).items():
        builder.PrependUint32Slot(slot, value, 0)
    for slot, value in (int8 or {}).items():
        builder.PrependInt8Slot(slot, value, 0)
    for slot, value in (uint8 or {}).items():
        builder.PrependUint8Slot(slot, value, 0)
    return builder.EndObject()
