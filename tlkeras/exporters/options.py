"""Options of an export, checked before Keras is loaded."""

from dataclasses import dataclass

from tlkeras.errors import InputError
from tlkeras.utils.files import check_output
from tlkeras.utils.validation import check_choice, check_integer, check_number, invalid

#: Main file or folder of each format.
MODEL_FILES = {"litert": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml", "saved_model": "saved_model"}
LABELS, LABELS_TEXT, REPORT, PAGE = "labels.json", "labels.txt", "export.json", "index.html"

#: Names of a file's outputs. Only files of runs with a rejector have the second one.
OUTPUTS = ("probabilities", "unknown_score")

#: `web` writes a web page next to its LiteRT file.
FORMATS = (*MODEL_FILES, "web")

#: All files and folders that an export can contain. A folder with anything else in it is never replaced.
FILES = frozenset({*MODEL_FILES.values(), "model.bin", LABELS, LABELS_TEXT, REPORT, PAGE})

#: Quantizations of each format, in the order in which `auto` tries them.
QUANTIZATIONS = {
    "litert": ("none", "float16", "int8", "dynamic_int8", "full_int8"),
    "onnx": ("none", "float16", "int8"),
    "openvino": ("none", "float16", "int8"),
    "saved_model": ("none",),
    "web": ("none", "float16", "int8", "dynamic_int8"),
}


@dataclass(frozen=True)
class Options:
    """Options of an export.

    Attributes:
        format: One of `FORMATS`.
        quantize: One of `QUANTIZATIONS[format]`, or `"auto"`.
        batch: Images per call of the exported file, or None for any number.
        max_drop: Largest allowed drop in accuracy, as a fraction, or None for the default rule.
    """

    format: str
    quantize: str
    batch: int | None
    max_drop: float | None

    @property
    def file_format(self) -> str:
        """The format of the model's file, a key of `MODEL_FILES`."""
        return "litert" if self.format == "web" else self.format

    @property
    def candidates(self) -> tuple[str, ...]:
        """The quantizations to write and measure, including `"none"`, with which all others are compared."""
        if self.quantize == "auto":
            return tuple(name for name in QUANTIZATIONS[self.format] if name != "full_int8")
        return tuple(dict.fromkeys(("none", self.quantize)))


def check_options(format, quantize="auto", batch=1, max_drop=None, output=None, overwrite=False):
    """Check the options of an export.

    Args:
        format: As in `tlkeras.export`.
        quantize: As in `tlkeras.export`.
        batch: As in `tlkeras.export`.
        max_drop: As in `tlkeras.export`.
        output: Folder to write to. Defaults to None, which skips the check of the folder.
        overwrite: As in `tlkeras.export`.

    Returns:
        `Options`.

    Raises:
        InputError: An option is invalid, two options cannot be combined, or the folder cannot be written to.

    Example:

    >>> check_options("litert", "int8").candidates
    ('none', 'int8')
    >>> check_options("saved_model", "int8")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tlkeras.errors.InputError: `quantize` must be 'none' or 'auto'. Received: quantize='int8'. These are ...
    """
    check_choice("format", format, FORMATS)
    check_choice("quantize", quantize, (*QUANTIZATIONS[format], "auto"), f"These are the choices for {format}.")
    if batch is not None:
        check_integer("batch", batch, 1)
    if format == "web" and batch != 1:
        raise invalid("batch", batch, "be 1 with format='web'", "The page classifies one image at a time.")
    if format == "litert" and batch != 1 and quantize not in ("none", "float16"):
        raise invalid(
            "batch",
            batch,
            f"be 1 with quantize={quantize!r}",
            "LiteRT files can only be quantized for a batch size of 1.",
        )
    if max_drop is not None:
        check_number("max_drop", max_drop, "[0, 1]")
    if output is not None:
        check_output(output, FILES)
        if output.exists() and any(output.iterdir()) and not overwrite:
            raise InputError(
                f"The output folder {str(output)!r} already contains an export. "
                "Pass --overwrite (`overwrite=True`) to replace it."
            )
    return Options(format, quantize, batch, max_drop)
