"""Child processes that do not wait for imports: they are forked from one that has imported Keras and done nothing."""

import json
import os
import signal
import subprocess
import sys

import pytest

SERVER = """
import json, os, sys, traceback

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import keras, numpy, PIL.Image, sklearn.linear_model

def run(code, arguments, output, errors, variables):
    for number, path in enumerate((os.devnull, output, errors)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
    os.environ.update(variables)
    sys.argv, status = ["-c", *arguments], 0
    try:
        exec(compile(code, "<child>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)

for line in sys.stdin:
    request = json.loads(line)
    if isinstance(request, dict):
        answer = os.fork() or run(**request)
    else:
        child, status = os.waitpid(*request)
        answer = os.waitstatus_to_exitcode(status) if child else None
    print(json.dumps(answer), file=answers, flush=True)
"""


class Child:
    """A Python program in a process of its own, much like `subprocess.Popen`."""

    def __init__(self, ask, folder, code, arguments, variables):
        self._ask, self._files = ask, (folder / "output", folder / "errors")
        output, errors = map(str, self._files)
        arguments = list(map(str, arguments))
        self.pid = ask(
            {"code": code, "arguments": arguments, "output": output, "errors": errors, "variables": variables}
        )
        self.returncode = None

    def poll(self, options=os.WNOHANG):
        if self.returncode is None:
            self.returncode = self._ask([self.pid, options])
        return self.returncode

    def wait(self):
        return self.poll(options=0)

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    @property
    def stdout(self):
        return self._files[0].read_text()

    @property
    def stderr(self):
        return self._files[1].read_text()


class Children:
    """Starts programs; what each of them needs beyond Keras, NumPy and scikit-learn, it imports itself."""

    def __init__(self, folders):
        self._folders = folders
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _ask(self, request):
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(self, code, *arguments, **variables):
        return Child(self._ask, self._folders.mktemp("child"), code, arguments, variables)

    def run(self, code, *arguments, **variables):
        """Run a program to its end, which must be a good one, and return what it printed."""
        child = self.start(code, *arguments, **variables)
        assert child.wait() == 0, child.stderr[-3000:]
        return child.stdout

    def end(self):
        self._server.stdin.close()
        self._server.wait()


@pytest.fixture(scope="session")
def children(tmp_path_factory):
    children = Children(tmp_path_factory)
    yield children
    children.end()
