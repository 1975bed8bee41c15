"""A run served over HTTP under load: answers, losses and latency, with batching and one request at a time.

    python benchmarks/serve.py                        # clipart10's run: 1,000 requests, 16 at a time
    python benchmarks/serve.py --run RUN --images DIR # another run or exported file
    python benchmarks/serve.py --quick                # 100 requests

The server is `tlkeras serve` in its own process, and the client runs on the same cores. Every answer is compared with
that of `tlkeras predict`. Then bodies without end, connections that say nothing and files that are no images arrive
during the load.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np


def start(run):
    """Start `tlkeras serve` on a free port: `(process, port)`."""
    command = [sys.executable, "-m", "tlkeras", "serve", str(run), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("Serving"):
            return process, int(line.partition("127.0.0.1:")[2].partition("/")[0])
    raise SystemExit(f"the server ended with status {process.wait()}")


def load(port, contents, requests, concurrency):
    """Send requests, some at a time, each worker on its own connection.

    Returns:
        `(answers, seconds, total)`: a dict per request, or None where there was none; the time of each; all of it.
    """
    local = threading.local()

    def one(number):
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        begun = perf_counter()
        try:
            headers = {"Content-Type": "application/octet-stream"}
            connection.request("POST", "/predict", contents[number % len(contents)], headers)
            response = connection.getresponse()
            answer = json.loads(response.read()) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            answer = None
        return answer, perf_counter() - begun

    begun = perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        results = list(pool.map(one, range(requests)))
    return [answer for answer, _ in results], np.array([seconds for _, seconds in results]), perf_counter() - begun


def attack(port, stop):
    """Send what no client should, again and again; count the connections."""
    count = 0
    header = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]  # they say nothing
    while not stop.wait(0.2):
        for content in (
            b"GET / HTTP/1.1\r\nHost: loc",  # and no more
            header + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + bytes(0x10000) + b"\r\n",  # no end
            header + b"Content-Length: 20\r\n\r\nthis is not an image",
            header + b"Content-Length: 999999999999\r\n\r\n",
            bytes(range(256)),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(content)
            count += 1
    for connection in silent:
        connection.close()
    return count + len(silent)


def report(title, answers, seconds, total, expected):
    """Print one line; return whether every answer came and is right."""
    lost = sum(answer is None for answer in answers)
    wrong = sum(
        answer is not None and answer != expected[number % len(expected)] for number, answer in enumerate(answers)
    )
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    print(f"{title:<34} {len(answers):>6} {lost:>5} {wrong:>6} {len(answers) / total:>9.0f} {p50:>7.1f} {p99:>7.1f}",
          flush=True)  # fmt: skip
    return not lost and not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a run, or an exported file, instead of training one")
    parser.add_argument("--images", type=Path, default=Path("data/clipart10"))
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-a-time", type=int, default=16)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    count = 100 if arguments.quick else arguments.requests
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder, "run")
        if arguments.run is None:
            fit = [sys.executable, "-m", "tlkeras", "fit", str(arguments.images), "-o", str(run), "--quiet"]
            subprocess.run(fit, check=True, stdout=subprocess.DEVNULL)
        files = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".png"))[:200]
        predict = [sys.executable, "-m", "tlkeras", "predict", str(run), *map(str, files), "--quiet", "--json"]
        answers = json.loads(subprocess.run(predict, check=True, capture_output=True, text=True).stdout)["predictions"]
        expected = [{key: value for key, value in answer.items() if key != "path"} for answer in answers]
        contents = [path.read_bytes() for path in files]
        process, port = start(run)
        try:
            print(f"{'':<34} {'sent':>6} {'lost':>5} {'wrong':>6} {'per second':>9} {'p50 ms':>7} {'p99 ms':>7}")
            load(port, contents, 50, 4)
            good = report("one at a time", *load(port, contents, count // 4, 1), expected)
            good &= report(
                f"{arguments.at_a_time} at a time", *load(port, contents, count, arguments.at_a_time), expected
            )
            stop = threading.Event()
            with ThreadPoolExecutor(1) as pool:
                attacked = pool.submit(attack, port, stop)
                results = load(port, contents, count, arguments.at_a_time)
                stop.set()
            good &= report(f"the same, with {attacked.result()} hostile ones", *results, expected)
        finally:
            process.send_signal(signal.SIGTERM)
        print(f"after SIGTERM the server ended with status {process.wait(30)}")
    sys.exit(0 if good and process.returncode == 0 else 1)


if __name__ == "__main__":
    main()
