"""docs/llm.md and the docstrings of rfx.llm: their examples run, and give what they say."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import rfx.llm

GUIDE = Path(__file__).parent.parent / "docs" / "llm.md"


def test_the_examples_of_the_guide_run_and_give_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), names)
    packed = names["packed"]
    said = re.findall(r"packed\.(?:input|position)_ids  # (\[\[.*\]\])", GUIDE.read_text())
    assert [said[0], said[1]] == [str(a.tolist()).replace("], [", "],_[").replace(",", "").replace("]_[", "], [")
                                  for a in (packed.input_ids, packed.position_ids)]  # fmt: skip
    assert (tmp_path / "tokens.rfxvls").exists()


@pytest.mark.parametrize("name", ["advantages", "divergence", "packing", "varlen", "preference"])
def test_the_examples_of_the_docstrings_give_what_they_say(name):
    module = importlib.import_module(f"rfx.llm.{name}")
    runner, found = doctest.DocTestRunner(), 0
    for key in dir(module):
        value = getattr(module, key)
        if getattr(value, "__module__", None) == module.__name__ and ">>>" in (value.__doc__ or ""):
            runner.run(doctest.DocTestParser().get_doctest(value.__doc__, vars(module) | {}, key, name, 0))
            found += 1
    assert found
    assert runner.summarize(verbose=False).failed == 0


def test_every_public_name_loads_and_no_other_does():
    for name in rfx.llm.__all__:
        assert getattr(rfx.llm, name).__doc__
        assert name in dir(rfx.llm)
    with pytest.raises(AttributeError, match="nothing"):
        _ = rfx.llm.nothing
