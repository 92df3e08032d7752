"""rfx.buffers.prioritized against a plain Python model, the paper's formulae and rlox's known answers."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scipy import stats

from rfx.buffers import PrioritizedReplayBuffer
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, RfxError, ShapeError
from rfx.seeding import rng_from_seed


def batch_of(n, first=0):
    r = np.arange(first, first + n, dtype=np.float32)
    flags = np.zeros(n, bool)
    return r[:, None], r[:, None], r, flags, flags, r[:, None]


def filled(priorities, capacity=None, **options):
    buffer = PrioritizedReplayBuffer(capacity or len(priorities), 1, 1, **options)
    buffer.push_batch(*batch_of(len(priorities)), priorities=priorities)
    return buffer


def push(buffer, i, priority=None):
    return buffer.push([i], [0.0], float(i), False, False, [i], priority=priority)


PRIORITY = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))


class Model(RuleBasedStateMachine):
    """Shares in a list, drawn from by adding them up."""

    @initialize(capacity=st.integers(1, 40), alpha=st.sampled_from([0.0, 0.6, 1.0, 2.0]))
    def make(self, capacity, alpha):
        self.buffer = PrioritizedReplayBuffer(capacity, 1, 1, alpha, 0.7)
        self.alpha, self.shares, self.held = alpha, [0.0] * capacity, [None] * capacity
        self.cursor, self.pushed, self.largest = 0, 0, 1.0

    def fits(self, changes):
        shares = list(self.shares)
        for slot, priority in changes:
            shares[slot] = priority**self.alpha
        return shares if sum(shares) > 0 else None

    @rule(priorities=st.lists(st.one_of(st.none(), PRIORITY), min_size=1, max_size=60), batch=st.booleans())
    def push(self, priorities, batch):
        if batch:
            given = [p or 0.0 for p in priorities]
            shares = self.fits([((self.cursor + k) % len(self.shares), p) for k, p in enumerate(given)])
            if shares is None:
                with pytest.raises(InvalidValueError):
                    self.buffer.push_batch(*batch_of(len(given), self.pushed), priorities=given)
                return
            assert self.buffer.push_batch(*batch_of(len(given), self.pushed), priorities=given) == self.cursor
        for priority in given if batch else priorities:
            p = self.largest if priority is None else priority
            if not batch:
                if self.fits([(self.cursor, p)]) is None:
                    with pytest.raises(InvalidValueError):
                        push(self.buffer, self.pushed, priority)
                    continue
                assert push(self.buffer, self.pushed, priority) == self.cursor
            self.shares[self.cursor] = p**self.alpha
            self.largest = max(self.largest, p)
            self.held[self.cursor] = self.pushed
            self.cursor, self.pushed = (self.cursor + 1) % len(self.shares), self.pushed + 1

    @rule(data=st.data())
    def update(self, data):
        n = len(self.buffer)
        if n == 0:
            return
        slots = data.draw(st.lists(st.integers(0, n - 1), max_size=50))
        given = data.draw(st.lists(PRIORITY, min_size=len(slots), max_size=len(slots)))
        shares = self.fits(list(zip(slots, given, strict=True)))
        if shares is None:
            with pytest.raises(InvalidValueError):
                self.buffer.update_priorities(np.array(slots, int), given)
            return
        assert self.buffer.update_priorities(np.array(slots, int), given) == len(slots)
        self.shares, self.largest = shares, max([self.largest, *given])

    @rule()
    def pickle(self):
        self.buffer = pickle.loads(pickle.dumps(self.buffer))

    @rule(n=st.integers(1, 30), seed=st.integers(0, 2**64 - 1))
    def sample(self, n, seed):
        stored = len(self.buffer)
        if stored == 0:
            with pytest.raises(EmptyBufferError):
                self.buffer.sample(n, seed)
            return
        batch = self.buffer.sample(n, seed)
        drawn, total, rng = batch["indices"], math.fsum(self.shares), rng_from_seed(seed)
        assert [self.held[k] for k in drawn] == batch["rewards"].tolist() == batch["serials"].tolist()
        least = min(s for s in self.shares if s > 0)
        for i, slot in enumerate(drawn):
            u = rng.uniform() * (total / n) + total / n * i
            before = math.fsum(self.shares[:slot])
            assert before - 1e-9 * total <= u <= before + self.shares[slot] + 1e-9 * total
            assert self.shares[slot] > 0
            p, floor = self.shares[slot] / total, least / total
            weight = (stored * p) ** -0.7 / (stored * floor) ** -0.7
            assert batch["weights"][i] == pytest.approx(weight, rel=1e-5)

    @invariant()
    def holds_the_same(self):
        n = len(self.buffer)
        np.testing.assert_allclose(self.buffer.shares, self.shares[:n], rtol=1e-12)
        assert self.buffer.max_priority == self.largest


Model.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestAgainstAPlainModel = Model.TestCase


def test_the_same_slots_and_weights_as_rlox():
    buffer = filled(np.arange(1.0, 9.0), alpha=1.0, beta=0.4)
    batch = buffer.sample(4, 42)
    assert batch["indices"].tolist() == [3, 5, 6, 7]
    np.testing.assert_allclose(batch["weights"], [0.5743491775, 0.4883593419, 0.4591565499, 0.4352752817], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 70_000])
def test_every_leaf_of_a_tree_of_any_size_can_be_found(n):
    buffer = filled(np.ones(n), alpha=1.0)
    rewards = buffer.sample(n, 5)["rewards"]
    assert rewards.tolist() == list(range(n))  # one from each of n equal parts


def test_draws_follow_the_priorities():
    priorities = np.random.default_rng(1).uniform(0.0, 10.0, 3000)
    priorities[::5] = 0.0
    buffer = filled(priorities, alpha=0.6)
    counts = np.zeros(3000)
    for seed in range(200):
        np.add.at(counts, buffer.sample(1500, seed)["indices"], 1)
    expected = priorities**0.6 / (priorities**0.6).sum() * counts.sum()
    assert counts[::5].sum() == 0
    drawn = expected > 0
    # one draw from each part varies less than free draws do, so only the upper tail is a sign of trouble
    assert stats.chisquare(counts[drawn], expected[drawn]).pvalue > 1e-3


def test_the_sum_does_not_drift():
    rng = np.random.default_rng(0)
    buffer = filled(np.ones(1000), alpha=1.0, beta=1.0)
    for _ in range(2000):
        buffer.update_priorities(rng.integers(1000, size=50), 10.0 ** rng.uniform(-12, 12, 50))
    buffer.update_priorities(np.arange(1000), np.ones(1000))
    batch = buffer.sample(1000, 3)
    assert batch["indices"].tolist() == list(range(1000))
    assert (batch["weights"] == 1.0).all()


def test_a_new_transition_has_the_largest_priority_so_far():
    buffer = filled([1.0, 1000.0, 5.0], capacity=10, alpha=1.0)
    push(buffer, 3)
    assert buffer.shares.tolist() == [1.0, 1000.0, 5.0, 1000.0]
    buffer.update_priorities([1, 3], [1.0, 1.0])
    push(buffer, 4)
    assert buffer.shares[4] == 1000.0


def test_a_priority_of_a_transition_that_was_overwritten_is_dropped():
    buffer = filled([1.0, 1.0, 1.0], alpha=1.0)
    batch = buffer.sample(3, 0)
    push(buffer, 3, priority=2.0)
    assert buffer.update_priorities(batch["indices"], [7.0, 8.0, 9.0], batch["serials"]) == 2
    assert buffer.shares.tolist() == [2.0, 8.0, 9.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, -math.inf, "1", None])
def test_a_bad_priority_changes_nothing(bad):
    buffer = filled([1.0, 2.0], capacity=4, alpha=1.0)
    if bad is not None:
        with pytest.raises((InvalidValueError, DTypeError)):
            push(buffer, 9, priority=bad)
    with pytest.raises(RfxError):
        buffer.push_batch(*batch_of(2), priorities=[1.0, bad])
    with pytest.raises(RfxError):
        buffer.update_priorities([0, 1], [5.0, bad])
    assert buffer.shares.tolist() == [1.0, 2.0]
    assert buffer.max_priority == 2.0


@pytest.mark.parametrize(
    ("indices", "priorities", "error"),
    [
        ([0, 2], [1.0, 1.0], InvalidValueError),
        ([-1], [1.0], InvalidValueError),
        ([0.5], [1.0], DTypeError),
        ([0, 1], [1.0], ShapeError),
        ([[0]], [[1.0]], ShapeError),
        ([0, 1], [0.0, 0.0], InvalidValueError),
    ],
)
def test_an_update_that_does_not_fit_changes_nothing(indices, priorities, error):
    buffer = filled([1.0, 2.0], capacity=4, alpha=1.0)
    with pytest.raises(error):
        buffer.update_priorities(indices, priorities)
    assert buffer.shares.tolist() == [1.0, 2.0]


def test_priorities_of_any_size_stay_drawable():
    buffer = filled([1e-300, 1e300, 1e-320, 5e-324], alpha=2.0)
    assert np.isfinite(buffer.shares).all()
    assert (buffer.shares > 0).all()
    assert np.isfinite(buffer.sample(16, 0)["weights"]).all()


def test_weights_are_normalised_by_the_buffer_or_by_the_batch():
    priorities = np.array([100.0] + [1.0] * 7)
    whole = filled(priorities, alpha=1.0, beta=1.0)
    assert whole.sample(1, 0)["weights"] == pytest.approx(0.01)
    drawn = filled(priorities, alpha=1.0, beta=1.0, normalize="batch")
    assert drawn.sample(1, 0)["weights"] == 1.0


def test_beta_follows_its_schedule_until_it_is_set():
    buffer = filled([1.0, 2.0], beta=0.4, beta_samples=3)
    seen = []
    for _ in range(5):
        seen.append(buffer.beta)
        buffer.sample(1, 0)
    assert seen == pytest.approx([0.4, 0.6, 0.8, 1.0, 1.0])
    buffer.set_beta(0.25)
    buffer.sample(1, 0)
    assert buffer.beta == 0.25
    with pytest.raises(InvalidValueError):
        buffer.set_beta(1.5)


def test_n_step_returns_are_drawn_by_priority_too():
    buffer = filled([1.0] * 6, alpha=1.0, n_step=3, gamma=0.5)
    batch = buffer.sample(6, 1)
    assert batch["rewards"].tolist() == [0 + 0.5 + 0.5, 1 + 1 + 0.75, 2 + 1.5 + 1, 3 + 2 + 1.25, 4 + 2.5, 5]
    assert batch["discounts"].tolist() == [0.125] * 4 + [0.25, 0.5]
    assert batch["next_obs"][:, 0].tolist() == [2, 3, 4, 5, 5, 5]


def test_a_generator_and_out_are_taken():
    buffer = filled(np.arange(1.0, 50.0))
    first = buffer.sample(32, np.random.default_rng(0))
    again = buffer.sample(32, np.random.default_rng(0), out={k: np.empty_like(v) for k, v in first.items()})
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)


def test_recent_and_cleared_transitions(tmp_path):
    buffer = filled([1.0, 5.0, 2.0], capacity=3)
    push(buffer, 3)
    assert set(buffer.sample_recent(50, 2, 1)["rewards"].tolist()) == {2.0, 3.0}
    buffer.clear()
    assert (len(buffer), buffer.max_priority) == (0, 1.0)
    with pytest.raises(EmptyBufferError):
        buffer.sample(1, 0)
    assert len(buffer.sample(0, 0)["obs"]) == 0


def test_saved_and_loaded_buffers_draw_the_same(tmp_path):
    buffer = filled(np.arange(1.0, 20.0), capacity=15, beta_samples=10)
    buffer.sample(4, 0)
    buffer.save(tmp_path / "b.zip")
    again = PrioritizedReplayBuffer.load(tmp_path / "b.zip")
    assert again.beta == buffer.beta
    a, b = buffer.sample(30, 7), again.sample(30, 7)
    for name, value in a.items():
        np.testing.assert_array_equal(b[name], value)


@pytest.mark.parametrize(
    "options",
    [{"alpha": -1}, {"alpha": math.nan}, {"beta": 1.1}, {"beta": -0.1}, {"normalize": "all"}, {"beta_samples": -1}],
)
def test_impossible_parameters_are_refused(options):
    with pytest.raises((InvalidValueError, ConfigError)):
        PrioritizedReplayBuffer(4, 1, 1, **options)


def test_a_state_of_another_kind_is_refused_and_nothing_changes():
    buffer = filled([1.0, 2.0, 3.0], alpha=1.0)
    state = buffer.state_dict()
    for bad in (
        {},
        {**state, "shares": state["shares"][:2]},
        {**state, "shares": np.zeros(3)},
        {**state, "shares": np.full(3, np.nan)},
        {**state, "max_priority": -1.0},
        {**state, "cursor": 7},
    ):
        with pytest.raises(RfxError):
            buffer.load_state_dict(bad)
    assert buffer.shares.tolist() == [1.0, 2.0, 3.0]


def test_it_says_what_it_is():
    assert repr(filled([1.0], capacity=3)) == (
        "PrioritizedReplayBuffer(capacity=3, len=1, obs(1) float32, actions(1) float32, alpha=0.6, beta=0.4)"
    )
