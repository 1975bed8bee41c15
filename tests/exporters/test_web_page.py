"""The page of `--format web` and `serve` in headless Chromium, over the DevTools protocol: the page is not changed."""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import tlkeras
from tlkeras.exporters.options import check_options
from tlkeras.exporters.runtimes import open_runtime
from tlkeras.exporters.web_page import runtime_file, web_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
RUNTIME = Path(tlkeras.__file__).parent / "exporters" / "web" / "runtime"
LABELS = {"class_names": ["</script>", "b"], "image_size": [8, 8], "resize": "stretch", "provenance": {}}


class Browser:
    """A Chromium that is spoken to through pipes."""

    def __init__(self, folder):
        (read, self._out), (self._in, write) = os.pipe(), os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        options += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        command = f'exec "$@" 3<&{read} 4>&{write}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, "bash", CHROMIUM, *options, f"--user-data-dir={folder}"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read), os.close(write)
        self._rest, self._count, self.session, self.events = b"", 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        """Send a command, and wait for its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                part = os.read(self._in, 1 << 20)
                assert part, "Chromium ended"
                self._rest += part
            text, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def run(self, code):
        """Evaluate JavaScript and return its value."""
        answer = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, code, seconds=90):
        """Wait until JavaScript is true."""
        end = time.monotonic() + seconds
        while not self.run(code):
            assert time.monotonic() < end, self.run("document.body.innerText")
            time.sleep(0.1)

    def open(self, page):
        """Open a file or an address, and wait until the page is ready."""
        self.events.clear()
        self.ask("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait("document.getElementById('status')?.textContent === 'Ready.'")

    def choose(self, paths):
        """Give files to the page, and wait for the answers: `(name of the file, answer, percent)`, in order."""
        before = self.run("document.querySelectorAll('article').length")
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(Path(path).resolve()) for path in paths])
        self.wait(f"document.querySelectorAll('article').length === {before + len(paths)}")
        card = "['img', 'h2', 'li span'].map(part => a.querySelector(part)).map(part => part.alt ?? part.textContent)"
        cards = self.run(f"[...document.querySelectorAll('article')].map(a => {card})")[: len(paths)]
        return [(name, answer, float(percent.rstrip("%"))) for name, answer, percent in reversed(cards)]

    def messages(self):
        """Return what the console said, and every address beside the page's own that was asked for."""
        said = [one["params"] for one in self.events if one["method"] in ("Runtime.consoleAPICalled", "Log.entryAdded",
                                                                          "Runtime.exceptionThrown")]  # fmt: skip
        asked = [one["params"]["request"]["url"] for one in self.events if one["method"] == "Network.requestWillBeSent"]
        return said, [url[:100] for url in asked[1:] if not url.startswith(("data:", "blob:"))]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    with contextlib.suppress(AssertionError):
        browser.session = None
        browser.ask("Browser.close")
    browser.process.wait(30)


@pytest.fixture(scope="module")
def drawings(clipart10, tmp_path_factory):
    """Export a classifier of drawings that has learned from 12 per class: the folder, and 20 images it has not seen."""
    files = [sorted(folder.iterdir()) for folder in sorted(clipart10.iterdir()) if folder.is_dir()]
    learned, held_out = [path for some in files for path in some[:12]], [path for some in files for path in some[-2:]]
    pipeline = make_pipeline(tlkeras.FeatureExtractor("efficientnet_lite0"), LogisticRegression(C=0.01, max_iter=500))
    pipeline.fit(learned, [path.parent.name for path in learned])
    model, names = tlkeras.fold(pipeline), [str(name) for name in pipeline.classes_]
    folder = tmp_path_factory.mktemp("web") / "page"
    pixels = tlkeras.read_images(held_out, 224).astype("uint8")
    tlkeras.export(model, folder, format="web", quantize="none", images=pixels, class_names=names)
    return folder, held_out, [names[place] for place in model.predict(pixels, verbose=0).argmax(axis=1)]


def test_the_runtime_is_the_published_one():
    listed = re.findall(r"^    (\w{64})  (\S+)$", (RUNTIME / "README.md").read_text("utf-8"), re.MULTILINE)
    hashes = {name: digest for digest, name in listed}
    assert {path.name.removesuffix(".gz") for path in RUNTIME.glob("*.gz")} == set(hashes)
    for name, expected in hashes.items():
        assert hashlib.sha256(runtime_file(name)).hexdigest() == expected
    assert sum(path.stat().st_size for path in RUNTIME.iterdir()) < 4_000_000


def test_the_page_is_small_asks_for_nothing_and_names_cannot_end_a_script():
    page = web_page(b"model", LABELS, "none")
    assert len(page) < 20_000_000 and not re.search(r"<(script|link|img)[^>]+(src|href)=\"(?!data:)", page)
    assert page.count("</script>") == page.count("<script") == 5
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    for script in re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", page, re.DOTALL):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_the_page_takes_one_image_at_a_time_and_has_floats_as_answers():
    assert check_options("web").candidates == ("none", "float16", "int8", "dynamic_int8")
    with pytest.raises(tlkeras.errors.InputError, match="`batch` must be 1"):
        check_options("web", batch=None)
    with pytest.raises(tlkeras.errors.InputError, match="`quantize` must be"):
        check_options("web", "full_int8")


