"""rfx.buffers.her: which goals stand in, and what follows from them."""

import pickle

import numpy as np
import pytest
from scipy import stats

from rfx.buffers import HERBuffer
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, RfxError

LENGTHS = (10, 4, 1, 7)


def filled(lengths=LENGTHS, capacity=100, goal=(50.0, 50.0), end="truncated", open_steps=0, **options):
    """Episode e, step t achieves the goal (e, t)."""
    buffer = HERBuffer(capacity, 3, 1, 2, **options)
    for e, length in enumerate([*lengths, open_steps]):
        for t in range(length):
            done = t == length - 1 and e < len(lengths)
            buffer.push(
                [e, t, 0],
                [t],
                -1.0,
                done and end == "terminated",
                done and end == "truncated",
                [e, t + 1, 0],
                [e, t],
                goal,
            )
    return buffer


def relabelled(buffer, n=4000, seed=3):
    batch = buffer.sample(n, seed, her_ratio=1.0)
    e, t = batch["achieved_goal"].T
    goal_e, goal_t = batch["desired_goal"].T
    np.testing.assert_array_equal(e, goal_e)  # a goal of the same episode
    return batch, e, t, goal_t


def test_the_example_of_the_design_document():
    buffer = HERBuffer(10_000, 4, 1, 3, strategy="future", k=4, her_ratio=0.5, tolerance=0.05)
    goals = [0.2, 0.3, 0.4], [1.0, 1.0, 1.0]
    buffer.push_slices([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5], [0.5], -1.0, False, True, *goals)
    batch = buffer.sample(4, 42)
    assert batch["relabelled"].tolist() == [False, False, True, True]
    np.testing.assert_array_equal(batch["desired_goal"], np.array([[1, 1, 1]] * 2 + [[0.2, 0.3, 0.4]] * 2, np.float32))
    assert batch["rewards"].tolist() == [-1, -1, 0, 0]


def test_future_goals_include_the_own_and_are_alike():
    batch, _, t, goal_t = relabelled(filled(lengths=(10,)), n=20_000)
    assert (goal_t >= t).all()
    for step in range(10):
        counts = np.bincount(goal_t[t == step].astype(int), minlength=10)[step:]
        assert stats.chisquare(counts).pvalue > 1e-4 if len(counts) > 1 else counts[0] > 0
    # of 10 steps, the share that reaches its goal is the mean of 1/10, 1/9, ..., 1/1
    assert (batch["rewards"] == 0).mean() == pytest.approx(sum(1 / k for k in range(1, 11)) / 10, abs=0.01)


def test_final_goals_are_those_of_the_last_step():
    _, e, _, goal_t = relabelled(filled(strategy="final"))
    np.testing.assert_array_equal(goal_t, np.array(LENGTHS)[e.astype(int)] - 1)


def test_episode_goals_are_any_of_the_episode():
    _, e, t, goal_t = relabelled(filled(strategy="episode"))
    assert (goal_t < t).any()
    assert (goal_t > t).any()
    assert (goal_t < np.array(LENGTHS)[e.astype(int)]).all()


def test_every_ended_transition_has_the_same_chance():
    _, e, t, _ = relabelled(filled(open_steps=5), n=22_000)
    numbers = np.cumsum([0, *LENGTHS])[e.astype(int)] + t.astype(int)
    assert stats.chisquare(np.bincount(numbers, minlength=22)).pvalue > 1e-4


def test_open_episodes_are_drawn_as_they_are_only():
    buffer = filled(lengths=(2,), open_steps=6)
    batch = buffer.sample(500, 1, her_ratio=0.5)
    assert set(batch["achieved_goal"][batch["relabelled"], 0].tolist()) == {0.0}
    assert set(batch["achieved_goal"][~batch["relabelled"], 0].tolist()) == {0.0, 1.0}


