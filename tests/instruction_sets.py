"""C of ours compiled for each instruction set by itself, so that a test can compare the bytes that each gives."""

import ctypes
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

KERNELS = Path(__file__).parent.parent / "rfx" / "kernels"
FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-w"]
TARGETS = {"plain": "", "avx2": 'target("avx2")', "avx2, fma": 'target("avx2,fma")', "avx512f": 'target("avx512f")'}


def supported(target):
    """Whether this CPU has all of the instruction sets of a target."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    return target == "plain" or set(target.split(", ")) <= flags


def built(folder, source, *scalar):
    """Return a library of ``source`` for each target of this CPU, and "scalar", built with the further flags given."""
    if platform.machine() != "x86_64" or platform.system() != "Linux" or not shutil.which("gcc"):
        pytest.skip("needs gcc on x86-64 Linux")
    text = folder / "source.c"
    text.write_text(source)
    ways = {name: [f"-DRFX_CLONES=__attribute__(({t}))"] for name, t in TARGETS.items() if supported(name)}
    ways["scalar"] = ["-DRFX_CLONES=", "-fno-tree-vectorize", *scalar]
    include = ["-I", KERNELS, "-I", sysconfig.get_path("include")]
    found = {}
    for name, way in ways.items():
        library = folder / f"{name}.so"
        subprocess.run(["gcc", *FLAGS, *way, *include, text, "-o", library, "-lm"], check=True)
        found[name] = ctypes.CDLL(str(library))
    return found
