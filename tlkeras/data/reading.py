"""Read image files of any mode as RGB pixels, and explain why a file cannot be read."""

import io
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tlkeras.data.formats import explain_failure, known_formats
from tlkeras.data.image_modes import as_rgb, black_is_zero
from tlkeras.errors import InputError
from tlkeras.utils.validation import check_choice, invalid

Resize = Literal["stretch", "crop", "pad"]
# A path, the content of a file, pixels, or a function that returns one of these when it is needed.
Source = str | os.PathLike | bytes | np.ndarray | Image.Image | Callable[[], Any]

_BILINEAR = Image.Resampling.BILINEAR


class ImageError(InputError):
    """Error for a file that cannot be read as an image; the message names the file and the reason.

    Attributes:
        path: Path of the file, str.
        reason: Reason why the file cannot be read, without the path, str.
        damaged: Whether the file is definitely unusable: empty, truncated or corrupt. False for an intact file in an
            unsupported format, a file without read permission, and a missing file.

    Example:

    >>> import tlkeras
    >>> tlkeras.read_image("no-such-file.png")
    Traceback (most recent call last):
    ...
    tlkeras.data.reading.ImageError: Cannot read image 'no-such-file.png': there is no such file.
    """

    def __init__(self, path: str, reason: str, damaged: bool = False):
        super().__init__(f"Cannot read image {path!r}: {reason}.")
        self.path, self.reason, self.damaged = path, reason, damaged

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.damaged)


def read_image(
    path: Source, image_size: int | tuple[int, int] | None = (224, 224), resize: Resize = "stretch"
) -> np.ndarray:
    """Read one image file as RGB.

    The EXIF orientation is applied. Grayscale, palette, CMYK and 16-bit images are converted. 16-bit grayscale is
    scaled to 8 bits, not clipped; files that use only 12 of the 16 bits are scaled to the full range. Transparent
    pixels are blended with white. Embedded color profiles are ignored, as in Keras and torchvision. Only the first
    frame of an animation is read. Large JPEG files are decoded at a reduced scale, never below twice `image_size`.
    Formats from Pillow plugins can be read once the plugin is registered, such as HEIC after
    `pillow_heif.register_heif_opener()`.

    Args:
        path: Path of the file, its contents as bytes, a `PIL.Image`, or pixels in [0, 255].
        image_size: `(height, width)` of the result in pixels, or one integer for a square. `None` keeps the original
            image size. Defaults to 224 x 224, the size that most ImageNet backbones were trained on.
        resize: How to resize an image whose aspect ratio differs from that of `image_size`: `"stretch"` distorts it, as
            `keras.utils.image_dataset_from_directory` does; `"crop"` keeps the largest centered part with the right
            aspect ratio; `"pad"` keeps the whole image and fills the rest with the median color of the image's border.
            All three use antialiased bilinear interpolation. Defaults to `"stretch"`.

    Returns:
        uint8 array of shape `(height, width, 3)`.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or has more than
            `PIL.Image.MAX_IMAGE_PIXELS` pixels (a decompression bomb).

    Example:

    >>> import tlkeras
    >>> tlkeras.read_image("data/clipart10/bug/bee.jpg", image_size=(96, 128)).shape
    (96, 128, 3)
    """
    size = check_image_size(image_size, optional=True)
    with quiet():
        return to_pixels(open_rgb(path, size), size, resize)


