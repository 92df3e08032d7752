"""rfx.buffers.sequence against lists of episodes."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rfx.buffers import SequenceReplayBuffer
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, RfxError, ShapeError


def code(env, episode, step):
    """A number that says whose step it is."""
    return float(env * 10_000 + episode * 100 + step)


def row(env, episode, step, done):
    c = code(env, episode, step)
    return [c, c], [-c], c, done == 1, done == 2, [c + 0.5] * 2


class Model(RuleBasedStateMachine):
    """Each environment a list of (episode, step, done), the newest last."""

    @initialize(room=st.integers(1, 9), num_envs=st.integers(1, 3))
    def make(self, room, num_envs):
        self.room, self.num_envs = room, num_envs
        self.buffer = SequenceReplayBuffer(room * num_envs, 2, 1, num_envs=num_envs)
        self.history = [[] for _ in range(num_envs)]

    def next_of(self, env, done):
        past = self.history[env]
        episode, step = (0, 0) if not past else (past[-1][0] + 1, 0) if past[-1][2] else (past[-1][0], past[-1][1] + 1)
        past.append((episode, step, done))
        return row(env, episode, step, done)

    @rule(env=st.integers(0, 2), done=st.sampled_from([0, 0, 0, 1, 2]))
    def push(self, env, done):
        env %= self.num_envs
        slot = self.buffer.push(*self.next_of(env, done), env=env)
        assert slot == env * self.room + (len(self.history[env]) - 1) % self.room

    @rule(envs=st.lists(st.integers(0, 2), max_size=20), done=st.sampled_from([0, 1]))
    def push_batch(self, envs, done):
        envs = [env % self.num_envs for env in envs]
        rows = [self.next_of(env, done and k % 3 == 0) for k, env in enumerate(envs)]
        columns = (
            zip(*rows, strict=True) if rows else [np.zeros((0, 2)), np.zeros((0, 1)), [], [], [], np.zeros((0, 2))]
        )
        types = [np.float32, np.float32, np.float32, bool, bool, np.float32]
        self.buffer.push_batch(
            *(
                np.array(list(c), t).reshape(len(rows), *s)
                for c, t, s in zip(columns, types, [(2,), (1,), (), (), (), (2,)], strict=True)
            ),
            envs=np.array(envs, int),
        )

    @rule()
    def pickle(self):
        self.buffer = pickle.loads(pickle.dumps(self.buffer))

    @rule(
        n=st.integers(1, 6),
        length=st.integers(1, 6),
        burn_in=st.integers(0, 3),
        over=st.sampled_from(["episodes", "windows"]),
        with_open=st.booleans(),
        pad=st.booleans(),
        seed=st.integers(0, 2**64 - 1),
    )
    def sample_sequences(self, n, length, burn_in, over, with_open, pad, seed):
        lengths = {}
        for env, past in enumerate(self.history):
            ended = {episode for episode, _, done in past if done}
            for episode, _, _ in past[-self.room :]:
                if episode in ended or with_open:
                    lengths[env, episode] = lengths.get((env, episode), 0) + 1
        options = {"burn_in": burn_in, "over": over, "with_open": with_open, "pad": pad}
        if not any(v >= length for v in lengths.values()) and not (pad and lengths):
            with pytest.raises(EmptyBufferError):
                self.buffer.sample_sequences(n, length, seed, **options)
            return
        batch = self.buffer.sample_sequences(n, length, seed, **options)
        assert batch["obs"].shape == (n, burn_in + length, 2)
        for i in range(n):
            mask, steps = batch["mask"][i], batch["steps"][i]
            where = np.flatnonzero(mask)
            assert (np.diff(where) == 1).all()  # real steps stand together
            first = batch["rewards"][i, burn_in]
            env, episode = int(first) // 10_000, int(first) // 100 % 100
            kept = lengths[env, episode]
            assert mask[burn_in:].sum() == min(length, kept)
            for j in where:
                c = code(env, episode, steps[j])
                assert steps[j] == steps[burn_in] + j - burn_in
                assert batch["rewards"][i, j] == c == batch["obs"][i, j, 1] == -batch["actions"][i, j, 0]
                assert batch["next_obs"][i, j, 0] == c + 0.5
            oldest = min(s for e, s, _ in self.history[env][-self.room :] if e == episode)
            assert burn_in - where[0] == min(burn_in, steps[burn_in] - oldest)
            assert (batch["obs"][i, ~mask] == 0).all()
            assert (batch["indices"][i, ~mask] == -1).all()
            ends = (batch["terminated"] | batch["truncated"])[i, where]
            assert not ends[:-1].any()  # never across an end

    @rule(n=st.integers(1, 9), seed=st.integers(0, 2**64 - 1))
    def sample(self, n, seed):
        stored = {
            code(env, episode, step) for env, past in enumerate(self.history) for episode, step, _ in past[-self.room :]
        }
        if not stored:
            with pytest.raises(EmptyBufferError):
                self.buffer.sample(n, seed)
            return
        batch = self.buffer.sample(n, seed)
        assert set(batch["rewards"].tolist()) <= stored
        np.testing.assert_array_equal(batch["obs"][:, 0] + 0.5, batch["next_obs"][:, 0])

    @invariant()
    def counts(self):
        assert len(self.buffer) == sum(min(len(past), self.room) for past in self.history)


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAgainstAPlainModel = Model.TestCase


def filled(steps=100, length=20, capacity=10_000, **options):
    buffer = SequenceReplayBuffer(capacity, 4, 1, **options)
    for i in range(steps):
        buffer.push_slices([i] * 4, [i + 1] * 4, [0.5], 1.0, False, i % length == length - 1)
    return buffer


def test_the_example_of_the_design_document():
    buffer = filled()
    assert buffer.num_complete_episodes() == 5
    batch = buffer.sample_sequences(8, 10, seed=42)
    assert batch["obs"].shape == (8, 10, 4)
    assert batch["actions"].shape == (8, 10, 1)
    assert batch["mask"].all()
    assert (np.diff(batch["obs"][:, :, 0], axis=1) == 1).all()
    np.testing.assert_array_equal(batch["steps"], batch["obs"][:, :, 0] % 20)


def test_a_batch_without_environments_goes_round_them():
    buffer = SequenceReplayBuffer(12, 1, 1, num_envs=3)
    r = np.arange(6, dtype=np.float32)
    flags = np.zeros(6, bool)
    slots = buffer.push_batch(r[:, None], r[:, None], r, flags, flags, r[:, None])
    assert slots.tolist() == [0, 4, 8, 1, 5, 9]
    with pytest.raises(ShapeError, match="multiple of 3"):
        buffer.push_batch(r[:4, None], r[:4, None], r[:4], flags[:4], flags[:4], r[:4, None])


@pytest.mark.parametrize(
    ("envs", "bad", "error"),
    [
        ([0, 3], 3, InvalidValueError),
        ([-1, 0], -1, InvalidValueError),
        ([0], "0", ShapeError),
        ([0.0, 1.0], 0.0, DTypeError),
    ],
)
def test_environments_that_are_not_there_are_refused(envs, bad, error):
    buffer = SequenceReplayBuffer(12, 1, 1, num_envs=3)
    r, flags = np.zeros(2, np.float32), np.zeros(2, bool)
    with pytest.raises(error):
        buffer.push_batch(r[:, None], r[:, None], r, flags, flags, r[:, None], envs=envs)
    with pytest.raises((InvalidValueError, DTypeError)):
        buffer.push([0], [0], 0.0, False, False, [0], env=bad)
    assert len(buffer) == 0


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((2, 0, 1), {}), ((-1, 2, 1), {}), ((2, 2, -1), {}), ((2, 2, 1), {"over": "all"}), ((2, 2, 1), {"burn_in": -1})],
)
def test_impossible_samples_are_refused(arguments, options):
    with pytest.raises((InvalidValueError, ConfigError)):
        filled().sample_sequences(*arguments, **options)


def test_sequences_go_into_given_arrays_and_an_empty_batch_is_empty():
    buffer = filled()
    first = buffer.sample_sequences(4, 6, 1, burn_in=2)
    again = buffer.sample_sequences(4, 6, 1, burn_in=2, out=buffer.sample_sequences(4, 6, 9, burn_in=2))
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    assert buffer.sample_sequences(0, 6, 1)["obs"].shape == (0, 6, 4)


def test_saved_buffers_go_on(tmp_path):
    buffer = filled(130, capacity=90)
    buffer.save(tmp_path / "b")
    again = SequenceReplayBuffer.load(tmp_path / "b")
    for one in (buffer, again):
        one.push([7] * 4, [0], 1.0, True, False, [8] * 4)
    a, b = buffer.sample_sequences(9, 5, 3, over="windows"), again.sample_sequences(9, 5, 3, over="windows")
    for name, value in a.items():
        np.testing.assert_array_equal(b[name], value)
    assert repr(again) == repr(buffer)
    buffer.clear()
    assert (len(buffer), buffer.num_complete_episodes()) == (0, 0)


def test_a_state_of_another_kind_is_refused_and_nothing_changes():
    buffer = filled(30, capacity=40)
    state = buffer.state_dict()
    for bad in (
        {},
        {**state, "rows": {**state["rows"], "rewards": state["rows"]["rewards"][:-1]}},
        {**state, "episodes": {}},
        {**state, "episodes": {"0": {"pushed": 29, "starts": np.array([0, 20])}}},
    ):
        with pytest.raises(RfxError):
            buffer.load_state_dict(bad)
    assert repr(buffer).startswith("SequenceReplayBuffer(capacity=40, len=30, episodes=1, obs(4) float32")


def test_no_sequence_is_torn_while_threads_push_and_sample():
    buffer = SequenceReplayBuffer(60, 4, 1, num_envs=2)
    stop, bad, drawn = threading.Event(), [], [0]

    def push(env):
        episode = 0
        while not stop.is_set():
            for step in range(7):
                c = code(env, episode % 90, step)
                buffer.push([c] * 4, [-c], c, step == 6, False, [c] * 4, env=env)
            episode += 1

    def sample(seed):
        while not stop.is_set():
            try:
                batch = buffer.sample_sequences(8, 5, seed)
            except EmptyBufferError:
                continue
            seed, drawn[0] = seed + 1, drawn[0] + 1
            steps = np.diff(batch["obs"][:, :, 0], axis=1)
            if (steps != 1).any() or (batch["obs"][:, :, 0] % 100 != batch["steps"]).any():
                bad.append(batch)

    threads = [threading.Thread(target=push, args=(k,)) for k in range(2)]
    threads += [threading.Thread(target=sample, args=(1000,))]
    for t in threads:
        t.start()
    stop.wait(2.0)
    stop.set()
    for t in threads:
        t.join()
    assert not bad
    assert drawn[0] > 0
