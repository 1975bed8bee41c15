"""The web page that classifies images, either in the browser with an embedded LiteRT file, or on a server."""

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from tlkeras._version import __version__
from tlkeras.exporters.labels import labels_of

if TYPE_CHECKING:
    from tlkeras.runs.run import Run

#: Labels that the page uses.
_NEEDED = ("class_names", "image_size", "resize", "thresholds", "unknown_threshold")

_FOLDER = Path(__file__).parent / "web"

#: The runtime: LiteRT.js, see `web/runtime/README.md`.
RUNTIME = "LiteRT.js 2.5.3"
_LOADER, _CORE, _WASM = "litert_wasm_compat_internal.js", "index.js", "litert_wasm_compat_internal.wasm"


def web_page(content: bytes, labels: dict, quantization: str) -> str:
    """Render the page that classifies images in the browser.

    Args:
        content: Contents of a LiteRT file that takes uint8 images `(1, height, width, 3)` and returns float32
            probabilities `(1, classes)` and, optionally, unknown scores `(1, 1)`.
        labels: Dict of labels, described in `tlkeras.exporters.labels`.
        quantization: Name of the file's quantization, shown in the footer.

    Returns:
        HTML, str. The page makes no requests, and its Content-Security-Policy allows only its own two scripts.
    """
    loader, core = runtime_file(_LOADER).decode(), runtime_file(_CORE).decode()
    core = core.replace('import { createWasmLib } from "@litertjs/wasm-utils";', "")
    program = _program("local.js", core[: core.rindex("\nexport {")])
    weights = "float32" if quantization == "none" else quantization
    return _page(
        labels,
        program,
        f"script-src {_hashed(loader)} {_hashed(program)} 'wasm-unsafe-eval'",
        privacy="They do not leave this page.",
        about=f"{_trust(labels)}Everything runs in this browser, and no image leaves it. Made by tlkeras {__version__} "
        f"with {RUNTIME}, {weights} weights.",
        licenses=_text("runtime/LICENSES.txt"),
        wasm=_base64(_compressed(_WASM)),
        model=_base64(gzip.compress(content, mtime=0)),
        loader=Markup(loader),
    )


def served_page(run: "Run") -> str:
    """Render the page that sends images to the `predict` endpoint of its server.

    Args:
        run: A `Run`, which may be an opened exported file.

    Returns:
        HTML, str. The page's Content-Security-Policy allows only its own script and requests to the same server.
    """
    program = _program("served.js")
    labels = labels_of(run)
    return _page(
        labels,
        program,
        f"script-src {_hashed(program)}; connect-src 'self'",
        privacy="They are sent to the server on this computer, which does not store them.",
        about=f"{_trust(labels)}Served by tlkeras {__version__}.",
    )


def _page(labels, program, policy, **parts):
    """Render the template.

    Args:
        labels: Dict of labels, described in `tlkeras.exporters.labels`.
        program: The page's JavaScript.
        policy: Directives to add to the Content-Security-Policy, which allows the page's own style and images.
        **parts: Variables of the template that differ between the two pages.
    """
    style = _text("style.css")
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True)
    return environment.get_template("page.html").render(
        policy=f"default-src 'none'; {policy}; style-src {_hashed(style)}; img-src blob: data:; "
        "media-src blob: mediastream:; base-uri 'none'; form-action 'none'",
        version=__version__,
        title="Classify images",
        introduction=_introduction(labels),
        style=Markup(style),
        labels=_json(labels),
        program=Markup(program),
        **parts,
    )


def runtime_file(name: str) -> bytes:
    """Read and decompress one of the runtime's files, exactly as in the npm package."""
    return gzip.decompress(_compressed(name))


def _compressed(name):
    """Read a file of the runtime without decompressing it."""
    return (_FOLDER / "runtime" / f"{name}.gz").read_bytes()


def _program(name, core=""):
    """Combine the runtime's module, if any, and the scripts of the page into one module."""
    return f"{core}\n{{\n{_text('page.js')}\n{_text(name)}}}\n"


def _text(name):
    """Read a text file from the page's folder."""
    return (_FOLDER / name).read_text("utf-8")


def _hashed(text):
    """Return the Content-Security-Policy source expression that allows a script or style with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _base64(content):
    """Encode bytes as base64 text."""
    return base64.b64encode(content).decode()


def _json(labels):
    """Return the labels that the page's script needs, as JSON that cannot close a script element."""
    needed = {key: labels[key] for key in _NEEDED if key in labels}
    return Markup(json.dumps(needed).replace("<", "\\u003c"))


def _introduction(labels):
    """Return a sentence that lists the classes."""
    names, most = labels["class_names"], 20
    listed = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"It recognizes {listed}."


def _trust(labels):
    """Return sentences on how reliable the predictions are, each followed by a space."""
    run, text = labels["provenance"].get("run") or {}, ""
    if "thresholds" in labels:
        return text
    if run.get("accuracy") is not None:
        by = f" ({run['measured_by']})" if run.get("measured_by") else ""
        text = f"In a test{by}, {run['accuracy']:.0%} of its answers were correct. "
    if "unknown_threshold" in labels:
        return (
            f'{text}It answers "none of these" for images that are far from all of its training images, and may miss '
            "some. "
        )
    return f"{text}It assigns one of these classes even to an image that shows none of them. "
