"""rfx.buffers.replay against a plain Python model, and under threads."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from producers import transition, whole

from rfx.buffers import Column, ReplayBuffer
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, ShapeError

KEYS = ("obs", "actions", "rewards", "terminated", "truncated", "next_obs")


def filled(n, capacity=None, **options):
    buffer = ReplayBuffer(capacity or n, 3, 2, **options)
    for i in range(n):
        buffer.push(*transition(i))
    return buffer


class Model(RuleBasedStateMachine):
    """A list of slots, as anybody would write it."""

    @initialize(capacity=st.integers(1, 9))
    def make(self, capacity):
        self.buffer = ReplayBuffer(capacity, 3, 2)
        self.slots, self.cursor, self.pushed = [None] * capacity, 0, 0

    def put(self, i):
        self.slots[self.cursor] = i
        self.cursor = (self.cursor + 1) % len(self.slots)
        self.pushed += 1

    @rule()
    def push(self):
        assert self.buffer.push(*transition(self.pushed)) == self.cursor
        self.put(self.pushed)

    @rule(n=st.integers(0, 25))
    def push_batch(self, n):
        rows = [transition(self.pushed + k) for k in range(n)]
        columns = [np.array(c) for c in zip(*rows, strict=True)] if n else [
            np.zeros((0, 3), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32),
            np.zeros(0, bool), np.zeros(0, bool), np.zeros((0, 3), np.float32),
        ]  # fmt: skip
        columns[2] = columns[2].astype(np.float32)
        assert self.buffer.push_batch(*columns) == self.cursor
        for _ in range(n):
            self.put(self.pushed)

    @rule()
    def clear(self):
        self.buffer.clear()
        self.slots, self.cursor = [None] * len(self.slots), 0

    @rule()
    def pickle(self):
        self.buffer = pickle.loads(pickle.dumps(self.buffer))

    @rule(n=st.integers(1, 12), seed=st.integers(0, 2**64 - 1))
    def sample(self, n, seed):
        stored = [s for s in self.slots if s is not None]
        if not stored:
            with pytest.raises(EmptyBufferError):
                self.buffer.sample(n, seed)
            return
        batch = self.buffer.sample(n, seed)
        assert whole(batch)
        assert [self.slots[k] for k in batch["indices"]] == batch["rewards"].tolist()

    @rule(n=st.integers(1, 12), window=st.integers(1, 12), seed=st.integers(0, 2**64 - 1))
    def sample_recent(self, n, window, seed):
        stored = sum(s is not None for s in self.slots)
        if stored:
            rewards = self.buffer.sample_recent(n, window, seed)["rewards"]
            assert (rewards >= self.pushed - min(window, stored)).all()
            assert (rewards < self.pushed).all()

    @invariant()
    def holds_the_same(self):
        stored = [s for s in self.slots if s is not None]
        assert len(self.buffer) == len(stored)
        rows = self.buffer.gather(np.arange(len(stored)))
        assert rows["rewards"].tolist() == self.slots[: len(stored)]
        assert whole(rows)


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstAPlainModel = Model.TestCase


# -- sampling


def test_the_same_seed_draws_the_slots_that_rlox_draws():
    buffer = filled(1000)
    assert buffer.sample(8, 42)["indices"].tolist() == [224, 681, 146, 950, 772, 427, 344, 627]
    assert buffer.sample(8, 0)["indices"].tolist() == [654, 709, 729, 465, 507, 699, 560, 60]


def test_a_numpy_generator_may_draw_instead():
    buffer = filled(50)
    expected = np.random.default_rng(3).integers(50, size=20)
    np.testing.assert_array_equal(buffer.sample(20, np.random.default_rng(3))["indices"], expected)


def test_draws_are_uniform():
    counts = np.bincount(filled(10).sample(100_000, 5)["indices"], minlength=10)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9  # chi-square, 9 degrees of freedom, 0.1 %


def test_recent_draws_come_from_the_window_over_the_seam():
    buffer = filled(25, capacity=10)
    rewards = buffer.sample_recent(500, 4, 1)["rewards"]
    assert set(rewards.tolist()) == {21.0, 22.0, 23.0, 24.0}


def test_a_batch_may_be_larger_than_the_buffer():
    assert whole(filled(3).sample(50, 1))


def test_an_empty_batch_has_shapes():
    batch = ReplayBuffer(5, 3, 2).sample(0, 1)
    assert batch["obs"].shape == (0, 3)
    assert batch["terminated"].dtype == np.bool_


def test_an_empty_buffer_says_so():
    with pytest.raises(EmptyBufferError, match="none"):
        ReplayBuffer(5, 3, 2).sample(1, 1)


def test_batches_are_copies():
    buffer = filled(4)
    batch = buffer.sample(4, 1)
    batch["obs"][:] = 99
    assert not (buffer.sample(4, 1)["obs"] == 99).any()


def test_out_is_written():
    buffer = filled(20)
    first = buffer.sample(6, 1)
    out = {k: np.empty_like(v) for k, v in first.items()}
    second = buffer.sample(6, 1, out=out)
    for key in KEYS:
        assert second[key] is out[key]
        np.testing.assert_array_equal(second[key], first[key])
    with pytest.raises(ConfigError, match="obs"):
        buffer.sample(6, 1, out={})
    with pytest.raises(ShapeError, match="rewards"):
        buffer.sample(6, 1, out={**out, "rewards": np.empty(5, np.float32)})


@pytest.mark.parametrize(
    ("n", "seed", "error"),
    [
        (-1, 0, InvalidValueError),
        (1.5, 0, DTypeError),
        (4, -1, InvalidValueError),
        (4, 2**64, InvalidValueError),
        (4, None, DTypeError),
    ],
)
def test_impossible_draws_are_refused(n, seed, error):
    with pytest.raises(error):
        filled(4).sample(n, seed)


def test_gather_refuses_slots_that_hold_nothing():
    buffer = filled(3, capacity=10)
    for bad in ([3], [-1], [0, 10**12]):
        with pytest.raises(InvalidValueError, match=r"within 0\.\.2"):
            buffer.gather(bad)
    with pytest.raises(DTypeError):
        buffer.gather([0.5])
    with pytest.raises(ShapeError):
        buffer.gather([[0]])


# -- pushing


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({0: np.zeros(4, np.float32)}, ShapeError, "obs"),
        ({0: np.zeros(3)}, DTypeError, "obs"),
        ({1: np.zeros(1, np.float32)}, ShapeError, "actions"),
        ({2: float("nan")}, None, ""),
        ({2: "1"}, DTypeError, "reward"),
        ({3: 0.5}, DTypeError, "terminated"),
        ({4: None}, DTypeError, "truncated"),
        ({5: np.zeros((3, 1), np.float32)}, ShapeError, "next_obs"),
        ({5: ["a", "b", "c"]}, DTypeError, "next_obs"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_stored(change, error, word):
    buffer = filled(2, capacity=5)
    row = list(transition(7))
    for k, value in change.items():
        row[k] = value
    if error is None:
        buffer.push(*row)  # a NaN reward is data; estimators decide what it means
        assert len(buffer) == 3
        return
    with pytest.raises(error, match=word):
        buffer.push(*row)
    assert len(buffer) == 2


def test_lists_and_smaller_types_are_taken_where_nothing_is_lost():
    buffer = ReplayBuffer(5, 3, 2)
    buffer.push([1, 2, 3], np.array([1, 2], np.int8), 1, 0, 1.0, [0.5, 1.5, 2.5])
    row = buffer.gather([0])
    assert row["obs"].tolist() == [[1, 2, 3]]
    assert row["actions"].tolist() == [[1, 2]]
    assert (row["terminated"][0], row["truncated"][0]) == (False, True)


def test_strided_and_read_only_arrays_are_taken():
    obs = np.arange(6, dtype=np.float32)[::2]
    frozen = np.arange(3, dtype=np.float32)
    frozen.flags.writeable = False
    buffer = ReplayBuffer(2, 3, 2)
    buffer.push(obs, np.zeros(2, np.float32), 0.0, False, False, frozen)
    row = buffer.gather([0])
    np.testing.assert_array_equal(row["obs"][0], obs)
    np.testing.assert_array_equal(row["next_obs"][0], frozen)


def test_a_batch_with_one_bad_column_is_refused_whole():
    buffer = filled(2, capacity=5)
    good = [np.zeros((3, 3), np.float32), np.zeros((3, 2), np.float32), np.zeros(3, np.float32), np.zeros(3, bool),
            np.zeros(3, bool), np.zeros((3, 3), np.float32)]  # fmt: skip
    for k, bad in ((1, good[1][:2]), (2, np.zeros(3)), (3, np.full(3, 0.5)), (5, good[5][:, :2]), (0, np.float32(1))):
        with pytest.raises((ShapeError, DTypeError)):
            buffer.push_batch(*(bad if i == k else c for i, c in enumerate(good)))
    assert len(buffer) == 2


def test_a_batch_larger_than_the_ring_leaves_its_end():
    buffer = ReplayBuffer(4, 1, 1)
    n = 10
    r = np.arange(n, dtype=np.float32)
    buffer.push_batch(r[:, None], r[:, None], r, np.zeros(n, bool), np.zeros(n, bool), r[:, None])
    assert sorted(buffer.gather(range(4))["rewards"].tolist()) == [6, 7, 8, 9]


# -- columns


def test_images_integer_actions_and_extra_columns_keep_their_types():
    buffer = ReplayBuffer(
        6,
        (2, 4, 4),
        (),
        obs_dtype=np.uint8,
        act_dtype=np.int64,
        extra={"log_prob": ((), np.float32), "goal": (3, np.float64)},
    )
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (7, 2, 4, 4), dtype=np.uint8)
    for i in range(6):
        extra = {"log_prob": np.float32(-i), "goal": np.full(3, i / 3)}
        buffer.push(frames[i], i, 0.0, False, False, frames[i + 1], extra)
    batch = buffer.gather(range(6))
    np.testing.assert_array_equal(batch["obs"], frames[:6])
    np.testing.assert_array_equal(batch["next_obs"], frames[1:])
    assert batch["actions"].dtype == np.int64
    assert batch["goal"][4].tolist() == [4 / 3] * 3
    assert batch["log_prob"].tolist() == [-0.0, -1, -2, -3, -4, -5]
    again = pickle.loads(pickle.dumps(buffer)).gather(range(6))
    for key, value in batch.items():
        np.testing.assert_array_equal(again[key], value)


@pytest.mark.parametrize("extra", [None, {}, {"other": 1.0}, {"log_prob": 1.0, "more": 2.0}])
def test_extra_columns_are_given_all_and_no_others(extra):
    buffer = ReplayBuffer(3, 3, 2, extra={"log_prob": ((), np.float32)})
    with pytest.raises(ConfigError, match="log_prob"):
        buffer.push(*transition(1), extra)
    assert len(buffer) == 0


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((0, 3), {}, InvalidValueError),
        ((5.0, 3), {}, DTypeError),
        ((5, -1), {}, InvalidValueError),
        ((5, "3"), {}, DTypeError),
        ((5, 3), {"obs_dtype": object}, DTypeError),
        ((5, 3), {"obs_dtype": "nonsense"}, DTypeError),
        ((5, 3), {"extra": {"obs": (1, np.float32)}}, ConfigError),
        ((5, 3), {"extra": {"a b": (1, np.float32)}}, ConfigError),
        ((2**60, 10**6), {}, MemoryError),
    ],
)
def test_an_impossible_buffer_is_refused(arguments, options, error):
    with pytest.raises(error):
        ReplayBuffer(*arguments, **options)


def test_columns_describe_themselves():
    assert Column("obs", (4,), np.float32).describe() == "obs(4) float32"
    assert repr(filled(2, capacity=9)) == "ReplayBuffer(capacity=9, len=2, obs(3) float32, actions(2) float32)"


# -- state and threads


def test_a_state_of_another_kind_is_refused_and_nothing_changes():
    buffer = filled(3, capacity=5)
    state = buffer.state_dict()
    rows = state["rows"]
    for bad in (
        {},
        {"cursor": 9, "rows": rows},
        {"cursor": 1, "rows": rows},
        {"cursor": 3, "rows": {**rows, "obs": rows["obs"][:, :2]}},
        {"cursor": 3, "rows": {k: v for k, v in rows.items() if k != "obs"}},
    ):
        with pytest.raises((ConfigError, ShapeError, InvalidValueError)):
            buffer.load_state_dict(bad)
    assert whole(buffer.gather(range(3)))
    other = ReplayBuffer(5, 3, 2)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.sample(9, 2)["obs"], buffer.sample(9, 2)["obs"])


def test_no_row_is_torn_while_threads_push_and_sample():
    buffer = filled(100, capacity=100)
    stop, bad = threading.Event(), []

    def push(start):
        i = start
        while not stop.is_set():
            buffer.push(*transition(i % 1000))
            i += 1

    def sample(seed):
        while not stop.is_set():
            if not whole(buffer.sample(64, seed)):
                bad.append(seed)
            seed += 1

    threads = [threading.Thread(target=push, args=(k,)) for k in range(2)]
    threads += [threading.Thread(target=sample, args=(1000 * k,)) for k in range(2)]
    for t in threads:
        t.start()
    stop.wait(2.0)
    stop.set()
    for t in threads:
        t.join()
    assert not bad
    assert len(buffer) == 100
