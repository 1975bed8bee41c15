"""The ASGI application: the web page, the JSON endpoint and the health check."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from tlkeras._version import __version__
from tlkeras.data.reading import ImageError
from tlkeras.errors import InputError
from tlkeras.exporters.web_page import served_page
from tlkeras.runs.answers import answer_of, check_top_k
from tlkeras.serving.batching import Batcher
from tlkeras.serving.requests import Guard, Limits, check_type, error_response
from tlkeras.utils.validation import check_choice, invalid

if TYPE_CHECKING:
    from tlkeras.runs.run import Run

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def make_application(run: "Run", limits: Limits | None = None) -> Starlette:
    """Build the application that serves a run.

    `GET /` returns the page of `tlkeras export --format web`, modified to send images to this server. `POST /predict`
    takes one image file as its body and returns the same JSON as `Run.predict`, without `path`. `top_k` and
    `probabilities` are query parameters. `GET /healthz` reports whether the server is working. Errors have the form
    `{"error": reason}`.

    Args:
        run: A `Run`, which may be an opened exported file.
        limits: `Limits` that requests must stay within. Defaults to None, which means `Limits()`.

    Returns:
        `starlette.applications.Starlette`.
    """
    service = _Service(run, limits or Limits())
    return Starlette(
        routes=[
            Route("/", service.page),
            Route("/predict", service.predict, methods=["POST"]),
            Route("/healthz", service.health),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={HTTPException: _failed, ImageError: _unreadable, InputError: _wrong, Exception: _broken},
        lifespan=lambda application: service.running(),
    )


class _Service:
    """The endpoints and the state they share: the engine, its batcher, and the threads that decode images."""

    def __init__(self, run, limits):
        self.run, self.limits = run, limits
        engine = run.make_engine()
        engine(np.zeros((1, *run.image_size, 3), "uint8"))  # fail now, not at the first request
        self.batcher = Batcher(engine, compiled=getattr(getattr(engine, "engine", engine), "name", None) == "keras")
        self.content = served_page(run)

    @asynccontextmanager
    async def running(self):
        """Run the batcher and the decoding threads inside an `async with` block."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as self.readers:
            async with self.batcher.running():
                yield

    async def page(self, request):
        """Return the web page."""
        return HTMLResponse(self.content)

    async def health(self, request):
        """Report whether the batcher is running."""
        alive = self.batcher.alive
        about = {"status": "ok" if alive else "failed", "tlkeras": __version__, "classes": len(self.run.class_names)}
        return JSONResponse(about, 200 if alive else 503)

    async def predict(self, request):
        """Classify one image."""
        check_type(request)
        top_k, probabilities = self._options(request.query_params)
        content = await self.limits.read_body(request)
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self.readers, self.limits.read_pixels, content, self.run)
        answer = await self.batcher.answer(pixels)
        return JSONResponse(answer_of(self.run, answer, top_k, probabilities))

    def _options(self, given):
        """Parse and check the query parameters `top_k` and `probabilities`."""
        for name in given:
            check_choice("parameter", name, ("top_k", "probabilities"))
        top_k, probabilities = given.get("top_k", "1"), given.get("probabilities", "false")
        check_top_k(self.run, int(top_k) if top_k.isascii() and top_k.isdecimal() and len(top_k) < 6 else top_k)
        if probabilities not in _BOOLEANS:
            raise invalid("probabilities", probabilities, "be true or false")
        return int(top_k), _BOOLEANS[probabilities]


async def _failed(request, error):
    """Respond to a rejected request with the exception's status and reason."""
    return error_response(error.status_code, error.detail, error.headers)


async def _unreadable(request, error):
    """Respond with status 400 to an image that cannot be read."""
    return error_response(400, f"The image cannot be read: {error.reason}.")


async def _wrong(request, error):
    """Respond with status 400 to invalid parameters."""
    return error_response(400, str(error))


async def _broken(request, error):
    """Respond with status 500 to an unexpected error. The traceback is in the server's log."""
    return error_response(500, "Internal server error. See the server's log.")
