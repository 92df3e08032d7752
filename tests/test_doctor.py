"""``rfx doctor``: what it says, and that nothing that is missing can stop it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rfx
from rfx.cli import doctor
from rfx.cli.demo import child_environment
from rfx.control.realtime import RealtimeRights, Right
from rfx.nn import toolchain

# Stands in front of the import system and of the list of what is installed: the named packages are not there.
HIDE = """
import importlib.metadata, sys
hidden = set(sys.argv.pop(1).split(","))
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
version = importlib.metadata.version
def visible(name):
    if name.removesuffix("-core") in hidden:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = visible
from rfx.cli import main
sys.exit(main(["doctor", "--json"]))
"""


def run_doctor(*words):
    command = [sys.executable, "-P", "-m", "rfx", "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=child_environment())


def doctor_without(*packages):
    command = [sys.executable, "-P", "-c", HIDE, ",".join(packages)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=child_environment())
    assert "Traceback" not in result.stderr
    return result.returncode, {c["name"]: c for c in json.loads(result.stdout)}


def test_doctor_prints_one_line_for_each_check():
    result = run_doctor()
    lines = result.stdout.strip().splitlines()
    assert result.returncode == 0, result.stdout
    assert [line.split("  ")[0].strip() for line in lines] == [name for name, _ in doctor.CHECKS]
    assert rfx.__version__ in lines[0]


def test_doctor_as_json():
    checks = json.loads(run_doctor("--json").stdout)
    assert {c["status"] for c in checks} <= {"ok", "warn", "missing", "fail"}
    assert all(c["detail"] for c in checks)


def check(name):
    return dict(doctor.CHECKS)[name]()


def test_doctor_names_the_way_to_what_is_missing(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    for name, words in (
        ("physics", "rfx[sim]"),
        ("plots", "rfx[demo]"),
        ("dds", "cyclonedds"),
        ("training", "tinygrad"),
    ):
        found = check(name)
        assert found.status == "missing"
        assert words in found.fix


def test_doctor_says_that_training_needs_clang(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(toolchain, "zig", lambda: None)
    found = check("training")
    assert found.status == "warn"
    assert "clang" in found.detail
    assert "rfx[nn]" in found.fix
    monkeypatch.setattr(toolchain, "zig", lambda: Path("zig"))
    assert check("training").status == "ok"


def test_doctor_fails_without_the_compiled_core(monkeypatch):
    monkeypatch.setitem(sys.modules, "rfx.go2.wire", None)
    found = check("rfx")
    assert found.status == "fail"
    assert "build_ext" in found.fix


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken():
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "CHECKS", [("network", broken)])
    [found] = doctor.check_all()
    assert found.status == "warn"
    assert "no such device" in found.detail


def test_checks_are_aligned():
    lines = doctor.format_checks([doctor.Check("a", "ok", "x"), doctor.Check("long name", "missing", "y", "do this")])
    first, second = lines.splitlines()
    assert first.index("ok") == second.index("missing")
    assert second.endswith("->  do this")


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        ("mujoco", "physics", "rfx[sim]"),
        ("matplotlib", "plots", "rfx[demo]"),
        ("tinygrad", "training", "tinygrad"),
        ("cyclonedds", "dds", "cyclonedds"),
    ],
)
def test_an_optional_package_that_cannot_be_imported_is_missing_with_its_fix(package, name, words):
    code, checks = doctor_without(package)
    assert code == 0
    assert checks[name]["status"] == "missing"
    assert words in checks[name]["fix"]


@pytest.mark.parametrize("package", ["numpy", "scipy"])
def test_a_core_package_that_is_absent_fails(package):
    code, checks = doctor_without(package)
    assert code == 1
    assert checks["arrays"]["status"] == "fail"
    assert checks["arrays"]["fix"] == f"pip install {package}"


def test_with_everything_hidden_every_check_still_answers():
    code, checks = doctor_without("numpy", "scipy", "cyclonedds", "mujoco", "matplotlib", "tinygrad", "resource")
    assert code == 1
    assert list(checks) == [name for name, _ in doctor.CHECKS]


@pytest.mark.parametrize(("granted", "status"), [(True, "ok"), (False, "warn")])
def test_real_time_rights_are_what_the_system_answers_and_not_who_asks(monkeypatch, granted, status):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    answer = Right("priority", "1", granted, "Operation not permitted")
    monkeypatch.setattr(RealtimeRights, "_attempt", lambda self, name, asked, action: answer)
    assert check("real time").status == status


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduler policies here")
def test_asking_for_real_time_leaves_the_scheduler_as_it_was():
    before = os.sched_getscheduler(0)
    check("real time")
    assert os.sched_getscheduler(0) == before


def test_no_checks_make_no_lines():
    assert doctor.format_checks([]) == ""
