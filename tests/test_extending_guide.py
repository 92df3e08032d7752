"""The guide for other people's Cython shows what is built in the tests."""

from pathlib import Path

TESTS = Path(__file__).parent


def test_the_environment_of_the_guide_is_the_one_that_is_built():
    guide = (TESTS.parent / "docs" / "extending.md").read_text()
    shown = guide.split("# sledge.pyx\n")[1].split("```")[0]
    built = (TESTS / "extending" / "foreign_env.pyx").read_text()
    parts = [part for part in shown.split("\n\n") if "cdef " in part]
    assert len(parts) == 4
    for part in parts:
        assert part.strip() in built