def test_goals_are_never_taken_from_what_was_overwritten():
    buffer = filled(lengths=(30, 9, 30), capacity=40, strategy="episode")
    _, e, _, goal_t = relabelled(buffer, n=5000)
    assert set(e.tolist()) == {0.0, 1.0, 2.0}
    assert (goal_t[e == 0] == 29).all()  # of the 40 newest steps, one is the last of episode 0


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (1.0, 10), (0.8, 8), (0.25, 3), (0.7, 7), (0.3, 3)])
def test_the_share_is_rounded_up(ratio, expected):
    batch = filled().sample(10, 0, her_ratio=ratio)
    assert batch["relabelled"].tolist() == [False] * (10 - expected) + [True] * expected
    assert (batch["desired_goal"][~batch["relabelled"]] == 50).all()


@pytest.mark.parametrize(("options", "ratio"), [({"k": 4}, 0.8), ({"k": 0}, 0.0), ({"k": 4, "her_ratio": 0.5}, 0.5)])
def test_k_says_the_share_unless_it_is_given(options, ratio):
    assert HERBuffer(10, 1, 1, 1, **options).her_ratio == pytest.approx(ratio)


def test_an_end_with_success_counts_only_where_the_new_goal_is_reached_too():
    # the episode terminates as it reaches its own goal (0, 4)
    buffer = filled(lengths=(5,), goal=(0.0, 4.0), end="terminated")
    batch, _, t, goal_t = relabelled(buffer)
    np.testing.assert_array_equal(batch["terminated"], (t == 4) & (goal_t == 4))
    # a fall ends it whatever the goal
    batch, _, t, _ = relabelled(filled(lengths=(5,), end="terminated"))
    np.testing.assert_array_equal(batch["terminated"], t == 4)


def test_own_functions_decide_on_rewards_and_ends():
    def reward(achieved, desired):
        return -np.abs(achieved - desired).sum(1)

    def ends(achieved, desired):
        return achieved[:, 1] == desired[:, 1]

    buffer = filled(reward_fn=reward, terminated_fn=ends)
    batch, _, t, goal_t = relabelled(buffer)
    np.testing.assert_allclose(batch["rewards"], -(goal_t - t))
    np.testing.assert_array_equal(batch["terminated"], goal_t == t)


@pytest.mark.parametrize(
    "function",
    [lambda a, d: np.zeros(3), lambda a, d: np.zeros((len(a), 1)), lambda a, d: None, lambda a, d: ["x"] * len(a)],
)
def test_functions_that_give_something_else_are_refused(function):
    with pytest.raises(RfxError):
        filled(reward_fn=function).sample(10, 0)
    with pytest.raises(RfxError):
        filled(terminated_fn=function).sample(10, 0)


def test_the_goal_within_observations_is_replaced():
    buffer = HERBuffer(10, 5, 1, 2, goal_offset=3)
    for t in range(4):
        buffer.push([t, 0, 0, 9, 9], [0], -1.0, False, t == 3, [t + 1, 0, 0, 9, 9], [t, t], [9, 9])
    batch = buffer.sample(50, 0, her_ratio=0.9)
    np.testing.assert_array_equal(batch["obs"][:, 3:], batch["desired_goal"])
    np.testing.assert_array_equal(batch["next_obs"][:, 3:], batch["desired_goal"])
    assert (buffer.sample(50, 0, her_ratio=0.0)["obs"][:, 3:] == 9).all()  # what is stored stays


def test_the_goal_in_dict_observations_is_replaced():
    parts = {"observation": 2, "achieved_goal": 1, "desired_goal": 1}
    buffer = HERBuffer(10, parts, 1, 1)

    def seen(t):
        return {"observation": [t, t], "achieved_goal": [t], "desired_goal": [9]}

    for t in range(4):
        buffer.push(seen(t), [0], -1.0, False, t == 3, seen(t + 1), [t + 1], [9])
    batch = buffer.sample(50, 0, her_ratio=1.0)
    np.testing.assert_array_equal(batch["obs"]["desired_goal"], batch["desired_goal"])
    np.testing.assert_array_equal(batch["next_obs"]["achieved_goal"], batch["achieved_goal"])
    np.testing.assert_array_equal(batch["next_obs"]["desired_goal"], batch["desired_goal"])


