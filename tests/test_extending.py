"""Other people's Cython may cimport our kernels: a foreign package is built and run against this rfx."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rfx

pytest.importorskip("Cython")
SOURCES = Path(__file__).parent / "extending"

CHECK = """
import math
import foreign
from rfx.math import Quaternion

x, y, z = foreign.turned(0.1, 0.2, 0.3, 1, 0, 0)
assert (round(x, 5), round(y, 5), round(z, 5)) == (0.93629, 0.28963, -0.19867), (x, y, z)
bad, rows = foreign.many_turned(math.pi / 2, 3)
assert bad == 0 and len(rows) == 3
assert all(abs(x) < 1e-6 and abs(y - 1) < 1e-6 and z == 0 for x, y, z in rows), rows
assert max(abs(a - b) for a, b in zip(foreign.back_and_forth(2.0, 0.7), (0, 0, 0, 1))) < 1e-15
a, b = Quaternion.from_euler(0, 0, 0.2), Quaternion.from_euler(0, 0, 0.6)
assert foreign.halfway(a, b).is_close(Quaternion.from_euler(0, 0, 0.6))
print("foreign works")
"""


@pytest.mark.timeout(280)
def test_a_foreign_package_compiles_and_runs(tmp_path):
    for source in SOURCES.iterdir():
        if source.suffix in {".py", ".pyx"}:
            shutil.copy(source, tmp_path)
    home = str(Path(rfx.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), home])}

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    run("setup.py", "build_ext", "--inplace", "-q")
    assert run("-c", CHECK).strip() == "foreign works"
