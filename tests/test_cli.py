"""The ``rfx`` command: what it prints, what it returns, what it loads."""

import io
import os
import subprocess
import sys

import pytest

import rfx
from rfx import cli
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


def test_the_debug_option_keeps_the_traceback(monkeypatch):
    def run(args):
        raise ConfigError("expected this, got that")

    fake_command(monkeypatch, run)
    with pytest.raises(ConfigError):
        cli.main(["--debug", "fake"])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_went_away_ends_the_command_quietly(unbuffered):
    read, write = os.pipe()
    os.close(read)
    environment = {**child_environment(), "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-P", "-m", "rfx", "doctor"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, env=environment)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, "")


def test_ctrl_c_is_130(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    fake_command(monkeypatch, run)
    assert cli.main(["fake"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_exit_code_of_a_command_is_handed_on(monkeypatch):
    fake_command(monkeypatch, lambda args: 7)
    assert cli.main(["fake"]) == 7


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


def test_progress_breaks_a_long_silence_within_a_tenth(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rfx.cli.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Progress(100, "work", stream) as progress:
        for now[0], done in ((0.0, 0), (2.0, 1), (5.0, 2), (9.9, 3), (10.0, 4)):
            progress.update(done)
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["0.0", "2.0", "4.0"]
