"""Check a client's request: host, origin, type and size. Invalid requests are rejected before any work is done."""

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

#: Allowed `Host` headers. A browser tricked by DNS rebinding sends another name.
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)

#: Rejected because an icon file can contain an image whose size differs from the one in its header.
_REFUSED_FORMATS = ("ICO",)

#: Closes the connection, since the rest of a rejected request may still arrive on it.
_CLOSE = {"Connection": "close"}


@dataclass(frozen=True)
class Limits:
    """Limits on requests, and methods that read a request within these limits.

    Attributes:
        bytes: Largest allowed size of an image file, in bytes.
        pixels: Largest allowed number of pixels in an image, width times height.
        seconds: Longest time that a request's body may take to arrive, in seconds.
        connections: Largest allowed number of open connections.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000
    seconds: float = 30.0
    connections: int = 64

    async def read_body(self, request):
        """Read the body of a request into memory.

        Args:
            request: `starlette.requests.Request` to read.

        Returns:
            The body, as bytes.

        Raises:
            HTTPException: The body is too large, takes too long, or ends early.
        """
        too_large = HTTPException(413, f"The image file must not be larger than {self.bytes} bytes.", _CLOSE)
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
        """Decode an image file as `Run.predict` does, unless it is too large.

        Args:
            content: Contents of the file, as bytes.
            run: `Run` whose image size and resizing method are used.

        Returns:
            uint8 array of shape `(height, width, 3)`.

        Raises:
            ImageError: The image cannot be read.
            HTTPException: The image has too many pixels or an unsupported format.
        """
        kind, width, height = None, 0, 0
        try:
            with quiet(), Image.open(io.BytesIO(content), formats=known_formats()) as image:  # reads only the header
                kind, (width, height) = image.format, image.size
        except Image.DecompressionBombError:
            raise HTTPException(413, f"The image has more than {self.pixels} pixels.") from None
        except Exception:  # Pillow raises many types for a damaged file; `read_image` reports the reason
            pass
        if kind in _REFUSED_FORMATS:
            raise HTTPException(415, f"The image format {kind} is not supported.")
        if width * height > self.pixels:
            raise HTTPException(413, f"The image has more than {self.pixels} pixels.")
        return read_image(content, run.image_size, run.resize)


class Guard:
    """ASGI middleware that rejects requests from other websites, and sets security headers.

    A malicious website can make its visitor's browser send requests to this server. The website can use its own host
    name, if that name resolves to this computer (DNS rebinding); the `Host` header reveals such requests. It can also
    send cross-origin requests, which the `Origin` header reveals.

    Args:
        application: ASGI application that handles the accepted requests.
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
    """Build the JSON response for a request that fails."""
    return JSONResponse({"error": reason}, status, headers)


def _refusal(headers):
    """Return `(status, reason)` if the headers are a reason to reject the request, else None."""
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.decode("latin-1"))
    hosts, origins = values.get(b"host", []), values.get(b"origin", [])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return 421, "This server accepts requests only for localhost and 127.0.0.1."
    if any(origin.partition("://")[2].lower() != hosts[0].lower() for origin in origins):
        return 403, "This server does not accept requests from other websites."
    return None


def check_type(request):
    """Reject a request whose content type is not that of an image or of binary data.

    Raises:
        HTTPException: The content type is neither `image/*` nor `application/octet-stream`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(
            415,
            "The body must be an image file, sent as image/* or application/octet-stream: "
            "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg",
            _CLOSE,
        )