def read_images(
    paths: Sequence[Source],
    image_size: int | tuple[int, int] = (224, 224),
    resize: Resize = "stretch",
    workers: int | None = None,
) -> np.ndarray:
    """Read many image files at once, using several threads.

    Args:
        paths: Paths of files, or anything else that `read_image` accepts.
        image_size: `(height, width)` of the results in pixels, or one integer for squares; not `None`.
        resize: How to resize, as in `read_image`.
        workers: Number of threads. Defaults to one per core, because Pillow releases Python's global interpreter lock
            while decoding.

    Returns:
        uint8 array of shape `(len(paths), height, width, 3)`, in the order of `paths`.

    Raises:
        ImageError: One of the images cannot be read.

    Example:

    >>> import tlkeras
    >>> paths = ["data/clipart10/bug/bee.jpg", "data/clipart10/boat/knot-bowline.jpg"]
    >>> tlkeras.read_images(paths).shape
    (2, 224, 224, 3)
    """
    size = check_image_size(image_size)
    if isinstance(paths, str | os.PathLike | bytes | dict) or not hasattr(paths, "__getitem__"):
        raise invalid("paths", paths, "be a sequence of images", "`tlkeras.read_image` reads a single image.")
    pixels = np.empty((len(paths), *size, 3), "uint8")

    def read(index: int) -> None:
        pixels[index] = to_pixels(open_rgb(paths[index], size), size, resize)

    with quiet(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    return pixels


def open_rgb(source: Source, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode an image to an upright RGB `PIL.Image`. With `size`, a JPEG may be reduced, but not below twice `size`."""
    if callable(source):
        source = source()
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"
    try:
        if isinstance(source, Image.Image):
            return as_rgb(_upright(source))
        if isinstance(source, np.ndarray):
            return as_rgb(_from_array(source))
        if not isinstance(source, str | os.PathLike | bytes):
            raise ImageError(name, "it is not a path, the bytes of a file, an array of pixels or a PIL.Image")
        # Opening a named pipe would block forever.
        if not isinstance(source, bytes) and not Path(name).is_file():
            raise ImageError(name, _missing(Path(name)))
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else name, formats=known_formats()) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels; the limit is {limit}")
            if size is not None:
                # Use a square, because the orientation may still rotate the image by 90 degrees.
                image.draft(None, (2 * max(size), 2 * max(size)))
            image.load()
            return as_rgb(_upright(black_is_zero(image)))
    except ImageError:
        raise
    except Exception as error:  # on a broken file, decoders can raise nearly anything
        raise ImageError(name, *explain_failure(source, error)) from error


def to_pixels(image: Image.Image, size: tuple[int, int] | None, resize: Resize) -> np.ndarray:
    """Resize an RGB image and return its pixels, uint8 of shape `(height, width, 3)`."""
    check_resize(resize)
    if size is not None and image.size != size[::-1]:
        width_height = size[::-1]
        if resize == "stretch":
            image = image.resize(width_height, _BILINEAR)
        elif resize == "crop":
            image = ImageOps.fit(image, width_height, _BILINEAR)
        else:
            image = ImageOps.pad(image, width_height, _BILINEAR, color=_border_color(image))
    return np.asarray(image)


def check_image_size(image_size: int | tuple[int, int] | None, optional: bool = False) -> tuple[int, int] | None:
    """Return `(height, width)` as plain integers.

    Args:
        image_size: A pair of positive integers, or one integer for a square.
        optional: Whether `None` is allowed and returned unchanged. Defaults to False.

    Raises:
        InputError: `image_size` is neither a pair of positive integers nor a positive integer.

    Example:

    >>> check_image_size(96), check_image_size((96, 128))
    ((96, 96), (96, 128))
    """
    if image_size is None and optional:
        return None
    pair = (image_size, image_size) if isinstance(image_size, Integral) else image_size
    pair = tuple(pair) if isinstance(pair, Sequence | np.ndarray) else ()
    if len(pair) == 2 and all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in pair):
        return int(pair[0]), int(pair[1])
    raise invalid("image_size", image_size, "be (height, width) in pixels, such as (224, 224), or one integer")


def check_resize(resize: Resize) -> None:
    """Raise if `resize` is not the name of a resizing method."""
    check_choice("resize", resize, get_args(Resize))


def _from_array(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "buif":
        reason = (
            f"it has shape {pixels.shape} and dtype {pixels.dtype}; it must be numeric with shape (height, width, 3)"
        )
        raise ImageError("<ndarray>", reason)
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3, 4):
        reason = (
            f"it has {pixels.shape[-1]} channels (shape {pixels.shape}); it must have 1 (gray), 3 (RGB) or 4 (RGBA)"
        )
        raise ImageError("<ndarray>", reason)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype in ("bool", "uint8") or (pixels.dtype == "uint16" and pixels.ndim == 2):  # 1, 8, 16 bits
        return Image.fromarray(pixels)
    if not (pixels.min() >= 0 and pixels.max() <= 255):
        reason = f"its values are {pixels.dtype} from {pixels.min()} to {pixels.max()}; they must be in [0, 255]"
        raise ImageError("<ndarray>", reason)
    return Image.fromarray(np.round(pixels).astype("uint8"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # exif_transpose would copy it
        return ImageOps.exif_transpose(image)
    except Exception:  # the metadata is broken, but the pixels are already decoded
        return image


def _border_color(image: Image.Image) -> tuple[int, ...]:
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in np.median(border, axis=0))


def _missing(path: Path) -> str:
    if path.is_dir():
        return "it is a folder; pass the files in it instead"
    return "it is not a regular file" if path.exists() else "there is no such file"


class _Quiet:
    """A context manager that silences Pillow's warnings while any thread is inside.

    Warning filters are process-wide. If each thread saved and restored the filters, the threads would undo each other's
    changes. Therefore, the first thread to enter saves the filters and the last thread to leave restores them.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module="PIL")
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            self._inside += 1

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(*error)


_QUIET = _Quiet()


def quiet() -> _Quiet:
    """Silence Pillow's warnings about unusual files; real problems are raised as `ImageError`."""
    return _QUIET
