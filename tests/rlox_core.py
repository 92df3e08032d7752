"""rlox's compiled module by itself, without the torch that its package asks for."""

import functools
import importlib.machinery
import importlib.util
from pathlib import Path

import pytest


@functools.cache
def rlox_core():
    """Return it; the test is skipped where it is not installed."""
    spec = importlib.util.find_spec("rlox")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("rlox is not installed: pip install --no-deps rlox==1.2.0")
    [path] = list(Path(spec.submodule_search_locations[0]).glob("_rlox_core*.so"))[:1]
    loader = importlib.machinery.ExtensionFileLoader("_rlox_core", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_rlox_core", loader))
    loader.exec_module(module)
    return module
