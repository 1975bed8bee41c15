"""The doctor finds what is wrong, says how to fix it, and scales the notebooks' times."""

import json
import os
import subprocess
import sys

import pytest

import tlkeras
from tlkeras.teaching import doctor, measured


@pytest.mark.parametrize(
    "version, ok", [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 1), True), ((3, 14, 0), False)]
)
def test_python_is_held_to_what_the_package_asks_for(version, ok):
    check = doctor.check_python(version)
    assert check.ok is ok
    assert bool(check.fix) is not ok


def test_a_missing_package_and_an_old_one_are_named_with_the_command_that_fixes():
    check = doctor.check_packages(["keras>=3", "numpy>=999", "no-such-package>=1", "absent; extra == 'hub'"], "jax")
    assert not check.ok
    assert "no-such-package is missing" in check.detail and "numpy" in check.detail
    assert "'numpy>=999' 'no-such-package>=1'" in check.fix
    assert "keras" not in check.fix and "absent" not in check.fix


def test_the_command_that_fixes_is_for_this_python_whether_its_environment_is_activated_or_not(monkeypatch):
    folder, name = os.path.split(sys.executable)
    for path, called in ((folder, name), (os.devnull, sys.executable)):
        monkeypatch.setenv("PATH", path)
        assert doctor.check_packages(["numpy>=999"]).fix.startswith(f"{called} -m pip install")


def test_a_folder_that_is_not_installed_is_told_so(monkeypatch):
    def missing(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", missing)
    with pytest.raises(tlkeras.InputError, match=r"not installed here.* -m pip install \.$"):
        doctor.check_packages()


def test_tensorflow_is_asked_for_with_its_own_backend_only():
    needs = ["tensorflow>=999"]
    assert "tensorflow" in doctor.check_packages(needs, "tensorflow").fix
    assert "tensorflow" not in doctor.check_packages(needs, "torch").fix


@pytest.mark.parametrize(
    ("needs", "in_jupyter", "ok"),
    [
        (["jupyterlab>=4"], False, False),
        (["jupyterlab>=4"], True, True),  # in another kind of Jupyter, which is as good
        (["keras-cv>=0.9"], False, True),  # which notebooks show where it is
        (["numpy>=999"], True, False),
    ],
)
def test_notebooks_need_jupyter_and_nothing_too_old(monkeypatch, needs, in_jupyter, ok):
    monkeypatch.setattr(doctor, "_version", lambda name: {"numpy": "2.0"}.get(name))
    needs = ["absent", "other; extra == 'hub'", *(f"{need}; extra == 'notebooks'" for need in needs)]
    check = doctor.check_notebooks(needs, in_jupyter)
    assert check.ok is ok and ('".[notebooks]"' in check.fix) is not ok
    assert needs[2].partition(">=")[0] in check.detail and "absent" not in check.detail and "other" not in check.detail


@pytest.mark.parametrize("check", [doctor.check_memory, lambda free: doctor.check_disk(free=free)])
def test_too_little_room_fails_with_advice(check):
    assert not check(0.1).ok and check(0.1).fix
    assert check(50.0).ok and not check(50.0).fix


def test_weights_that_are_not_here_fail():
    assert doctor.check_weights("efficientnet_lite0").ok
    assert not doctor.check_weights("vgg19").ok


@pytest.mark.backends
def test_what_computing_raises_is_shown_and_not_thrown(monkeypatch):
    monkeypatch.setattr(doctor, "BACKBONE", "no_such_backbone")
    check, seconds = doctor.check_forward_pass()
    assert not check.ok and "no_such_backbone" in check.detail and check.fix
    assert doctor.expected_minutes(seconds) == {}


@pytest.mark.backends
def test_a_training_step_lowers_the_loss():
    assert doctor.check_training_step().ok


def test_minutes_grow_with_the_time_of_a_batch():
    reference = measured("notebook_seconds")
    for name, minutes in doctor.expected_minutes(3 * reference["batch"]).items():
        assert minutes == pytest.approx(3 * reference["notebooks"][name] / 60, abs=0.051)


def test_every_line_that_fails_is_followed_by_its_fix():
    checks = (doctor.Check("memory", False, "1 GB", "close other programs."), doctor.Check("disk", True, "9 GB"))
    text = str(doctor.Diagnosis(checks, {"01": 0.5})).splitlines()
    assert text[0] == "FAIL  memory  1 GB" and text[1].strip() == "fix: close other programs."
    assert text[2] == "ok    disk    9 GB"


def test_the_command_prints_one_json_object_and_fails_where_a_check_fails():
    run = [sys.executable, "-m", "tlkeras", "doctor", "--json"]
    ill = subprocess.run(
        run, stdout=subprocess.PIPE, check=False, env={**os.environ, "KERAS_BACKEND": "no_such_backend"}
    )
    assert ill.returncode == 1
    found = json.loads(ill.stdout)
    assert not found["ok"] and not found["minutes"]
    failed = [check["name"] for check in found["checks"] if not check["ok"] and check["name"] != "notebooks"]
    assert failed == ["packages", "forward pass", "training step"]
    assert "to one of tensorflow, jax, torch" in found["checks"][1]["fix"]


def test_a_backend_that_is_set_in_the_settings_of_keras_is_looked_for(monkeypatch, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert "torch" in doctor.check_packages(["keras>=3"]).detail
    (tmp_path / "keras.json").write_text("damaged")
    assert "tensorflow" in doctor.check_packages(["keras>=3"]).detail


def test_lessons_begin_before_keras_is_imported():
    code = "import sys, tlkeras.teaching, tlkeras.teaching.doctor; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
