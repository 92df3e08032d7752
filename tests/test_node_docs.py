"""docs/nodes.md and the docstrings of services, parameters and nodes: their examples run, and give what they say."""

import ast

import pytest
from guides import docstrings_hold, python_blocks


class Checked(ast.NodeTransformer):
    """Compare the value of each expression with the literal in the comment behind it, wherever it stands."""

    def __init__(self, source):
        self.lines, self.found = source.splitlines(), 0

    def visit_Expr(self, node):
        comment = self.lines[node.end_lineno - 1][node.end_col_offset :].partition("#")[2]
        try:
            expected = ast.parse(comment.strip(), mode="eval").body
            ast.literal_eval(expected)
        except (SyntaxError, ValueError):
            return node
        self.found += 1
        call = ast.Call(ast.Name("same", ast.Load()), [node.value, expected, ast.Constant(node.lineno)], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node))


def same(value, expected, line):
    assert value == expected, f"line {line} of the example"


def test_the_examples_of_the_guide_run_and_give_what_they_say():
    names, found = {"same": same, "__name__": "guide"}, 0
    for block in python_blocks("nodes.md"):
        checked = Checked(block)
        exec(compile(checked.visit(ast.parse(block)), "nodes.md", "exec"), names)
        found += checked.found
    assert found == 11


@pytest.mark.parametrize("name", ["node", "parameters", "service", "values"])
def test_the_examples_of_the_docstrings_give_what_they_say(name):
    docstrings_hold(f"rfx.comm.{name}")