@pytest.mark.slow
def test_the_page_answers_like_keras_and_says_and_asks_nothing(browser, drawings):
    folder, images, expected = drawings
    browser.open(folder / "index.html")
    answers = browser.choose(images)
    assert [name for name, _, _ in answers] == [path.name for path in images]
    assert [answer for _, answer, _ in answers] == expected
    assert browser.messages() == ([], [])
    assert len({*expected}) > 3
    in_python = [one["probability"] for one in tlkeras.load_export(folder).predict(images)]
    np.testing.assert_allclose([percent / 100 for _, _, percent in answers], in_python, atol=0.05)


@pytest.mark.slow
def test_what_is_no_image_is_said_and_the_camera_answers(browser, drawings, tmp_path):
    folder = drawings[0]
    browser.open(folder / "index.html")
    (tmp_path / "notes.png").write_text("no image")
    root = browser.ask("DOM.getDocument")["root"]["nodeId"]
    node = browser.ask("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
    browser.ask("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "notes.png")])
    browser.wait("document.getElementById('status').textContent.startsWith('notes.png: this browser cannot read')")
    browser.run("document.getElementById('camera').click()")
    browser.wait("document.getElementById('video').videoWidth > 0 && !document.getElementById('viewfinder').hidden")
    browser.run("document.getElementById('shoot').click()")
    browser.wait("document.querySelector('article img')?.alt === 'Camera'")
    browser.run("document.getElementById('stop').click()")
    assert browser.run("document.getElementById('viewfinder').hidden && document.activeElement.id") == "camera"
    assert browser.messages() == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_each_way_to_resize_is_that_of_read_image_and_several_labels_can_be_chosen(browser, exported, tmp_path, resize):
    labels = json.loads((exported[0] / "labels.json").read_text())
    labels |= {"resize": resize, "thresholds": [0.0, 2.0, 0.0]}
    (tmp_path / "page.html").write_text(web_page(exported[1].path.read_bytes(), labels, "none"), "utf-8")
    pixels = np.full((20, 60, 3), (90, 100, 110), "uint8")
    pixels[:, :15, 0], pixels[5:15, 22:38, 1], pixels[:, 50:, 2] = 200, 140, 170
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    browser.open(tmp_path / "page.html")
    answers = browser.choose([tmp_path / "wide.png", tmp_path / "tall.png"])
    images = tlkeras.read_images([tmp_path / "wide.png", tmp_path / "tall.png"], 16, resize).round().astype("uint8")
    expected = open_runtime(exported[1].path, "litert")(images)
    for (_, answer, percent), probabilities in zip(answers, expected, strict=True):
        assert {*answer.split(", ")} == {"blue", "red"}
        assert percent == pytest.approx(100 * probabilities.max(), abs=4)


@pytest.fixture(scope="module")
def pages(rejecting, tmp_path_factory):
    """Make both pages of a run with a rejector: a file, and the address of `tlkeras serve`."""
    pytest.importorskip("uvicorn")
    folder = tmp_path_factory.mktemp("both") / "page"
    tlkeras.export(rejecting[0], folder, format="web", quantize="none", images=rejecting[1][0].parents[1])
    command = [sys.executable, "-m", "tlkeras", "serve", str(rejecting[0]), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    address = next(found[0] for line in server.stderr if (found := re.search(r"http://127.0.0.1:\d+/", line)))
    yield {"web": folder / "index.html", "serve": address}
    server.terminate()
    assert server.wait(20) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["web", "serve"])
def test_both_pages_answer_none_of_these_where_the_run_does(browser, pages, rejecting, kind):
    folder, files, others = rejecting
    paths = [*files[::6], *others]
    expected = [one["class"].replace("unknown", "none of these") for one in tlkeras.load_run(folder).predict(paths)]
    browser.open(pages[kind])
    assert [answer for _, answer, _ in browser.choose(paths)] == expected
    said, asked = browser.messages()
    assert not said and all(url == f"{pages[kind]}predict?probabilities=true" for url in asked)
    assert len(asked) == (len(paths) if kind == "serve" else 0)
    text = browser.run("document.querySelector('article .soft').textContent")
    assert re.fullmatch(r"5.png, \d+ ms, farther from the training images than \d+\.\d% of the known images", text)
    assert browser.run("document.querySelector('article:first-of-type li.chosen') === null")
    assert "none of these" in browser.run("document.querySelector('footer').innerText")


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed; AXE_CORE names its file")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360])
@pytest.mark.parametrize("kind", ["web", "serve"])
def test_axe_finds_no_violation(browser, pages, rejecting, scheme, width, kind):
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    browser.open(pages[kind])
    browser.choose([rejecting[1][0], rejecting[2][0]])  # a known image, and "none of these"
    browser.run("document.querySelector('details')?.setAttribute('open', '')")
    browser.run(f"{AXE.read_text('utf-8')};0")
    assert browser.run("axe.run().then(result => JSON.stringify(result.violations.map(one => one.id)))") == "[]"
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.ask("Emulation.clearDeviceMetricsOverride")
