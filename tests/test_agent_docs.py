"""The examples of docs/agent.md and of the docstrings run, and say what they say there."""

import ast

import pytest
from guides import docstrings_hold, python_blocks


def test_the_examples_run_and_their_comments_are_true(tmp_path, monkeypatch):
    pytest.importorskip("anthropic")
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "docs_of_the_agent"}
    told = 0
    for block in python_blocks("agent.md"):
        for node in ast.parse(block).body:
            code = ast.get_source_segment(block, node)
            if not isinstance(node, ast.Expr):
                exec(compile(ast.Module([node], []), "agent.md", "exec"), scope)
                continue
            value = eval(compile(ast.Expression(node.value), "agent.md", "eval"), scope)
            comment = block.splitlines()[node.end_lineno - 1].partition("  # ")[2]
            if comment:
                assert value == ast.literal_eval(comment), code
                told += 1
    assert told == 7


@pytest.mark.parametrize("module", ["agent", "mock", "scripted"])
def test_the_examples_of_the_docstrings_hold(module):
    docstrings_hold(f"rfx.skills.{module}")
