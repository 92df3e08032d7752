"""docs/comm.md and the docstrings of rfx.comm: their examples run, and give what they say."""

import ast

import pytest
from guides import docstrings_hold, public_names_load, python_blocks

import rfx.comm


def said(comment):
    for text in (comment, comment.split(":")[0]):
        try:
            return (ast.literal_eval(text.strip()),)
        except (SyntaxError, ValueError):
            continue
    return ()


def run(source, names, checked):
    """Execute statement by statement; an expression with a literal in the comment behind it must have that value."""
    lines = source.splitlines()

    def execute(body):
        for node in body:
            if isinstance(node, ast.With):
                assert len(node.items) == 1
                with eval(compile(ast.Expression(node.items[0].context_expr), "guide", "eval"), names) as value:
                    names[node.items[0].optional_vars.id] = value
                    execute(node.body)
            elif isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), "guide", "eval"), names)
                comment = lines[node.end_lineno - 1][node.end_col_offset :].partition("#")[2]
                for expected in said(comment):
                    assert value == expected, lines[node.lineno - 1]
                    checked.append(expected)
            else:
                exec(compile(ast.Module([node], []), "guide", "exec"), names)

    execute(ast.parse(source).body)


def test_the_examples_of_the_guide_run_and_give_what_they_say():
    pytest.importorskip("zenoh")
    names, checked = {}, []
    for block in python_blocks("comm.md"):
        run(block, names, checked)
    assert len(checked) >= 12


@pytest.mark.parametrize("name", ["keys", "channels", "discovery", "qos", "stream", "topic", "transport"])
def test_the_examples_of_the_docstrings_give_what_they_say(name):
    docstrings_hold(f"rfx.comm.{name}")


def test_every_public_name_loads_and_no_other_does():
    public_names_load(rfx.comm)
