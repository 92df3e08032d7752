"""rfx.buffers.frames against a list of episodes with all their frames."""

import pickle

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scipy import stats

from rfx.buffers import FrameStackReplayBuffer
from rfx.errors import ConfigError, EmptyBufferError, InvalidValueError, RfxError, ShapeError


def frame(number):
    return np.array([[number // 256, number % 256]], np.uint8)


def number_of(frames):
    return frames[..., 0, 0].astype(int) * 256 + frames[..., 0, 1]


def stacked(numbers, at, stack, padding):
    """The last frames up to number ``at`` of an episode's frames, by hand."""
    seen = numbers[: at + 1][-stack:]
    return [numbers[0] if padding == "first" else 0] * (stack - len(seen)) + seen


class Model(RuleBasedStateMachine):
    """Every episode a list of its frames' numbers; frames are never used twice."""

    @initialize(
        room=st.integers(0, 9),
        stack=st.integers(1, 4),
        num_envs=st.integers(1, 2),
        padding=st.sampled_from(["first", "zero"]),
    )
    def make(self, room, stack, num_envs, padding):
        self.room, self.stack, self.padding, self.num_envs = room + stack + 1, stack, padding, num_envs
        self.buffer = FrameStackReplayBuffer(
            self.room * num_envs, (1, 2), stack=stack, padding=padding, num_envs=num_envs
        )
        self.frames, self.pushed = 1, 0
        self.running = [None] * num_envs
        self.places = [0] * num_envs  # the next free place of each environment, ends included
        self.held = [[] for _ in range(num_envs)]  # (place, action, frames of the episode, step, end)

    def new_frame(self):
        self.frames += 1
        return self.frames

    @rule(env=st.integers(0, 1), end=st.sampled_from([0, 0, 0, 1, 2]), whole=st.booleans())
    def push(self, env, end, whole):
        env %= self.num_envs
        episode = self.running[env] or [self.new_frame()]
        step = len(episode) - 1
        episode.append(self.new_frame())
        before, after = frame(episode[step]), frame(episode[step + 1])
        if whole:  # stacks are taken as well
            before = np.stack([frame(k) for k in stacked(episode, step, self.stack, "first")])
            after = np.stack([frame(k) for k in stacked(episode, step + 1, self.stack, "first")])
        slot = self.buffer.push(before, self.pushed, self.pushed / 4, end == 1, end == 2, after, env=env)
        place = self.places[env]
        assert slot == env * self.room + place % self.room
        self.held[env].append((place, self.pushed, episode, step, end))
        self.places[env] = place + (2 if end else 1)
        self.running[env] = None if end else episode
        self.pushed += 1
        newest = place + 1
        self.held[env] = [h for h in self.held[env] if h[0] - min(h[3], self.stack - 1) > newest - self.room]

    @rule()
    def pickle(self):
        self.buffer = pickle.loads(pickle.dumps(self.buffer))

    @rule()
    def clear(self):
        self.buffer.clear()
        self.running, self.places = [None] * self.num_envs, [0] * self.num_envs
        self.held = [[] for _ in range(self.num_envs)]

    @rule(n=st.integers(1, 12), seed=st.integers(0, 2**64 - 1))
    def sample(self, n, seed):
        held = {h[1]: h for lane in self.held for h in lane}
        if not held:
            with pytest.raises(EmptyBufferError):
                self.buffer.sample(n, seed)
            return
        batch = self.buffer.sample(n, seed)
        assert batch["obs"].shape == (n, self.stack, 1, 2)
        for i, action in enumerate(batch["actions"].tolist()):
            _, _, episode, step, end = held[action]
            assert number_of(batch["obs"][i]).tolist() == stacked(episode, step, self.stack, self.padding)
            assert number_of(batch["next_obs"][i]).tolist() == stacked(episode, step + 1, self.stack, self.padding)
            assert (batch["terminated"][i], batch["truncated"][i]) == (end == 1, end == 2)
            assert batch["rewards"][i] == action / 4

    @invariant()
    def counts(self):
        assert len(self.buffer) == sum(map(len, self.held))


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAgainstAPlainModel = Model.TestCase


def filled(steps=30, length=6, **options):
    buffer = FrameStackReplayBuffer(50, (1, 2), **options)
    for i in range(steps):
        buffer.push(frame(i), i, 1.0, False, i % length == length - 1, frame(i + 1))
    return buffer


def test_draws_are_uniform():
    buffer = filled()
    counts = np.bincount(buffer.sample(30_000, 1)["actions"], minlength=30)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_memory_is_that_of_one_frame_a_transition():
    buffer = FrameStackReplayBuffer(1000, (84, 84))
    assert buffer.layout.schema[0].nbytes == 84 * 84
    assert [c.name for c in buffer.schema] == ["obs", "actions", "rewards", "terminated", "truncated"]


def test_an_observation_that_does_not_follow_is_refused():
    buffer = filled(steps=3)
    before = buffer.sample(20, 0)
    with pytest.raises(InvalidValueError, match="truncated=True"):
        buffer.push(frame(99), 0, 0.0, False, False, frame(100))
    after = buffer.sample(20, 0)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    buffer.push(frame(3), 3, 0.0, False, False, frame(4))
    assert len(buffer) == 4


@pytest.mark.parametrize("bad", [np.zeros((2, 1), np.uint8), np.zeros((3, 1, 2), np.uint8), np.zeros(2, np.uint8)])
def test_frames_of_another_shape_are_refused(bad):
    buffer = filled(steps=2)
    with pytest.raises(ShapeError):
        buffer.push(bad, 0, 0.0, False, False, frame(3))
    with pytest.raises(ShapeError):
        buffer.push(frame(2), 0, 0.0, False, False, bad)
    assert len(buffer) == 2


def test_batches_of_several_environments():
    buffer = FrameStackReplayBuffer(40, (1, 2), num_envs=2, extra={"value": ((), np.float32)})
    for t in range(4):
        obs, after = np.stack([frame(t), frame(50 + t)]), np.stack([frame(t + 1), frame(51 + t)])
        flags = np.zeros(2, bool)
        slots = buffer.push_batch(obs, [t, 50 + t], [0.0, 0.0], flags, flags, after, {"value": np.float32([t, -t])})
        assert slots.tolist() == [t, 20 + t]
    batch = buffer.sample(60, 0)
    assert set(number_of(batch["obs"][:, 3]).tolist()) == {0, 1, 2, 3, 50, 51, 52, 53}
    np.testing.assert_array_equal(np.abs(batch["value"]), batch["actions"] % 50)
    with pytest.raises(ShapeError):
        buffer.push_batch(obs, [1], [0.0, 0.0], flags, flags, after, {"value": np.zeros(2, np.float32)})


def test_of_a_batch_that_does_not_follow_nothing_is_stored():
    frames, flags = np.stack([frame(k) for k in range(6)]), np.zeros(5, bool)
    whole, parts = FrameStackReplayBuffer(20, (1, 2)), FrameStackReplayBuffer(20, (1, 2))
    whole.push_batch(frames[:5], np.arange(5), np.zeros(5, np.float32), flags, flags, frames[1:])
    parts.push_batch(frames[:2], np.arange(2), np.zeros(2, np.float32), flags[:2], flags[:2], frames[1:3])
    for first in (0, 3):  # neither follows what is stored
        with pytest.raises(InvalidValueError, match=r"obs\[0\]"):
            parts.push_batch(frames[first:5], np.arange(5 - first), np.zeros(5 - first, np.float32), flags[first:],
                             flags[first:], frames[first + 1 :])  # fmt: skip
    broken = frames.copy()
    broken[4] += 1
    with pytest.raises(InvalidValueError, match=r"obs\[2\]"):
        parts.push_batch(broken[2:5], np.arange(2, 5), np.zeros(3, np.float32), flags[:3], flags[:3], frames[3:])
    assert len(parts) == 2
    parts.push_batch(frames[2:5], np.arange(2, 5), np.zeros(3, np.float32), flags[:3], flags[:3], frames[3:])
    np.testing.assert_array_equal(parts.sample(30, 0)["obs"], whole.sample(30, 0)["obs"])
    np.testing.assert_array_equal(parts.coming(0), frames[5])


def test_samples_go_into_given_arrays():
    buffer = filled()
    first = buffer.sample(9, 1)
    again = buffer.sample(9, 1, out=buffer.sample(9, 2))
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    with pytest.raises(RfxError):
        buffer.sample(9, 1, out={**first, "obs": first["obs"][:, :2]})


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((4, (1, 2)), {}),
        ((9, (1, 2)), {"num_envs": 2}),
        ((50, {"a": 2}), {}),
        ((50, 2), {"padding": "last"}),
        ((50, 2), {"stack": 0}),
    ],
)
def test_impossible_buffers_are_refused(arguments, options):
    with pytest.raises(RfxError):
        FrameStackReplayBuffer(*arguments, **options)


def test_saved_buffers_go_on(tmp_path):
    buffer = filled(steps=70)
    buffer.save(tmp_path / "b")
    again = FrameStackReplayBuffer.load(tmp_path / "b")
    assert repr(again) == repr(buffer)
    for one in (buffer, again):
        one.push(frame(70), 70, 1.0, False, False, frame(71))
    a, b = buffer.sample(40, 2), again.sample(40, 2)
    for name, value in a.items():
        np.testing.assert_array_equal(b[name], value)


def test_a_damaged_state_is_refused_and_nothing_changes():
    buffer = filled(steps=9)
    state, before = buffer.state_dict(), buffer.sample(20, 0)
    lane = state["lanes"]["0"]
    wild = state["memory"].copy()
    wild[3, :4] = 255
    for bad in (
        {},
        {**state, "memory": state["memory"][:-1]},
        {**state, "memory": wild},
        {**state, "lanes": {}},
        {**state, "lanes": {"0": {**lane, "held": lane["held"][::-1]}}},
        {**state, "lanes": {"0": {**lane, "held": lane["held"] + 1000}}},
        {**state, "lanes": {"0": {**lane, "held": lane["held"] - 3}}},
        {**state, "lanes": {"0": {**lane, "next": -1}}},
    ):
        with pytest.raises((ConfigError, InvalidValueError)):
            buffer.load_state_dict(bad)
    after = buffer.sample(20, 0)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
