"""Build of the compiled core: what cannot be static. Everything else is in pyproject.toml.

Every ``rfx/**/*.pyx`` is one extension. ``RFX_DEBUG=1`` turns the run-time checks of Cython on; the mode is remembered,
so that a switch between the two modes translates and compiles everything again.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

try:
    import numpy
    from Cython import __version__ as cython_version
    from Cython.Build import cythonize
except ImportError as error:
    raise SystemExit(
        f"ERROR: building rfx needs cython>=3.2 and numpy>=2 ({error}). "
        "`pip install .` brings them; for `python setup.py build_ext --inplace` install them first."
    ) from None
from setuptools import Extension, setup

ROOT = Path(__file__).parent
KERNELS = ROOT / "rfx" / "kernels"
DEBUG = os.environ.get("RFX_DEBUG", "0") not in ("", "0")

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": False,  # with it, `self.x += 1` without the GIL does not compile
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
    "freethreading_compatible": True,
}

if sys.platform == "win32":
    COMPILE_FLAGS = ["/Od", "/Zi"] if DEBUG else ["/O2", "/fp:precise"]
    LIBRARIES = []
else:
    # Same seed, same bytes, on every CPU: no contraction to FMA, no fast-math, no -march.
    COMPILE_FLAGS = ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
    COMPILE_FLAGS += ["-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
    COMPILE_FLAGS += ["-Wno-unused-function", "-Wno-unused-variable"]
    LIBRARIES = ["m"]
MACROS = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]


def headers_of(source: Path, seen: set[Path]) -> set[Path]:
    """Return our headers that a source includes, also by way of other headers and of what it cimports."""
    if source in seen or not source.exists():
        return set()
    seen.add(source)
    text = source.read_text()
    found = {KERNELS / name for name in re.findall(r'(?:extern from|#include) "(\w+\.h)"', text)} & set(
        KERNELS.glob("*.h")
    )
    further = [
        ROOT / (name.replace(".", "/") + ".pxd") for name in re.findall(r"^from (rfx[.\w]*) cimport", text, re.M)
    ]
    for other in [*found, *further, source.with_suffix(".pxd")]:
        found |= headers_of(other, seen)
    return found


def extensions() -> list[Extension]:
    """One extension for each .pyx, named after its path, rebuilt when a header that it includes changes."""
    found = []
    for source in sorted(ROOT.glob("rfx/**/*.pyx")):
        relative = source.relative_to(ROOT)
        found.append(
            Extension(
                ".".join(relative.with_suffix("").parts),
                [str(relative)],
                include_dirs=[numpy.get_include(), "rfx/kernels"],
                depends=[str(h.relative_to(ROOT)) for h in sorted(headers_of(source, set()))],
                define_macros=MACROS,
                extra_compile_args=COMPILE_FLAGS,
                libraries=LIBRARIES,
            )
        )
    return found


def mode_changed() -> bool:
    """Whether directives, flags or Cython differ from the last build here; remembers the present ones."""
    mode = json.dumps([DIRECTIVES, COMPILE_FLAGS, MACROS, cython_version, sys.version], sort_keys=True)
    digest = hashlib.sha256(mode.encode()).hexdigest()
    stamp = ROOT / "build" / "mode.sha256"
    changed = not stamp.exists() or stamp.read_text() != digest
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest)
    return changed


def main() -> None:
    os.chdir(ROOT)
    force = mode_changed()
    jobs = os.cpu_count() or 1
    setup(
        ext_modules=cythonize(
            extensions(),
            compiler_directives=DIRECTIVES,
            nthreads=jobs if sys.platform != "win32" else 0,
            force=force,
            build_dir="build/cython",
        ),
        options={"build_ext": {"parallel": jobs, "force": force}},
    )


if __name__ == "__main__":
    main()
