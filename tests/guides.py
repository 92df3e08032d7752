"""What the tests of documents share: the examples of a page, those of a module's docstrings, a room's public names."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def python_blocks(page):
    """Return the examples of a page of ``docs`` that are to be run, in order; there is at least one."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    return blocks


def run_guide(page):
    """Run the examples of a page one after the other, in one namespace, which is returned."""
    names = {"__name__": "guide"}
    for block in python_blocks(page):
        exec(compile(block, page, "exec"), names)
    return names


def docstrings_hold(module_name):
    """The examples in the docstrings of a module give what they say; there is at least one."""
    module = importlib.import_module(module_name)
    runner, found = doctest.DocTestRunner(), 0
    for key in dir(module):
        value = getattr(module, key)
        if getattr(value, "__module__", None) == module.__name__ and ">>>" in (value.__doc__ or ""):
            runner.run(doctest.DocTestParser().get_doctest(value.__doc__, vars(module) | {}, key, module_name, 0))
            found += 1
    assert found
    assert runner.summarize(verbose=False).failed == 0


def public_names_load(room):
    """Every public name of a room can be had and says what it is, and no other can be had."""
    for name in room.__all__:
        assert getattr(room, name).__doc__
        assert name in dir(room)
    with pytest.raises(AttributeError, match="nothing"):
        _ = room.nothing
