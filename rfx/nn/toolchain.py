"""A C compiler for tinygrad on machines without clang.

tinygrad's CPU device compiles each kernel with ``clang``, or with what ``CC`` names; gcc does not serve. The ``ziglang``
wheel (the extra ``rfx[nn]``) brings a clang, reached as ``zig clang``. :func:`prepare` writes a two-line launcher for it
into the user's cache and names it in ``CC`` for this process and its children, and only if nothing was chosen: ``CC`` is
not set and there is no clang. The launcher passes what is not tinygrad's on to the system's ``cc``.
"""

import contextlib
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rfx.errors import MissingDependencyError

INSTALL = "install clang, or the compiler that comes with: pip install 'rfx[nn]'"


def zig() -> Path | None:
    """Return the program of the ``ziglang`` wheel, if it is installed."""
    try:
        spec = importlib.util.find_spec("ziglang")
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / ("zig.exe" if os.name == "nt" else "zig")
        if program.is_file() and os.access(program, os.X_OK):
            return program
    return None


def launcher(program: Path) -> Path | None:
    """Return an executable that runs ``zig clang`` for tinygrad; None where no folder allows one."""
    quoted = shlex.quote(str(program))
    text = (
        "#!/bin/sh\n"
        "# Written by rfx: a clang for tinygrad; any other caller gets the system's compiler.\n"
        f'case " $* " in *" -ffreestanding "*|" --version ") exec {quoted} clang "$@";; esac\n'
        'exec cc "$@"\n'
    )
    name = f"clang-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "rfx"
    for folder in (cache, None):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            place = folder or Path(tempfile.mkdtemp(prefix="rfx-"))
            place.mkdir(parents=True, exist_ok=True)
            target = place / name
            if _written(target, text) or _works(_write(target, text)):
                return target
    return None


def _written(target: Path, text: str) -> bool:
    """Whether the launcher of an earlier process is there, ours and unchanged."""
    try:
        found = target.lstat()
        return found.st_uid == os.getuid() and found.st_mode & 0o777 == 0o700 and target.read_text() == text
    except (OSError, UnicodeDecodeError):
        return False


def _write(target: Path, text: str) -> Path:
    handle, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    os.chmod(name, 0o700)
    os.replace(name, target)
    return target


def _works(target: Path) -> bool:
    answer = subprocess.run([target, "--version"], capture_output=True, timeout=60, check=False)
    if answer.returncode != 0:
        target.unlink()
    return answer.returncode == 0


def prepare() -> str | None:
    """Choose a compiler for tinygrad if the user has not, and return what it will run; None if there is none.

    Called by ``rfx.nn`` before it loads tinygrad; call it yourself to use tinygrad without ``rfx.nn``.
    """
    if chosen := os.environ.get("CC"):
        return chosen
    if clang := shutil.which("clang"):
        return clang
    program = zig()
    found = launcher(program) if program else None
    if found is None:
        return None
    os.environ["CC"] = str(found)
    helpers = sys.modules.get("tinygrad.helpers")
    if helpers is not None and hasattr(helpers.getenv, "cache_clear"):
        helpers.getenv.cache_clear()  # it may remember that there was no CC
    return str(found)


def check_device() -> str:
    """Return the name of tinygrad's device after it was seen to be usable.

    Raises
    ------
    MissingDependencyError
        No tinygrad, or no device that works; the sentence says what to install.
    """
    compiler = prepare()
    try:
        from tinygrad import Device
    except ImportError as error:
        raise MissingDependencyError(f"rfx.nn needs tinygrad: pip install rfx ({error})") from error
    try:
        device = str(Device.DEFAULT)
        Device[device]
    except Exception as error:
        wrong = f"CC={compiler} is no clang: unset it, or"
        because = wrong if os.environ.get("CC") else "its CPU device needs clang:"
        raise MissingDependencyError(f"tinygrad found no device ({error}), {because} {INSTALL}") from error
    if (
        device.split(":")[0] == "CPU" and compiler is None
    ):  # old kernels in its cache hide that until a new one is needed
        raise MissingDependencyError(f"tinygrad's CPU device needs clang: {INSTALL}")
    return device
