"""Build the workshop kit: one archive that installs tlkeras and its notebooks without a network.

Packages come from the package index that pip is configured to use here, so the kit fits machines with this operating
system and this version of Python. `--wheels DIR` takes packages that were collected before and needs no network.

python docs/teaching/build_kit.py [--wheels DIR] [--output dist]
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from build_slides import environment, write_slides
from lessons import READ, ROOT, names, read_lesson, to_html
from markupsafe import Markup
from notebook_pages import notebook_page

HERE = Path(__file__).parent
#: What is compressed already.
STORED = {".whl", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".zip"}
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def collect_wheels(folder):
    """Download or build the wheels of tlkeras, of everything its notebooks need, and of pip."""
    subprocess.run([*PIP, "wheel", "--quiet", "--wheel-dir", folder, f"{ROOT}[notebooks]", "pip"], check=True)


def check_wheels(folder):
    """Let pip find out whether the wheels are complete. It raises `CalledProcessError` and names what is missing."""
    dry = ["install", "--quiet", "--dry-run", "--ignore-installed", "--no-index", "--no-cache-dir"]
    subprocess.run([*PIP, "--isolated", *dry, "--find-links", folder, "pip", "tlkeras[notebooks]"], check=True)


def add_material(kit, version):
    """Copy or render everything but the wheels into the folder of the kit.

    Args:
        kit: Folder of the kit.
        version: Version of tlkeras.
    """
    skip = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".*")
    for part in ("data", "notebooks/learn", "notebooks/read"):
        shutil.copytree(ROOT / part, kit / part, ignore=skip)
    pages = [*(ROOT / "notebooks").glob("*.md"), *(ROOT / "notebooks").glob("*.jpg")]
    for file in (*pages, ROOT / "LICENSE", ROOT / "NOTICE"):
        shutil.copy(file, kit / file.relative_to(ROOT))
    (kit / "html").mkdir()
    for name in names():
        (kit / "html" / f"{name}.html").write_text(notebook_page(READ / f"{name}.ipynb"), "utf-8")
    write_slides(kit / "slides")
    add_teaching(kit / "teaching")
    for file in ("install.py", "install.sh"):
        shutil.copy(HERE / "kit" / file, kit / file)
    made_for = {"version": version, "system": system(), "python": python_version()}
    readme = environment().from_string((HERE / "kit" / "README.md").read_text("utf-8")).render(made_for)
    (kit / "README.md").write_text(readme, "utf-8")
    write_page(readme, kit / "README.html")
    titles = {name: read_lesson(READ / f"{name}.ipynb").title for name in names()}
    noted = {page.stem for page in (HERE / "notes").glob("*.md")}
    page = environment().get_template("index.html").render(titles=titles, noted=noted, **made_for)
    (kit / "index.html").write_text(page, "utf-8")


def add_teaching(folder):
    """Render the teacher's pages as HTML, and copy the cheat sheet."""
    (folder / "notes").mkdir(parents=True)
    for page in (*HERE.glob("*.md"), *(HERE / "notes").glob("*.md")):
        write_page(page.read_text("utf-8"), folder / page.relative_to(HERE).with_suffix(".html"))
    for sheet in (*HERE.glob("*.pdf"), *HERE.glob("*.svg")):
        shutil.copy(sheet, folder / sheet.name)


def write_page(markdown, file):
    """Render a page of Markdown as HTML. Links to other pages of Markdown lead to their HTML."""
    body = Markup(to_html(re.sub(r"(?<!:)\.md(?=[)#])", ".html", markdown), with_links=True))
    title = markdown.partition("\n")[0].lstrip("# ")
    file.write_text(environment().get_template("page.html").render(title=title, body=body), "utf-8")


def write_manifest(kit, version):
    """Write which system the kit is for, and the SHA-256 of every file."""
    files = sorted(path for path in kit.rglob("*") if path.is_file())
    digests = {path.relative_to(kit).as_posix(): sha256(path) for path in files}
    about = {"name": "tlkeras", "version": version, "python": python_version(), "system": system(), "files": digests}
    (kit / "manifest.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def sha256(path):
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_archive(kit, archive):
    """Write the folder of the kit as a zip file, under a temporary name first."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as file:
        for path in sorted(path for path in kit.rglob("*") if path.is_file()):
            how = zipfile.ZIP_STORED if path.suffix.lower() in STORED else zipfile.ZIP_DEFLATED
            file.write(path, Path(kit.name) / path.relative_to(kit), how)
    part.replace(archive)


def build_kit(output, wheels=None):
    """Build the kit and return its archive.

    Args:
        output: Folder for the archive.
        wheels: Folder of wheels that were collected before. By default they are collected now.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".kit-") as temporary:
        folder = Path(temporary) / "wheels"
        if wheels is None:
            collect_wheels(folder)
        else:
            shutil.copytree(wheels, folder, copy_function=_link)
        check_wheels(folder)
        version = next(folder.glob("tlkeras-*.whl")).name.split("-")[1]
        kit = Path(temporary) / f"tlkeras-kit-{version}"
        kit.mkdir()
        folder.rename(kit / "wheels")
        add_material(kit, version)
        write_manifest(kit, version)
        label = f"py{python_version().replace('.', '')}-{system().replace(' ', '-').lower()}"
        archive = output / f"{kit.name}-{label}.zip"
        write_archive(kit, archive)
    return archive


def python_version():
    """Return the version of this Python, such as `"3.11"`."""
    return ".".join(map(str, sys.version_info[:2]))


def system():
    """Return operating system and processor, such as `"Linux x86_64"`."""
    return f"{platform.system()} {platform.machine()}"


def _link(source, target):
    """Link a file instead of copying it, where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheels", type=Path, help="folder of wheels that were collected before")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    try:
        archive = build_kit(arguments.output, arguments.wheels)
    except subprocess.CalledProcessError:
        sys.exit("pip could not collect the packages; its message is above.")
    print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
