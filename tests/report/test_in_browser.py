"""The page in headless Chromium: no message on the console, no request, and no violation that axe-core finds.

axe-core comes from npm: `npm install axe-core`, and `AXE_CORE` names its `axe.min.js`.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tlkeras.report.page import render_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
KINDS = {
    "three": {},
    "hundred": {"names": tuple(f"class {number}" for number in range(100)), "images": 400},
    "labels": {"several": True},
}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


def browse(page, folder, dark=False):
    """Open a page; return what it became, what its console said, and the hosts that the browser asked for."""
    file, log = folder / "page.html", folder / "net.json"
    file.write_text(page, "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    options += [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--virtual-time-budget=20000"]
    options += ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run([CHROMIUM, *options, "--dump-dom", file.as_uri()], capture_output=True, timeout=180)
    console = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    hosts = {urlsplit(url).hostname for url in re.findall(r'"(https?://[^"]+)"', log.read_text(errors="replace"))}
    return done.stdout.decode(), console, hosts


@pytest.fixture(scope="module")
def own_hosts(tmp_path_factory):
    """Return the hosts that the browser asks for by itself."""
    return browse("<!doctype html><title>empty</title>", tmp_path_factory.mktemp("empty"))[2]


def test_a_request_and_a_message_would_be_seen(tmp_path, own_hosts):
    page = '<!doctype html><img src="http://asked.invalid/x.png"><script>console.error("said")</script>'
    _, console, hosts = browse(page, tmp_path)
    assert "asked.invalid" in hosts - own_hosts and any("said" in line for line in console)


@pytest.mark.parametrize("kind", KINDS)
def test_no_message_and_no_request(kind, made_facts, tmp_path, own_hosts):
    page, console, hosts = browse(render_page(made_facts(**KINDS[kind])), tmp_path)
    assert not console and not hosts - own_hosts
    assert "photos-run" in page


def test_hostile_names_do_not_run(made_facts, hostile, tmp_path):
    names = (*hostile[:5], "<img src=x onerror=console.error(1)>")
    page, console, _ = browse(render_page(made_facts(names, 120, name=names[5], paths=[*names] * 20)), tmp_path)
    assert not console and "<script" not in page


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed; AXE_CORE names its file")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_violation(kind, dark, made_facts, tmp_path):
    page = re.sub("<meta http-equiv[^>]*>", "", render_page(made_facts(**KINDS[kind])))
    run = "axe.run().then(result => document.body.textContent = 'AXE' + JSON.stringify(result.violations) + 'AXE')"
    script = f"<script>{AXE.read_text('utf-8')}</script><script>{run}</script></body>"
    answer, _, _ = browse(page.replace("</body>", script), tmp_path, dark)
    _, violations, _ = answer.split("AXE")
    found = json.loads(violations.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert not found, [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
