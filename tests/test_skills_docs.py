"""The examples of docs/skills.md run, block after block, and say what they say there."""

import ast

from guides import python_blocks


def test_the_examples_run_and_their_comments_are_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks("skills.md")
    assert len(blocks) == 7
    scope = {"__name__": "docs_of_skills"}
    told = 0
    for block in blocks:
        lines = block.splitlines()
        for node in ast.parse(block).body:
            code = ast.get_source_segment(block, node)
            if not isinstance(node, ast.Expr):
                exec(compile(ast.Module([node], []), "skills.md", "exec"), scope)
                continue
            value = eval(compile(ast.Expression(node.value), "skills.md", "eval"), scope)
            comment = lines[node.end_lineno - 1].partition("  # ")[2]
            below = node.end_lineno
            while not comment and below < len(lines) and lines[below].startswith("#"):
                comment, below = "", below + 1
            text = comment or " ".join(line[1:].strip() for line in lines[node.end_lineno : below])
            try:
                expected = ast.literal_eval(text)
            except (SyntaxError, ValueError):
                continue
            assert value == expected, code
            told += 1
    assert told >= 14
