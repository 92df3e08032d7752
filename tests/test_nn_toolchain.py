"""A compiler for tinygrad where there is no clang."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rfx.nn import toolchain

pytest.importorskip("tinygrad")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No choice made, no clang to be found, a cache of its own."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, *rest: None if name == "clang" else real(name, *rest))
    return tmp_path


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_a_choice_of_the_user_stays(monkeypatch):
    monkeypatch.setenv("CC", "/opt/my-clang")
    assert toolchain.prepare() == "/opt/my-clang"
    assert os.environ["CC"] == "/opt/my-clang"


def test_a_clang_on_the_path_is_used_as_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    clang = tmp_path / "clang"
    clang.write_text("#!/bin/sh\n")
    clang.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert toolchain.prepare() == str(clang)
    assert "CC" not in os.environ


def test_the_wheel_serves_through_a_launcher(bare):
    pytest.importorskip("ziglang")
    made = toolchain.prepare()
    assert os.environ["CC"] == made
    assert made.startswith(str(bare))
    assert os.stat(made).st_mode & 0o777 == 0o700
    answer = subprocess.run([made, "--version"], capture_output=True, text=True, check=True)
    assert "clang" in answer.stdout
    before = os.stat(made).st_mtime_ns
    del os.environ["CC"]
    assert toolchain.prepare() == made
    assert os.stat(made).st_mtime_ns == before


def test_the_launcher_leaves_other_callers_to_the_system(bare, tmp_path):
    pytest.importorskip("ziglang")
    if shutil.which("cc") is None:
        pytest.skip("no compiler of the system here")
    made = toolchain.prepare()
    system = subprocess.run(["cc", "-dumpmachine"], capture_output=True, text=True, check=True)
    assert subprocess.run([made, "-dumpmachine"], capture_output=True, text=True, check=True).stdout == system.stdout


def test_a_launcher_that_was_tampered_with_is_written_again(bare):
    pytest.importorskip("ziglang")
    made = toolchain.prepare()
    text = Path(made).read_text()
    Path(made).write_text("#!/bin/sh\nexit 1\n")
    del os.environ["CC"]
    assert toolchain.prepare() == made
    assert Path(made).read_text() == text


def test_a_home_that_cannot_be_written_is_no_obstacle(bare, monkeypatch):
    pytest.importorskip("ziglang")
    (bare / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "file"))
    made = toolchain.prepare()
    assert subprocess.run([made, "--version"], capture_output=True, check=True).returncode == 0
    shutil.rmtree(os.path.dirname(made))


def test_without_any_compiler_one_sentence_says_what_to_install(tmp_path):
    answer = run(
        """
        import os, shutil
        os.environ.pop("CC", None)
        from rfx.nn import toolchain
        toolchain.zig = lambda: None
        shutil.which = lambda *a, **k: None
        os.environ["PATH"] = "/nowhere"
        from rfx.nn import MLP  # names can be had, and the other rooms of such a machine work
        try:
            MLP(2, 1)
        except ImportError as error:
            print(type(error).__name__, error)
        """,
        CACHEDB=str(tmp_path / "cache.db"),
        DEV="CPU",
    )
    assert answer.stdout.startswith("MissingDependencyError tinygrad"), answer.stderr
    assert "clang" in answer.stdout
    assert "pip install 'rfx[nn]'" in answer.stdout
    assert answer.stdout.count("\n") == 1


def test_without_tinygrad_one_sentence_says_what_to_install():
    answer = run(
        """
        import sys
        sys.modules["tinygrad"] = None
        try:
            from rfx.nn import MLP
        except ImportError as error:
            print(type(error).__name__, error)
        """
    )
    assert answer.stdout.startswith("MissingDependencyError rfx.nn needs tinygrad: pip install"), answer.stderr


def test_a_compiler_that_is_no_clang_is_named(tmp_path):
    answer = run("from rfx.nn import MLP; MLP(2, 1)", CC="/bin/false", DEV="CPU", CACHEDB=str(tmp_path / "cache.db"))
    assert "CC=/bin/false is no clang: unset it, or" in answer.stderr


def test_without_torch_one_sentence_says_what_to_install():
    answer = run(
        """
        import sys
        sys.modules["torch"] = None
        from rfx.nn import TorchJitPolicy
        try:
            TorchJitPolicy("model.pt")
        except ImportError as error:
            print(type(error).__name__, error)
        """
    )
    assert answer.stdout.startswith("MissingDependencyError TorchJitPolicy needs PyTorch: pip install torch"), (
        answer.stderr
    )
