"""A policy inside somebody else's compiled tick: the example of docs/policy_contract.md is built and run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_mlp import random_network

from rfx.control import run_control_loop
from rfx.nn.compiled import CompiledPolicy

ROOT = Path(__file__).parent.parent
BUILD = (
    "from setuptools import setup, Extension; from Cython.Build import cythonize; "
    "setup(name='walker', ext_modules=cythonize([Extension('walker', ['walker.pyx'])], language_level=3), "
    "script_args=['-q', 'build_ext', '--inplace'])"
)


@pytest.fixture(scope="module")
def walker(tmp_path_factory):
    pytest.importorskip("Cython")
    folder = tmp_path_factory.mktemp("walker")
    source = re.search(r"```cython\n(.*?)```", (ROOT / "docs" / "policy_contract.md").read_text(), re.DOTALL)
    assert source is not None
    (folder / "walker.pyx").write_text(source[1])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    built = next(p for p in folder.glob("walker.*") if p.suffix in {".so", ".pyd"})
    spec = importlib.util.spec_from_file_location("walker", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("history", [1, 4])
def test_a_policy_acts_in_a_tick_without_the_gil(walker, history):
    layers, tensors = random_network(np.random.default_rng(0), (12 * history, 64, 12))
    policy, twin = (CompiledPolicy.from_layers(layers, tensors, history=history) for _ in range(2))
    tick = walker.Walker(policy, 20)
    run_control_loop(1000, tick.tick)
    x = np.linspace(-1, 1, 12, dtype=np.float32)
    for _ in range(20):
        x = twin(x)
    assert np.array_equal(tick.action, x)
    assert tick.failures == 0


def test_a_tick_hears_of_an_observation_that_is_not_finite(walker):
    layers, tensors = random_network(np.random.default_rng(0), (12, 64, 12))
    tick = walker.Walker(CompiledPolicy.from_layers(layers, tensors), 20)
    before = tick.action
    before[3] = np.nan
    tick.action = before
    run_control_loop(1000, tick.tick)
    assert tick.failures == 20
    np.testing.assert_array_equal(tick.action, before)
