"""List the image formats that can be read, and explain why a file cannot be read."""

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image, TiffImagePlugin

# Formats that Pillow recognizes by their first bytes and decodes by itself. EPS is left out: it would run Ghostscript.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO")
_BITS, _SAMPLES, _SAMPLE_FORMAT = 258, 277, 339  # TIFF tags
_NUMBERS = {1: "integers", 2: "signed integers", 3: "floats"}
# First bytes of intact files in unsupported formats, and the message for each.
_FOREIGN = (
    (b"%PDF", "a PDF document; export its pages as PNG or JPEG"),
    (b"\xff\x0a", "a JPEG XL image; install the package pillow-jxl-plugin to open it"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image; install the package pillow-jxl-plugin to open it"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image; convert it to 8 bits"),
    (b"\x89HDF", "an HDF5 file; save its arrays as images"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def known_formats() -> list[str]:
    """Return the names of the supported formats: those listed in this module and those added by Pillow plugins."""
    Image.init()
    plugins = [name for name, (factory, _) in Image.OPEN.items() if not factory.__module__.startswith("PIL.")]
    return [name for name in _FORMATS if name in Image.OPEN and name not in plugins] + plugins


def explain_failure(source: Any, error: Exception) -> tuple[str, bool]:
    """Explain why an image cannot be read, and say whether it is damaged.

    Args:
        source: The path, file contents, pixels or other object that could not be read.
        error: The exception that was raised when the image was read.

    Returns:
        A reason that completes "Cannot read image ...:", and whether the file is definitely unusable.
    """
    if isinstance(error, PermissionError):
        return "permission denied", False
    if isinstance(error, Image.DecompressionBombError):
        return f"it could be a decompression bomb ({error})", False
    is_file = isinstance(source, str | os.PathLike | bytes)
    start = _first_bytes(source) if is_file else b""
    if is_file and not start:
        return "it is empty (zero bytes)", True
    if isinstance(error, Image.UnidentifiedImageError):
        kind = _foreign_kind(source, start)
        return (f"it is {kind}", False) if kind else ("its content is not an image in a known format", True)
    text = str(error or type(error).__name__).replace("\n", " ")
    if isinstance(error, ValueError) and text.startswith("its values"):
        return text, False
    return f"it is damaged ({text})", is_file


def _first_bytes(source: Any) -> bytes:
    if isinstance(source, bytes):
        return source[:512]
    with Path(source).open("rb") as file:
        return file.read(512)


def _foreign_kind(source: Any, start: bytes) -> str:
    """Name the format of a file that Pillow did not identify as a supported format; "" if it is unknown."""
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "a HEIC image; install the package pillow-heif and call pillow_heif.register_heif_opener() first"
    if start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis"):
        return "an AVIF image; install Pillow 11.3 or later, or the package pillow-avif-plugin"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff_kind(source)
    for first, kind in _FOREIGN:
        if start.startswith(first):
            return kind
    if b"<svg" in start.lower():
        return "an SVG drawing; export it as PNG"
    if start[128:132] == b"DICM":
        return "a DICOM file; export its pixels as PNG"
    return _unread_pillow_format(source)


def _tiff_kind(source: Any) -> str:
    """Describe the pixels of a TIFF that Pillow does not read, or return "" if its header is damaged."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(16)[: 16 if b"+" in _first_bytes(source)[:4] else 8])
            file.seek(tags.next)
            tags.load(file)
            if not {256, 257} <= set(tags) or not {273, 324} & set(tags):
                return ""  # without a size or without pixels
            bits = tags.get(_BITS, (1,))
            numbers = _NUMBERS.get(tags.get(_SAMPLE_FORMAT, (1,))[0], "values")
            count = tags.get(_SAMPLES, 1)
    except Exception:  # on a broken file, the parser can raise nearly anything
        return ""
    return (
        f"a TIFF with {count} x {bits[0]}-bit {numbers} per pixel, which Pillow cannot read; save it as 8-bit gray or "
        "RGB"
    )


def _unread_pillow_format(source: Any) -> str:
    """Name the format if Pillow knows it but tlkeras does not support it. Only the header is parsed."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return f"in the format {image.format}, which is not supported; convert it to PNG"
    except Exception:  # a format that Pillow does not know, or a broken file
        return ""
