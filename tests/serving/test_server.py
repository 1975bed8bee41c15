"""A real server on a real port: load, connections that say nothing, hosts, a graceful end, and the page in Chromium."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

#: A server of a stub whose answer takes a while, and whose patience with headers is short.
PROGRAM = """
import sys, time
import numpy as np
from tlkeras.runs.run import Run
from tlkeras.serving import server
from tlkeras.serving.requests import Limits

class Slow:
    batch_size = None
    def __call__(self, pixels):
        time.sleep(0.05)
        means = pixels.reshape(len(pixels), -1, 3).mean(axis=1)
        return (means / np.maximum(means.sum(axis=1, keepdims=True), 1)).astype("float32")

server._HEADER_SECONDS = 1.0
run = Run(None, ("red", "green", "blue"), (8, 8), "stretch", litert=Slow())
server.serve(run, 0, Limits(bytes=2_000_000, seconds=2.0), lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def server():
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    process.port = int(process.stdout.readline().rpartition(":")[2].strip("/\n"))
    yield process
    process.kill()
    process.wait()


def post(port, body, host="localhost", connection=None):
    """Send an image; return `(status, answer)`."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/predict", body, {"Content-Type": "image/bmp", "Host": host})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def color(red, green, blue, tmp_path):
    path = tmp_path / "image.bmp"
    Image.new("RGB", (8, 8), (red, green, blue)).save(path)
    return path.read_bytes()


def raw(port, *parts, wait=0.0):
    """Send bytes; return what comes back until the server closes the connection, and after how long."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        received = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(wait)
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            pass
    return received, time.monotonic() - begun


@pytest.mark.slow
def test_a_thousand_requests_sixteen_at_a_time_are_all_answered_rightly(server, tmp_path):
    bodies = [color(number % 200, 60, 90, tmp_path) for number in range(50)]
    with ThreadPoolExecutor(16) as pool:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        results = list(pool.map(lambda number: post(server.port, bodies[number % 50]), range(1000)))
    assert {status for status, _ in results} == {200}
    expected = np.array([90 / (number % 50 + 150) for number in range(1000)])
    np.testing.assert_allclose([answer["probability"] for _, answer in results], expected, atol=1e-6)
    for connection in silent:
        connection.close()


@pytest.mark.slow
def test_connections_that_say_nothing_trickle_or_never_end_are_closed(server, tmp_path):
    assert raw(server.port)[1] < 5
    header = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    received, seconds = raw(server.port, *(bytes([letter]) for letter in header * 3), wait=0.05)
    assert received == b"" and seconds < 10  # the header came letter by letter
    received, seconds = raw(server.port, header + b"Content-Length: 100\r\n\r\n" + b"\x89PNG")
    assert received.startswith(b"HTTP/1.1 408") and seconds < 10
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    received, seconds = raw(server.port, header + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 400)
    assert (received.startswith(b"HTTP/1.1 413") or received == b"") and seconds < 10  # perhaps reset while sending
    assert raw(server.port, bytes(range(256)))[0].startswith(b"HTTP/1.1 400")
    assert post(server.port, color(9, 8, 200, tmp_path))[1]["class"] == "blue"
    assert post(server.port, b"", host="evil.example")[0] == 421


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_answered_before_the_end(server, tmp_path, number):
    body = color(9, 200, 8, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        post(server.port, body)
        waiting = [pool.submit(post, server.port, body) for _ in range(8)]
        time.sleep(0.03)
        os.kill(server.pid, number)
        assert [one.result()[1]["class"] for one in waiting] == ["green"] * 8
    assert server.wait(20) == 0 and server.stdout.read() == "ended\n"
