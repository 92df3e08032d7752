"""``import rfx`` is light: a fresh interpreter says what it loaded."""

import subprocess
import sys

import pytest

import rfx

HEAVY = ["tinygrad", "cyclonedds", "mujoco", "torch", "matplotlib", "zenoh", "ray"]


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_no_optional_library():
    loaded = fresh(f"import sys, rfx; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_every_public_name_can_be_reached():
    for name in rfx.__all__:
        assert getattr(rfx, name) is not None


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = rfx.no_such_thing


def test_dir_lists_the_public_names():
    assert set(rfx.__all__) <= set(dir(rfx))
