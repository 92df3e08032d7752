"""docs/llm.md and the docstrings of rfx.llm: their examples run, and give what they say."""

import re

import pytest
from guides import DOCS, docstrings_hold, public_names_load, run_guide

import rfx.llm


def test_the_examples_of_the_guide_run_and_give_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packed = run_guide("llm.md")["packed"]
    said = re.findall(r"packed\.(?:input|position)_ids  # (\[\[.*\]\])", (DOCS / "llm.md").read_text())
    assert [said[0], said[1]] == [str(a.tolist()).replace("], [", "],_[").replace(",", "").replace("]_[", "], [")
                                  for a in (packed.input_ids, packed.position_ids)]  # fmt: skip
    assert (tmp_path / "tokens.rfxvls").exists()


@pytest.mark.parametrize("name", ["advantages", "divergence", "packing", "varlen", "preference"])
def test_the_examples_of_the_docstrings_give_what_they_say(name):
    docstrings_hold(f"rfx.llm.{name}")


def test_every_public_name_loads_and_no_other_does():
    public_names_load(rfx.llm)
