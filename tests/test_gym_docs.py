"""docs/envs.md: its examples run."""

import pytest
from guides import python_blocks, run_guide


def test_the_examples_of_the_guide_run():
    pytest.importorskip("gymnasium", minversion="1.1")
    assert len(python_blocks("envs.md")) >= 4
    names = run_guide("envs.md")
    assert names["envs"].num_envs == 8
    assert names["picture"].shape == (400, 600, 3)
