"""What is accepted from a client: hosts, origins, types and sizes. Everything else is refused before any work."""

import asyncio
import io
import re
from dataclasses import dataclass

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from tlkeras.data.formats import known_formats
from tlkeras.data.reading import quiet, read_image

#: Names of this computer, by which a browser that was sent here by another name's address does not ask.
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)

#: Icons hold images of another size than their headers say.
_REFUSED_FORMATS = ("ICO",)

#: Closes a connection on which more of a refused request may follow.
_CLOSE = {"Connection": "close"}


@dataclass(frozen=True)
class Limits:
    """Limits of a request, and what is read within them.

    Attributes:
        bytes: Largest image file.
        pixels: Largest image, width times height.
        seconds: Longest time that a request may take to arrive.
        connections: Largest number of open connections.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000
    seconds: float = 30.0
    connections: int = 64

    async def read_body(self, request):
        """Read the body of a request into memory.

        Args:
            request: `starlette.requests.Request`.

        Returns:
            bytes.

        Raises:
            HTTPException: It is too large, takes too long, or ends early.
        """
        too_large = HTTPException(413, f"An image file may have at most {self.bytes} bytes.", _CLOSE)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.bytes:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > self.bytes:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            raise HTTPException(408, f"The image took more than {self.seconds:g} seconds to arrive.", _CLOSE) from None
        except ClientDisconnect:
            raise HTTPException(400, "The request ended early.", _CLOSE) from None
        return b"".join(parts)

    def read_pixels(self, content, run):
        """Decode an image file as `Run.predict` does, if it is not too large.

        Args:
            content: bytes of the file.
            run: `Run`.

        Returns:
            uint8 array `(height, width, 3)`.

        Raises:
            ImageError: It cannot be read.
            HTTPException: It has too many pixels, or a format that is not read here.
        """
        kind, width, height = None, 0, 0
        try:
            with quiet(), Image.open(io.BytesIO(content), formats=known_formats()) as image:  # reads the header alone
                kind, (width, height) = image.format, image.size
        except Image.DecompressionBombError:
            raise HTTPException(413, f"The image has more than {self.pixels} pixels.") from None
        except Exception:  # a broken file makes Pillow raise nearly anything, and `read_image` says what is wrong
            pass
        if kind in _REFUSED_FORMATS:
            raise HTTPException(415, f"The image is of the format {kind}, which is not read here.")
        if width * height > self.pixels:
            raise HTTPException(413, f"The image has more than {self.pixels} pixels.")
        return read_image(content, run.image_size, run.resize)


class Guard:
    """ASGI middleware that refuses requests by way of other names and other pages, and sets headers of security.

    A page elsewhere can have its visitor's browser ask this server: under its own name, if that name resolves to this
    computer (DNS rebinding), which the `Host` header shows, or across origins, which `Origin` shows.

    Args:
        application: ASGI application.
    """

    _HEADERS = (
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", b"no-store"),
    )

    def __init__(self, application):
        self._application = application

    async def __call__(self, scope, receive, send):
        """Handle a request."""

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._HEADERS]
            await send(message)

        refused = _refusal(scope["headers"]) if scope["type"] == "http" else None
        handle = self._application if refused is None else error_response(*refused, _CLOSE)
        await handle(scope, receive, send_with_headers)


def error_response(status, reason, headers=None):
    """Build the answer to a request that fails."""
    return JSONResponse({"error": reason}, status, headers)


def _refusal(headers):
    """Say why a request is refused by its headers, as `(status, reason)`; None if it is not."""
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.decode("latin-1"))
    hosts, origins = values.get(b"host", []), values.get(b"origin", [])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return 421, "This server answers to localhost and 127.0.0.1 only."
    if any(origin.partition("://")[2].lower() != hosts[0].lower() for origin in origins):
        return 403, "This server does not answer pages from elsewhere."
    return None


def check_type(request):
    """Refuse a body that is not sent as an image.

    Raises:
        HTTPException: Its type is that of something else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(
            415,
            "The body must be an image file, sent as image/* or application/octet-stream: "
            "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg",
            _CLOSE,
        )
