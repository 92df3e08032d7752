"""What the tests of documents share: the examples of a page, those of a module's docstrings, a room's public names."""

import ast
import doctest
import importlib
import itertools
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


def comments_hold(page):
    """Run the examples of a page, and compare what an expression gives with the literal in the comment beside or below it.

    Returns how many comments were compared.
    """
    names, told = {"__name__": "guide"}, 0
    for block in python_blocks(page):
        lines = block.splitlines()
        for node in ast.parse(block).body:
            if not isinstance(node, ast.Expr):
                exec(compile(ast.Module([node], []), page, "exec"), names)
                continue
            value = eval(compile(ast.Expression(node.value), page, "eval"), names)
            said = lines[node.end_lineno - 1].partition("  # ")[2]
            if not said:
                below = itertools.takewhile(lambda line: line.startswith("#"), lines[node.end_lineno :])
                said = " ".join(line[1:].strip() for line in below)
            try:
                expected = ast.literal_eval(said)
            except (SyntaxError, ValueError):  # a remark, and no literal
                continue
            assert value == expected, ast.get_source_segment(block, node)
            told += 1
    return told


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
