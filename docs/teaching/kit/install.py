"""Install tlkeras and everything its notebooks need from this folder, without a network, and check that it works.

python install.py              install into .venv, then run the doctor
python install.py --check      check the files and the installation only
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def misfit(manifest):
    """Return why this Python or this system cannot use the kit, or an empty string."""
    python, system = ".".join(map(str, sys.version_info[:2])), f"{platform.system()} {platform.machine()}"
    if python != manifest["python"]:
        return f"This kit is for Python {manifest['python']}; this is Python {python}."
    if system != manifest["system"]:
        return f"This kit is for {manifest['system']}; this is {system}."
    return ""


def damaged(manifest):
    """Return the files that are missing or differ from the manifest, as happens when a copy is cut short."""
    return [name for name, digest in sorted(manifest["files"].items()) if sha256(HERE / name) != digest]


def sha256(path):
    """Return the SHA-256 of a file, or None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                digest.update(part)
    except OSError:
        return None
    return digest.hexdigest()


def install(environment, python):
    """Create a virtual environment and install from the folder `wheels`, pip included."""
    wheels = HERE / "wheels"
    pip = next(wheels.glob("pip-*.whl"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    command = [str(python), "-I", str(pip / "pip"), "--isolated", "--disable-pip-version-check", "install", "--quiet"]
    source = ["--no-index", "--no-cache-dir", "--find-links", str(wheels)]
    subprocess.run([*command, *source, "--no-compile", "pip", "tlkeras[notebooks]"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="check files and installation, and install nothing")
    parser.add_argument("--environment", type=Path, default=HERE / ".venv", help="by default .venv in this folder")
    arguments = parser.parse_args()
    manifest = json.loads((HERE / "manifest.json").read_text("utf-8"))
    problem = misfit(manifest)
    if problem:
        sys.exit(f"{problem} Have a kit built on a machine like this one.")
    print(f"Checking {len(manifest['files'])} files ...", flush=True)
    wrong = damaged(manifest)
    if wrong:
        sys.exit(f"Missing or damaged: {', '.join(wrong)}. Copy and unpack the archive again.")
    environment = arguments.environment.absolute()
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not arguments.check:
        print(f"Installing into {environment}; this takes a minute or more ...", flush=True)
        install(environment, python)
    # Isolated (-I) from packages that PYTHONPATH may point to.
    if subprocess.run([str(python), "-I", "-m", "tlkeras", "doctor"], check=False, cwd=str(HERE)).returncode:
        sys.exit("The doctor found a problem: the line that begins with FAIL says what to do.")
    print(f"\nReady. Start with:\n\n    {python} -m jupyterlab notebooks/learn\n")


if __name__ == "__main__":
    main()
