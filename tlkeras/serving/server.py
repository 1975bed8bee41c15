"""The server: uvicorn on the loopback interface."""

import signal
import socket
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tlkeras.errors import InputError
from tlkeras.serving.application import make_application
from tlkeras.serving.requests import Limits

if TYPE_CHECKING:
    from tlkeras.runs.run import Run

#: Longest time in seconds for the headers of a request to arrive, and for open requests to finish at shutdown.
_HEADER_SECONDS, _SHUTDOWN_SECONDS = 10.0, 10

_ADDRESS = "127.0.0.1"


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for request headers. Without a deadline, uvicorn waits forever."""

    _deadline = None

    def connection_made(self, transport):
        """Start the deadline for the headers of the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data):
        """Handle data, and update the deadline."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, error):
        """Cancel the deadline."""
        self._stop_watching()
        super().connection_lost(error)

    def _watch(self):
        """Set a deadline while headers are incomplete. Data that trickles in does not extend it."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_HEADER_SECONDS, self._give_up)

    def _stop_watching(self):
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self):
        """Close the connection if the headers are still incomplete."""
        self._deadline = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def serve(run: "Run", port: int = 8000, limits: Limits | None = None, on_start: Callable = lambda url: None) -> None:
    """Serve a run on this computer until SIGINT (Ctrl+C) or SIGTERM, then finish the open requests.

    Args:
        run: A `Run`, which may be an opened exported file.
        port: Port on 127.0.0.1, or 0 for any free port. Defaults to 8000.
        limits: `Limits` that requests must stay within. Defaults to None, which means `Limits()`.
        on_start: Function that is called with the server's URL once connections are accepted.

    Raises:
        InputError: The port is in use or cannot be opened.
    """
    limits = limits or Limits()
    with _listening(port) as listener:
        config = uvicorn.Config(
            make_application(run, limits),
            http=ImpatientProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        listener.listen(128)
        on_start(f"http://{_ADDRESS}:{listener.getsockname()[1]}/")
        with _signals_end_quietly():
            uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _listening(port):
    """Bind a socket to a port on the loopback interface."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_ADDRESS, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"Port {port} on {_ADDRESS} cannot be used: {reason}. Choose another port with --port."
            ) from error
        yield listener


@contextmanager
def _signals_end_quietly():
    """Ignore the signals that uvicorn raises again after its shutdown, so that the process ends normally."""
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
