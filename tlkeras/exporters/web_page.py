"""A web page that holds a LiteRT file, its labels and the runtime, and classifies in the browser of who opens it."""

import base64
import gzip
import hashlib
import json
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from tlkeras._version import __version__

_FOLDER = Path(__file__).parent / "web"

#: The runtime: LiteRT.js, see `web/runtime/README.md`.
RUNTIME = "LiteRT.js 2.5.3"
_LOADER, _CORE, _WASM = "litert_wasm_compat_internal.js", "index.js", "litert_wasm_compat_internal.wasm"


def web_page(content: bytes, labels: dict, quantization: str) -> str:
    """Render the page.

    Args:
        content: A LiteRT file from uint8 images `(1, height, width, 3)` to float32 answers `(1, classes)`.
        labels: Dict as in `tlkeras.exporters.labels`.
        quantization: Name of the file's quantization, for the footer.

    Returns:
        HTML, str. It asks for nothing, and its Content-Security-Policy allows its own two scripts only.
    """
    style, loader, program = _text("style.css"), runtime_file(_LOADER).decode(), _program()
    policy = (
        f"default-src 'none'; script-src {_hashed(loader)} {_hashed(program)} 'wasm-unsafe-eval'; "
        f"style-src {_hashed(style)}; img-src blob: data:; media-src blob: mediastream:; base-uri 'none'; "
        "form-action 'none'"
    )
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True)
    return environment.get_template("page.html").render(
        policy=policy,
        version=__version__,
        title="Classify images",
        introduction=_introduction(labels),
        about=_about(labels, quantization),
        licenses=_text("runtime/LICENSES.txt"),
        style=Markup(style),
        labels=_json(labels),
        wasm=_base64(_compressed(_WASM)),
        model=_base64(gzip.compress(content, mtime=0)),
        loader=Markup(loader),
        program=Markup(program),
    )


def runtime_file(name: str) -> bytes:
    """Read a file of the runtime, as it is in the npm package."""
    return gzip.decompress(_compressed(name))


def _compressed(name):
    """Read a file of the runtime as it is kept."""
    return (_FOLDER / "runtime" / f"{name}.gz").read_bytes()


@cache
def _program():
    """Join the runtime's module and the program of the page into one module, which imports and exports nothing."""
    core = runtime_file(_CORE).decode().replace('import { createWasmLib } from "@litertjs/wasm-utils";', "")
    core = core[: core.rindex("\nexport {")]
    return f"{core}\n{{\n{_text('classify.js')}}}\n"


def _text(name):
    """Read a file of the page."""
    return (_FOLDER / name).read_text("utf-8")


def _hashed(text):
    """Return the source expression of a Content-Security-Policy that allows this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _base64(content):
    """Return bytes as text."""
    return base64.b64encode(content).decode()


def _json(labels):
    """Return the labels that the page's program needs, as JSON that cannot end a script."""
    needed = {key: labels[key] for key in ("class_names", "image_size", "resize", "thresholds") if key in labels}
    return Markup(json.dumps(needed).replace("<", "\\u003c"))


def _introduction(labels):
    """Say what the page can tell."""
    names, most = labels["class_names"], 20
    listed = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"It knows {listed}."


def _about(labels, quantization):
    """Say how far to trust the answers, and what runs."""
    run, text = labels["provenance"].get("run") or {}, ""
    if "thresholds" not in labels:
        if run.get("accuracy") is not None:
            by = f" ({run['measured_by']})" if run.get("measured_by") else ""
            text = f"When it was tested{by}, {run['accuracy']:.0%} of its answers were right. "
        text += "It also calls an image of anything else one of these. "
    weights = "float32" if quantization == "none" else quantization
    text += "Everything runs in this browser, and no image leaves it. "
    return f"{text}Made by tlkeras {__version__} with {RUNTIME}, {weights} weights."
