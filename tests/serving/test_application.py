"""The application answers images like `Run.predict`, in batches, and refuses everything else before any work."""

import asyncio
import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

pytest.importorskip("starlette")

from tlkeras.serving.application import make_application
from tlkeras.serving.requests import Limits


def image(color=(200, 40, 10), size=(12, 9), kind="PNG", **options):
    """Encode an image of one color."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, kind, **options)
    return file.getvalue()


async def ask(application, path="/predict", body=b"", method=None, headers=None):
    """Call an ASGI application as a server does; return `(status, headers, content)`."""
    path, _, query = path.partition("?")
    headers = {"host": "localhost:8000", "content-type": "image/png", **(headers or {})}
    headers = [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]
    method = method or ("POST" if path == "/predict" else "GET")
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
             "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
             "headers": headers, "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1)}  # fmt: skip
    parts, sent = body if hasattr(body, "__anext__") else None, []

    async def receive():
        if parts is None:
            return {"type": "http.request", "body": body, "more_body": False}
        part = await anext(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    json_content = headers.get("content-type") == "application/json"
    return sent[0]["status"], headers, json.loads(content) if json_content else content.decode()


def served(run, *requests, limits=None):
    """Answer requests, all at once: a list of `(status, headers, content)`."""

    async def answer():
        application = make_application(run, limits)
        async with application.router.lifespan_context(application):
            return await asyncio.gather(*(ask(application, **request) for request in requests))

    return asyncio.run(answer())


def png(width, height, content=b""):
    """Write a PNG file whose header promises a size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def icon(content):
    """Put a PNG file into an icon that claims 16 x 16 pixels."""
    return b"\0\0\1\0\1\0\x10\x10\0\0\1\0 \0" + struct.pack("<II", len(content), 22) + content


def test_an_image_is_answered_as_run_predict_answers_it(run, tmp_path):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    files = {"flat.png": image(), "long.bmp": image((3, 200, 9), (10_000, 1), "BMP"),
             "turned.jpg": image((9, 8, 200), (30, 20), "JPEG", exif=turned)}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = run.predict([tmp_path / name for name in files], top_k=2, probabilities=True)
    path = "/predict?top_k=2&probabilities=true"
    results = served(run, *({"path": path, "body": content} for content in files.values()))
    assert [status for status, _, _ in results] == [200, 200, 200]
    assert [content for _, _, content in results] == [{k: v for k, v in one.items() if k != "path"} for one in expected]
    assert served(run, {"body": image()})[0][2] == {"class": "red", "probability": pytest.approx(0.8)}


def test_images_that_wait_together_are_computed_together_and_answered_each(run):
    colors = [(number, 200, 250 - number) for number in range(0, 200, 4)]
    results = served(run, *({"path": "/predict?probabilities=1", "body": image(color)} for color in colors))
    answers = np.array([list(content["probabilities"].values()) for _, _, content in results])
    expected = np.array(colors, "float64") / np.sum(colors, axis=1, keepdims=True)
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    sizes = run._litert.sizes[1:]  # after the trial at the start
    assert sum(sizes) == len(colors) and 1 < max(sizes) <= 32


def test_an_engine_that_compiles_each_size_of_batch_gets_few_sizes(run):
    run._litert.name = "keras"
    results = served(run, *({"body": image((9, number, 8))} for number in range(60, 73)))
    expected = [number / (number + 17) for number in range(60, 73)]
    np.testing.assert_allclose([content["probability"] for _, _, content in results], expected, atol=1e-6)
    assert {*run._litert.sizes} <= {1, 2, 4, 8, 16, 32} and max(run._litert.sizes) > 1


def test_an_engine_that_fails_fails_the_requests_and_not_the_server(run):
    async def answer():
        application = make_application(run)
        async with application.router.lifespan_context(application):
            run._litert.fails = True
            with pytest.raises(RuntimeError, match="out of memory"):  # for the server's log
                await ask(application, body=image())
            run._litert.fails = False
            return await ask(application, body=image()), await ask(application, "/healthz")

    (status, _, answer), (health, _, about) = asyncio.run(answer())
    assert (status, answer["class"]) == (200, "red") and (health, about["status"], about["classes"]) == (200, "ok", 3)


def test_one_label_one_unknown_image_and_several_labels_are_those_of_the_run(run):
    class Rejector:
        def exceeds(self, score):
            return score >= 0.5

    class Scoring(type(run._litert)):
        def __call__(self, pixels):
            answers = super().__call__(pixels)
            return np.column_stack([answers, answers[:, 0]])

    run.make_engine, run.rejector = Scoring, Rejector()
    run.rejector.threshold = 0.5
    unknown, known = served(run, {"body": image()}, {"body": image((10, 40, 200))})
    assert (unknown[2]["class"], unknown[2]["unknown_score"]) == ("unknown", pytest.approx(0.8))
    assert known[2]["class"] == "blue"
    run.make_engine, run.rejector, run.thresholds = type(run._litert), None, (0.1, 0.1, 0.1)
    assert served(run, {"body": image()})[0][2]["labels"] == ["red", "green"]


