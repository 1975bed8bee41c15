"""What `import tlkeras` adds to `import keras`, and how long `tlkeras --help` takes.

Fresh processes, the two sides in turn; prints the median of each and their ratio. Run: python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 7


def seconds(*command):
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - start


def main():
    keras_alone, with_tlkeras, help_text = [], [], []
    inside = "import keras, time; t = time.perf_counter(); import tlkeras; print(time.perf_counter() - t)"
    added = []
    for _ in range(ROUNDS):
        keras_alone.append(seconds("-c", "import keras"))
        with_tlkeras.append(seconds("-c", "import keras, tlkeras"))
        help_text.append(seconds("-m", "tlkeras", "--help"))
        added.append(float(subprocess.run([sys.executable, "-c", inside], capture_output=True, check=True).stdout))
    base = statistics.median(keras_alone)
    print(f"import keras                 {base:.3f} s")
    print(f"import keras, tlkeras        {statistics.median(with_tlkeras):.3f} s (whole processes; noisy)")
    print(f"import tlkeras after keras   {statistics.median(added) * 1000:.1f} ms")
    print(f"added by tlkeras             {statistics.median(added) / base:.2%} of import keras (bound: 2%)")
    print(f"tlkeras --help               {statistics.median(help_text):.3f} s (bound: 0.5 s)")
    print(f"tlkeras --help / import keras  {statistics.median(help_text) / base:.3f}")


if __name__ == "__main__":
    main()
