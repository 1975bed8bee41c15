"""Runs the notebooks under nbval on a GPU and writes device, versions, times and results into docs/gpu.md.

Run: KERAS_BACKEND=jax python notebooks/gpu.py      (`make notebooks-gpu` does it for JAX and TensorFlow)
"""

import datetime
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "gpu.md"
#: Notebooks that run at a time: each keeps about three cores busy, and they share the GPU.
AT_A_TIME = max(1, (os.cpu_count() or 1) // 3)
NBVAL = ["-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]


def devices(backend):
    """Names of the GPUs that a backend sees."""
    if backend == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    if backend == "tensorflow":
        import tensorflow as tf

        seen = tf.config.list_physical_devices("GPU")
        return [tf.config.experimental.get_device_details(device).get("device_name", device.name) for device in seen]
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def section(backend, names, results):
    """The section of the page: a table of the machine, and one of (notebook, seconds, whether it passed)."""
    facts = {
        "date": datetime.date.today().isoformat(),
        "device, driver": f"{', '.join(names)}; {_driver()}",
        "Python, Keras, backend": f"{platform.python_version()}, {version('keras')}, {backend} {version(backend)}",
        "TensorFlow installed": _version("tensorflow") or "no",
        "notebooks at a time": AT_A_TIME,
    }
    passed = sum(ok for _, _, ok in results)
    lines = ["", f"## {backend}: {passed} of {len(results)} passed", "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    lines += ["", "| notebook | seconds | result |", "|---|---|---|"]
    lines += [f"| {name} | {seconds:.0f} | {'passed' if ok else 'failed'} |" for name, seconds, ok in results]
    return "\n".join(lines) + "\n"


def run(path):
    """Runs a notebook: its name, the seconds it took, and whether it passed."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *NBVAL, str(path)], check=False, capture_output=True, text=True)
    print(done.stdout, done.stderr, flush=True)
    return path.stem, time.perf_counter() - start, done.returncode == 0


def main():
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or JAX takes the memory for one process
    names = devices(backend)
    if not names:
        sys.exit(f"{backend} sees no GPU on this machine; docs/gpu.md is left as it is.")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(run, sorted((HERE / "read").glob("*.ipynb"))))
    PAGE.write_text(PAGE.read_text() + section(backend, names, results))
    sys.exit(not all(ok for _, _, ok in results))


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _driver():
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return f"driver {subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]}"
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "driver unknown"


if __name__ == "__main__":
    main()
