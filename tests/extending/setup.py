"""Build of a package that is not rfx and uses its kernels; run in a copy of this folder."""

from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

import rfx

setup(
    name="foreign",
    packages=[],
    ext_modules=cythonize(
        [Extension(name, [f"{name}.pyx"], include_dirs=[numpy.get_include()]) for name in ("foreign", "foreign_env")],
        language_level=3,
        include_path=[str(Path(rfx.__file__).parent.parent)],
    ),
)
