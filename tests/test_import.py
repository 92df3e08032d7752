"""``import rfx`` is light: a fresh interpreter says what it loaded."""

import importlib
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("room", sorted(p.parent.name for p in Path(rfx.__file__).parent.glob("*/__init__.py")))
def test_no_public_name_of_a_room_is_hidden_by_a_module_of_that_name(room):
    names = set(getattr(importlib.import_module(f"rfx.{room}"), "__all__", ()))
    assert not names & {path.name.split(".")[0] for path in Path(rfx.__file__).parent.joinpath(room).iterdir()}
