"""rfx.control.capsule: ticks from ctypes, from capsules, and from somebody else's Cython."""

import ctypes
import gc
import importlib.util
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from rfx.control import BusyTick, CompiledTick, ControlLoop, run_control_loop
from rfx.errors import ConfigError, DTypeError

ROOT = Path(__file__).parent.parent
SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int64)


def counting_function():
    calls = []

    @SIGNATURE
    def function(state, iteration, now_ns):
        calls.append((state, iteration))
        return iteration == 3

    return function, calls


def make_capsule(function, name=b"rfx.control.tick"):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.cast(function, ctypes.c_void_p), name, None)


def test_a_ctypes_function_runs_with_its_state():
    function, calls = counting_function()
    state = ctypes.c_double(1.0)
    stats = run_control_loop(1000, CompiledTick.from_ctypes(function, state))
    assert stats.iterations == 3
    assert calls == [(ctypes.addressof(state), i) for i in range(4)]


def test_without_a_state_the_function_gets_null():
    function, calls = counting_function()
    assert CompiledTick.from_ctypes(function)(3, 0) == 1
    assert calls == [(None, 3)]


def test_a_tick_keeps_function_and_state_alive():
    class State(ctypes.Structure):
        _fields_ = [("x", ctypes.c_double)]

    function, _ = counting_function()
    state = State()
    alive = weakref.ref(state)
    tick = CompiledTick.from_ctypes(function, state)
    del state
    gc.collect()
    assert alive() is not None
    del tick
    gc.collect()
    assert alive() is None


def test_a_capsule_is_taken_as_it_is():
    function, calls = counting_function()
    assert run_control_loop(1000, make_capsule(function)).iterations == 3
    assert len(calls) == 4


def test_the_context_of_a_capsule_is_the_state():
    function, calls = counting_function()
    capsule = make_capsule(function)
    ctypes.pythonapi.PyCapsule_SetContext.argtypes = [ctypes.py_object, ctypes.c_void_p]
    ctypes.pythonapi.PyCapsule_SetContext(capsule, 4096)
    assert CompiledTick.from_capsule(capsule)(3, 0) == 1
    assert calls == [(4096, 3)]


def test_a_capsule_of_another_name_is_refused():
    capsule_name = b"somebody.else"
    with pytest.raises(DTypeError, match=r"rfx\.control\.tick"):
        ControlLoop(1000, make_capsule(counting_function()[0], capsule_name))


@pytest.mark.parametrize("thing", [None, 3, print, "tick"])
def test_what_is_no_capsule_and_no_ctypes_function_is_refused(thing):
    with pytest.raises(DTypeError):
        CompiledTick.from_capsule(thing)
    with pytest.raises(DTypeError):
        CompiledTick.from_ctypes(thing)


@pytest.mark.parametrize(
    "signature",
    [
        ctypes.CFUNCTYPE(ctypes.c_int32),
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int64),
        ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double),
    ],
)
def test_a_ctypes_function_of_another_signature_is_refused(signature):
    with pytest.raises(ConfigError, match="argtypes"):
        CompiledTick.from_ctypes(signature(lambda *args: 0))


def test_a_null_pointer_and_a_state_without_an_address_are_refused():
    with pytest.raises(ConfigError, match="NULL"):
        CompiledTick.from_ctypes(SIGNATURE())
    with pytest.raises(DTypeError, match="ctypes instance"):
        CompiledTick.from_ctypes(counting_function()[0], object())


def test_an_empty_tick_cannot_be_made_nor_run():
    with pytest.raises(DTypeError, match="make_tick"):
        CompiledTick()
    empty = CompiledTick.__new__(CompiledTick)
    with pytest.raises(DTypeError, match="empty"):
        empty(0, 0)
    with pytest.raises(DTypeError, match="empty"):
        ControlLoop(100, empty)


def test_a_busy_tick_outlives_its_maker():
    tick = BusyTick(stop_after=2).tick
    gc.collect()
    assert [tick(0, 0), tick(1, 0)] == [0, 1]


@pytest.mark.parametrize("settings", [{"busy_s": -1}, {"busy_s": 2}, {"stop_after": 0}, {"stop_after": 1.5}])
def test_nonsense_busy_ticks_are_refused(settings):
    with pytest.raises((ValueError, TypeError)):
        BusyTick(**settings)


def test_the_example_of_the_documentation_compiles_and_falls(tmp_path):
    pytest.importorskip("Cython")
    source = re.search(r"```cython\n(.*?)```", (ROOT / "docs" / "control.md").read_text(), re.DOTALL)
    assert source is not None
    (tmp_path / "fall.pyx").write_text(source[1])
    build = (
        "from setuptools import setup, Extension; from Cython.Build import cythonize; "
        "setup(name='fall', ext_modules=cythonize([Extension('fall', ['fall.pyx'])], language_level=3), "
        "script_args=['-q', 'build_ext', '--inplace'])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, env=environment, check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location(
        "fall", next(p for p in tmp_path.glob("fall.*") if p.suffix in {".so", ".pyd"})
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ball = module.Fall(0.01)
    height, speed, ticks = 0.01, 0.0, 0
    while height >= 0.0:
        speed -= 9.81 * 0.002
        height += speed * 0.002
        ticks += 1
    assert run_control_loop(500, ball.tick).iterations == ticks - 1
    assert ball.height == height
