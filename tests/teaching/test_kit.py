"""The workshop kit: an archive that installs without a network, shown with small stand-ins for the packages."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("nbconvert")  # installed for development on TensorFlow only

ROOT = Path(__file__).parents[2]
TEACHING = ROOT / "docs" / "teaching"
sys.path.insert(0, str(TEACHING))
import build_kit  # noqa: E402

_spec = importlib.util.spec_from_file_location("install", TEACHING / "kit" / "install.py")
install = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(install)


def _wheel(folder, name, files, needs=()):
    """Write a wheel without a build tool: a zip of files and three pages about them."""
    about = f"{name}-1.0.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    named = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nProvides-Extra: notebooks\n"
    pages = {
        f"{about}/METADATA": named + requires,
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, **pages}.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in {**files, **pages, f"{about}/RECORD": ""}))


@pytest.fixture
def wheels(tmp_path):
    """Stand-ins: a tlkeras whose doctor needs another package, and the pip that comes with Python."""
    import ensurepip

    pip = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"), None)
    if pip is None:
        pytest.skip("this Python comes without pip's wheel")
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / pip.name).write_bytes(pip.read_bytes())
    doctor = "import sys, lesson_tool\nprint('doctor', sys.argv[1:], lesson_tool.__name__)"
    needs = ['lesson_tool; extra == "notebooks"']
    _wheel(folder, "tlkeras", {"tlkeras/__init__.py": "", "tlkeras/__main__.py": doctor}, needs)
    _wheel(folder, "lesson_tool", {"lesson_tool.py": ""})
    return folder


@pytest.fixture
def quick_material(monkeypatch):
    def add(kit, version):
        for file in ("install.py", "install.sh"):
            (kit / file).write_bytes((TEACHING / "kit" / file).read_bytes())

    monkeypatch.setattr(build_kit, "add_material", add)


def _installed(folder):
    command = [sys.executable, "install.py", "--environment", "env"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_archive_installs_from_its_own_wheels_and_notices_damage(tmp_path, wheels, quick_material):
    archive = build_kit.build_kit(tmp_path / "out", wheels)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [archive.name]
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    kit = tmp_path / "tlkeras-kit-1.0"
    done = _installed(kit)
    assert done.returncode == 0, done.stderr
    assert "doctor ['doctor'] lesson_tool" in done.stdout
    (kit / "wheels" / "lesson_tool-1.0-py3-none-any.whl").write_bytes(b"cut short")
    done = _installed(kit)
    assert done.returncode == 1
    assert "Missing or damaged: wheels/lesson_tool-1.0-py3-none-any.whl." in done.stderr


def test_a_kit_without_a_package_that_is_needed_is_not_built(tmp_path, wheels, quick_material, capfd):
    (wheels / "lesson_tool-1.0-py3-none-any.whl").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        build_kit.build_kit(tmp_path / "out", wheels)
    assert "lesson-tool" in capfd.readouterr().err.replace("_", "-")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_kit_refuses_another_python_or_system():
    manifest = {"python": build_kit.python_version(), "system": build_kit.system()}
    assert install.misfit(manifest) == ""
    assert install.misfit({**manifest, "python": "3.8"}).startswith("This kit is for Python 3.8; this is Python 3.")
    assert install.misfit({**manifest, "system": "Plan9 mips"}).startswith("This kit is for Plan9 mips; this is ")
