"""The ``rfx`` command: what it prints, what it returns, what it loads."""

import io
import json
import subprocess
import sys

import pytest

import rfx
from rfx import cli
from rfx.cli import doctor
from rfx.cli.demo import child_environment
from rfx.cli.progress import Progress
from rfx.errors import ConfigError, InvalidValueError


def run_rfx(*words, **options):
    return subprocess.run(
        [sys.executable, "-P", "-m", "rfx", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=child_environment(),
        **options,
    )


# -- the command


def test_version():
    assert run_rfx("--version").stdout.strip() == f"rfx {rfx.__version__}"


def test_help_names_every_command_and_loads_none():
    code = (
        "import sys; from rfx.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('rfx.') and m.count('.') == 2 or m == 'numpy'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in cli.COMMANDS:
        assert name in result.stdout
    assert result.stdout.strip().endswith("[]")


def test_no_command_is_a_usage_error():
    result = run_rfx()
    assert result.returncode == 2
    assert "COMMAND" in result.stderr


def test_an_unknown_command_is_a_usage_error():
    result = run_rfx("fly")
    assert result.returncode == 2
    assert "fly" in result.stderr


def fake_command(monkeypatch, run):
    module = type(sys)("rfx.cli.fake")
    module.add_arguments = lambda parser: None
    module.run = run
    monkeypatch.setitem(sys.modules, "rfx.cli.fake", module)
    monkeypatch.setitem(cli.COMMANDS, "fake", ("rfx.cli.fake", "for tests"))


def test_our_errors_are_one_line_and_code_1(monkeypatch, capsys):
    def run(args):
        raise ConfigError("expected this, got that")

    fake_command(monkeypatch, run)
    assert cli.main(["fake"]) == 1
    assert capsys.readouterr().err == "rfx: expected this, got that\n"


def test_debug_keeps_the_traceback(monkeypatch):
    def run(args):
        raise ConfigError("expected this, got that")

    fake_command(monkeypatch, run)
    monkeypatch.setenv("RFX_DEBUG", "1")
    with pytest.raises(ConfigError):
        cli.main(["fake"])


def test_ctrl_c_is_130(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    fake_command(monkeypatch, run)
    assert cli.main(["fake"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_exit_code_of_a_command_is_handed_on(monkeypatch):
    fake_command(monkeypatch, lambda args: 7)
    assert cli.main(["fake"]) == 7


# -- the doctor


def test_doctor_prints_one_line_for_each_check():
    result = run_rfx("doctor")
    lines = result.stdout.strip().splitlines()
    assert result.returncode == 0, result.stdout
    assert [line.split("  ")[0].strip() for line in lines] == [name for name, _ in doctor.CHECKS]
    assert rfx.__version__ in lines[0]


def test_doctor_as_json():
    checks = json.loads(run_rfx("doctor", "--json").stdout)
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
    found = check("training")
    assert found.status == "warn"
    assert "clang" in found.detail


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


# -- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_writes_a_line_for_each_tenth_where_there_is_no_terminal():
    stream = io.StringIO()
    with Progress(100, "work", stream) as progress:
        for i in range(101):
            progress.update(i, "busy")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[5].startswith("work:   50.0 of 100")
    assert "\r" not in stream.getvalue()


def test_progress_rewrites_one_line_on_a_terminal():
    stream = Terminal()
    with Progress(10, "work", stream) as progress:
        progress.update(0)
        progress.update(10, "done")
    text = stream.getvalue()
    assert text.startswith("\rwork [")
    assert text.endswith("\n")
    assert "100 %  done" in text


def test_progress_needs_something_to_count_to():
    with pytest.raises(InvalidValueError, match="total"):
        Progress(0, "work")