HOSTILE = {
    "no image": (b"GIF89a and then text", 400, "cannot be read"),
    "empty": (b"", 400, "empty"),
    "truncated": (image(size=(400, 300))[:-200], 400, "cannot be read: it is damaged"),
    "truncated JPEG": (image(size=(400, 300), kind="JPEG")[:400], 400, "cannot be read: it is damaged"),
    "a bomb": (png(60_000, 60_000), 413, "more than 50000000 pixels"),
    "a small bomb": (png(8_000, 8_000, zlib.compress(bytes(8_000))), 413, "more than 50000000 pixels"),
    "an icon, whose header hides a size": (icon(png(300, 300, zlib.compress(bytes(901 * 300)))), 415, "format ICO"),
    "program text": (b"#!/bin/sh\nrm -rf /", 400, "not an image"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "SVG drawing"),
    "more than is allowed": (bytes(1_000_001), 413, "larger than 1000000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images_are_refused_with_a_reason(run, name):
    body, status, reason = HOSTILE[name]
    given, _, content = served(run, {"body": body}, limits=Limits(bytes=1_000_000))[0]
    assert given == status and reason in content["error"]
    assert run._litert.sizes == [1]  # nothing was computed but the trial at the start


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"host": "evil.example:8000"}, 421, "localhost"),
        ({"host": None}, 421, "localhost"),
        ({"host": "127.0.0.1.evil.example"}, 421, "localhost"),
        ({"host": "localhost@evil.example"}, 421, "localhost"),
        ({"origin": "http://evil.example"}, 403, "other websites"),
        ({"origin": "null"}, 403, "other websites"),
        ({"origin": "http://localhost:9000"}, 403, "other websites"),
        ({"content-type": "text/plain"}, 415, "image/*"),
        ({"content-type": None}, 415, "image/*"),
        ({"content-type": 'multipart/form-data; boundary=x; filename="../../etc/passwd"'}, 415, "image/*"),
        ({"content-length": "99999999999999999999"}, 413, "bytes"),
    ],
)
def test_other_names_other_pages_and_other_types_are_refused(run, headers, status, reason):
    given, sent, content = served(run, {"body": image(), "headers": headers})[0]
    assert given == status and reason in content["error"] and sent["connection"] == "close"
    assert "access-control-allow-origin" not in sent


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_computer_are_answered(run, host):
    headers = {"host": host, "origin": f"http://{host.lower()}"}
    assert served(run, {"body": image(), "headers": headers})[0][0] == 200


def test_a_body_without_end_and_one_that_never_comes_are_cut_off(run):
    async def endless():
        while True:
            yield bytes(100_000)

    async def silent():
        yield b"\x89PNG"
        await asyncio.sleep(60)

    limits = Limits(bytes=1_000_000, seconds=0.2)
    endless, silent = served(run, {"body": endless()}, {"body": silent()}, limits=limits)
    assert endless[0] == 413 and endless[1]["connection"] == "close"
    assert silent[0] == 408 and silent[1]["connection"] == "close"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/predict?top_k=0", 400, "`top_k` must be an integer between 1 and 3"),
        ("/predict?top_k=4", 400, "`top_k`"),
        ("/predict?top_k=two", 400, "`top_k`"),
        ("/predict?probabilities=yes", 400, "`probabilities` must be true or false"),
        ("/predict?output=/etc/passwd", 400, "`parameter` must be 'top_k' or 'probabilities'"),
        ("/../../etc/passwd", 404, "Not Found"),
        ("/%2e%2e/etc/passwd", 404, "Not Found"),
        ("/labels.json", 404, "Not Found"),
    ],
)
def test_paths_and_parameters_that_do_not_exist_are_refused(run, path, status, reason):
    given, _, content = served(run, {"path": path, "body": image()})[0]
    assert given == status and reason in content["error"]


def test_a_client_path_reads_and_writes_nothing(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.png").write_bytes(image())
    headers = {"content-disposition": 'attachment; filename="../up.png"'}
    assert served(run, {"body": b"secret.png"})[0][0] == 400  # a path is no image
    assert served(run, {"body": image(), "headers": headers})[0][0] == 200
    assert [path.name for path in tmp_path.iterdir()] == ["secret.png"]


def test_the_page_is_that_of_format_web_and_asks_only_this_server(run):
    status, headers, page = served(run, {"path": "/"})[0]
    assert status == 200 and headers["content-type"].startswith("text/html") and len(page) < 50_000
    assert "connect-src &#39;self&#39;" in page and "unsafe" not in page and 'id="model"' not in page
    assert "red, green, blue" in page and headers["x-frame-options"] == "DENY"
    assert served(run, {"path": "/", "method": "POST"})[0][0] == 405
    assert served(run, {"path": "/predict", "method": "GET"})[0][0] == 405