def test_several_environments_keep_their_goals_apart():
    buffer = HERBuffer(60, 1, 1, 2, num_envs=3)
    step, envs = [0, 0, 0], [0, 1, 2, 2, 1, 2] * 12
    for env in envs:
        buffer.push([0], [0], -1.0, False, step[env] % 5 == 4, [0], [env, step[env]], [9, 9], env=env)
        step[env] += 1
    batch = buffer.sample(2000, 0, her_ratio=1.0)
    np.testing.assert_array_equal(batch["achieved_goal"][:, 0], batch["desired_goal"][:, 0])
    same = batch["achieved_goal"][:, 1] // 5 == batch["desired_goal"][:, 1] // 5
    assert same.all()


def test_nothing_to_draw_from_is_said():
    with pytest.raises(EmptyBufferError, match="transition"):
        HERBuffer(5, 1, 1, 1).sample(1, 0)
    buffer = filled(lengths=(), open_steps=3)
    with pytest.raises(EmptyBufferError, match="ended"):
        buffer.sample(10, 0)
    assert not buffer.sample(10, 0, her_ratio=0.0)["relabelled"].any()
    assert len(buffer.sample(0, 0)["obs"]) == 0


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), "half"])
def test_a_share_out_of_range_is_refused(ratio):
    with pytest.raises((InvalidValueError, DTypeError)):
        filled().sample(4, 0, her_ratio=ratio)
    with pytest.raises((InvalidValueError, DTypeError)):
        HERBuffer(5, 1, 1, 1, her_ratio=ratio)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "past"},
        {"k": -1},
        {"tolerance": -1.0},
        {"reward_fn": 3},
        {"goal_offset": 3},
        {"goal_offset": -1},
        {"extra": {"desired_goal": (1, np.float32)}},
    ],
)
def test_impossible_buffers_are_refused(options):
    with pytest.raises(RfxError):
        HERBuffer(10, 3, 1, 2, **options)


def test_further_columns_go_with_the_goals():
    buffer = HERBuffer(10, 1, 1, 1, extra={"log_prob": ((), np.float32)})
    buffer.push([0], [0], 0.0, False, True, [0], [1], [2], extra={"log_prob": -3.0})
    assert buffer.sample(1, 0)["log_prob"].tolist() == [-3.0]
    for extra in (None, {"log_prob": 1.0, "desired_goal": [1]}, [1]):
        with pytest.raises(ConfigError):
            buffer.push([0], [0], 0.0, False, True, [0], [1], [2], extra=extra)


def test_batches_are_pushed_and_sequences_drawn():
    buffer = HERBuffer(20, 1, 1, 1)
    r, flags = np.arange(8, dtype=np.float32), np.arange(8) % 4 == 3
    buffer.push_batch(r[:, None], r[:, None], r, np.zeros(8, bool), flags, r[:, None], r[:, None], r[:, None] * 0)
    assert buffer.num_complete_episodes() == 2
    assert buffer.sample_sequences(3, 4, 0)["achieved_goal"].shape == (3, 4, 1)


def reward_of_module(achieved, desired):
    return (achieved[:, 0] - desired[:, 0]) * 0.0 + 7.0


def test_copies_and_files_draw_the_same(tmp_path):
    buffer = filled(reward_fn=reward_of_module)
    buffer.save(tmp_path / "b")
    with pytest.raises(ConfigError, match="reward_fn"):
        HERBuffer.load(tmp_path / "b")
    for other in (pickle.loads(pickle.dumps(buffer)), HERBuffer.load(tmp_path / "b", reward_fn=reward_of_module)):
        a, b = buffer.sample(50, 4), other.sample(50, 4, out=buffer.sample(50, 5))
        for name, value in a.items():
            np.testing.assert_array_equal(b[name], value)
        assert repr(other) == repr(buffer)
