"""Does a killed `tlkeras fit --resume` end with the numbers of an uninterrupted run?

One run is left alone; its log says which phases there are and how long they take. Then runs of the same call are killed
by SIGKILL, resumed, killed again, and finally left alone; their metrics must be equal to the digit, times aside. Each
kill aims at a random moment of a phase, and phases take turns. While a run writes its files, the moment is a number of
files, because that phase is too short to be hit by the clock. After each kill, the output folder is absent or whole.
The table counts the kills by the phase that they came in, according to the log of the killed run. Features are kept
with the unfinished run only, so that a killed run has to compute them.

Run: python benchmarks/resume.py [--kills 30] [--strategy features finetune] [--aim writing refit]
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime
from itertools import cycle
from pathlib import Path

#: Number of files in the folder of a run.
FILES = 8


def command(options, strategy, output):
    """Return the call whose runs are compared."""
    limits = ["--per-class", str(options.per_class), "--image-size", str(options.image_size), "--epochs", "2"]
    fit = ["fit", str(options.data), "-o", str(output), "--strategy", strategy, *limits, "--seed", "0"]
    return [sys.executable, "-m", "tlkeras", *fit, "--resume", "--quiet"]


def metrics(output):
    """Return the metrics of a run but for times."""
    return json.loads((output / "metrics.json").read_text()) | {"seconds": None}


def events_of(path, started=0.0):
    """Return the events that a process which started at some time wrote to a log; a line that was cut off is none."""
    if not path.exists():
        return []
    events = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [event for event in events if datetime.fromisoformat(event["time"]).timestamp() > started]


def name_of(event):
    """Name the phase that an event ends; all epochs of a stage are one phase."""
    return " ".join(event[key] for key in ("stage", "phase") if key in event)


def phases_of(events, started, ended):
    """Return the phases of an uninterrupted run in their order: a dict from names to seconds."""
    times = [started, *(datetime.fromisoformat(event["time"]).timestamp() for event in events), ended]
    names = [*map(name_of, events[:-1]), "building the model", "writing"]
    seconds = dict.fromkeys(names, 0.0)
    for name, start, end in zip(names, times[:-1], times[1:], strict=True):
        seconds[name] += end - start
    return seconds


def phase_of(events, phases):
    """Name the phase that a process is in after these events: the one after the last that ended."""
    names = list(phases)
    known = [event for event in events if event["phase"] == "done" or name_of(event) in names]
    if not known:
        return names[0]
    last = known[-1]
    if last["phase"] == "done":
        return "writing"
    if "epoch" in last and last["epoch"] < last["epochs"]:
        return name_of(last)
    return names[names.index(name_of(last)) + 1]


def hidden_files(output):
    """List the files in the hidden folders that runs write before they rename them; killed runs leave theirs behind."""
    with suppress(FileNotFoundError):  # a folder was renamed meanwhile
        return list(output.parent.glob(f".{output.name}.unfinished/.{output.name}.*/*"))
    return []


def wait_for_files(process, output, old, share):
    """Wait until a run has begun to write a share of its files, and up to 0.2 seconds more."""
    (count, rest), seen = divmod(share * FILES, 1), 0
    while process.poll() is None:
        now = sum(path.parent not in old for path in hidden_files(output))
        if now >= count or now < seen:  # fewer: the folder has its final name
            break
        seen = now
        time.sleep(0.002)
    process.wait(0.2 * rest)


def run_and_kill(options, strategy, output, phases, aim, share):
    """Run the call and kill it within a phase; return the phase it was in, or None if it ended before.

    The kill comes after `share` of the seconds that the phase took without interruption, or after `share` of the files
    that it writes. Where a resumed run skips the phase, the next one counts.
    """
    log, names = output.with_name(f".{output.name}.unfinished") / "log.jsonl", list(phases)
    started, old = time.time(), {path.parent for path in hidden_files(output)}
    process = subprocess.Popen(command(options, strategy, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and names.index(phase_of(events_of(log, started), phases)) < names.index(aim):
        time.sleep(0.02)
    try:
        if aim == "writing":
            wait_for_files(process, output, old, share)
        else:
            process.wait(share * phases[aim])
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not output.exists() or metrics(output), "half-written run"
        return "removing the unfinished run" if output.exists() else phase_of(events_of(log, started), phases)
    assert process.returncode == 0, f"exit status {process.returncode}"
    return None


def chain(options, strategy, output, phases, aims, draw):
    """Kill and resume a run until it ends or is left alone, after one to ten kills; yield the phases of the kills."""
    for _ in range(draw.randint(1, 10)):
        phase = run_and_kill(options, strategy, output, phases, next(aims), draw.random())
        if phase is None:
            return
        yield phase
    subprocess.run(command(options, strategy, output), check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--strategy", nargs="+", default=["features", "finetune"])
    parser.add_argument("--data", type=Path, default=Path("data/clipart10"))
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--aim", nargs="+", default=[""], help="aim only at phases whose names contain one of these")
    options = parser.parse_args()
    os.environ["TLKERAS_CACHE"] = "off"
    draw = random.Random(0)
    folder = Path(tempfile.mkdtemp())
    for strategy in options.strategy:
        started = time.time()
        subprocess.run(command(options, strategy, folder / "whole"), check=True, capture_output=True)
        phases = phases_of(events_of(folder / "whole" / "log.jsonl"), started, time.time())
        print(f"{strategy}: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in phases.items())}", flush=True)
        expected = metrics(folder / "whole")
        aims = cycle([name for name in phases if any(word in name for word in options.aim)])
        kills, runs, different = Counter(), 0, 0
        while kills.total() < options.kills:
            output = folder / "killed"
            for phase in chain(options, strategy, output, phases, aims, draw):
                kills[phase] += 1
            runs, different = runs + 1, different + (metrics(output) != expected)
            shutil.rmtree(output)
            counts = ", ".join(f"{phase} {kills[phase]}" for phase in [*phases, "removing the unfinished run"])
            print(f"{strategy}: {kills.total()} kills ({counts}); {different} of {runs} runs differ", flush=True)
        shutil.rmtree(folder / "whole")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
