"""rfx.envs.spaces against Gymnasium's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.envs import Box, Dict, Discrete, MultiBinary, MultiDiscrete, from_gymnasium, to_gymnasium
from rfx.errors import ConfigError, DTypeError, InvalidValueError, RfxError

gymnasium = pytest.importorskip("gymnasium")

SPACES = [
    Box(-1.0, 2.0, (3, 2)),
    Box(np.array([-np.inf, 0.0, -5.0], np.float32), np.array([np.inf, np.inf, 5.0], np.float32)),
    Box(0, 255, (4, 4), np.uint8),
    Box(-3, 9, (), np.float64),
    Discrete(5),
    Discrete(3, start=-1),
    MultiDiscrete((2, 5, 1)),
    MultiBinary(4),
    Dict({"a": Discrete(2), "b": Dict({"c": Box(0.0, 1.0, (2,))})}),
]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_a_draw_is_in_the_space_ours_and_theirs(space):
    theirs = to_gymnasium(space)
    for seed in range(50):
        assert space.contains(space.sample(seed))
        assert theirs.contains(as_theirs(space, space.sample(seed)))
        assert space.contains(theirs.sample())


def as_theirs(space, value):
    if isinstance(space, Dict):
        return {name: as_theirs(s, value[name]) for name, s in space.spaces.items()}
    return np.int64(value) if isinstance(space, Discrete) else value


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_there_and_back_gives_the_same(space):
    assert from_gymnasium(to_gymnasium(space)) == space
    assert space != SPACES[0] or space is SPACES[0]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_the_same_seed_draws_the_same(space):
    first, again = space.sample(7), space.sample(7)
    if isinstance(space, Dict):
        first, again = first["b"]["c"], again["b"]["c"]
    np.testing.assert_array_equal(first, again)


@settings(max_examples=200, deadline=None)
@given(value=st.one_of(st.integers(-9, 9), st.floats(allow_nan=True), st.booleans(), st.text(max_size=2), st.none()))
def test_discrete_holds_what_gymnasium_says(value):
    assert Discrete(5).contains(value) == (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 5)
    assert Box(-4.0, 4.0, ()).contains(value) == (
        isinstance(value, (int, float)) and not isinstance(value, bool) and -4 <= value <= 4
    )


@pytest.mark.parametrize(
    "bad", [np.zeros(2), np.full(3, 9.0), np.full(3, np.nan), [0.0, 0.0], "abc", None, [[0], [0, 1], 1]]
)
def test_a_box_refuses_other_shapes_and_what_lies_outside(bad):
    assert not Box(-1.0, 1.0, (3,)).contains(bad)
    assert Box(-1.0, 1.0, (3,)).contains([0, 1, -1])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Box(1.0, 0.0, (2,)), InvalidValueError),
        (lambda: Box(np.nan, 1.0, (2,)), InvalidValueError),
        (lambda: Box(-np.inf, 1.0, (2,), np.int64), InvalidValueError),
        (lambda: Box(0, 1, (2,), bool), DTypeError),
        (lambda: Box(np.zeros(2), np.ones(3), (2,)), InvalidValueError),
        (lambda: Discrete(0), InvalidValueError),
        (lambda: MultiDiscrete((2, 0)), InvalidValueError),
        (lambda: MultiBinary(-1), InvalidValueError),
        (lambda: Dict({"a": 3}), ConfigError),
    ],
)
def test_impossible_spaces_are_refused(make, error):
    with pytest.raises(error):
        make()


def test_kinds_that_we_have_not_are_refused():
    with pytest.raises(ConfigError):
        from_gymnasium(gymnasium.spaces.Text(5))
    with pytest.raises(RfxError):
        to_gymnasium(3)
