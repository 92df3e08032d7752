"""rfx.buffers.episodes against a list of episodes, and rlox's known answers."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rfx.buffers import EpisodeTracker
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidStateError, InvalidValueError


def tracker_of(lengths, capacity=100):
    tracker, at = EpisodeTracker(capacity), 0
    for length in lengths:
        for k in range(length):
            tracker.notify_push(at % capacity, k == length - 1)
            at += 1
    return tracker


def test_the_example_of_the_design_document():
    tracker = EpisodeTracker(10_000)
    tracker.notify_push(0, False)
    tracker.notify_push(1, False)
    tracker.notify_push(2, True)
    assert tracker.num_complete_episodes() == 1
    windows = tracker.sample_windows(4, 2, seed=42)
    assert windows.shape == (4, 3)
    assert set(windows[:, 1].tolist()) <= {0, 1}


def test_the_same_windows_as_rlox():
    windows = tracker_of([20, 20, 20]).sample_windows(5, 10, 42)
    assert [tuple(w[:2]) for w in windows.tolist()] == [(0, 7), (0, 10), (2, 44), (1, 26), (2, 43)]


@settings(max_examples=200, deadline=None)
@given(
    room=st.integers(1, 12),
    pushes=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=80),
    length=st.integers(1, 5),
    over=st.sampled_from(["episodes", "windows"]),
    with_open=st.booleans(),
    pad=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
)
def test_windows_lie_within_one_episode_and_what_is_stored(room, pushes, length, over, with_open, pad, seed):
    tracker = EpisodeTracker(3 * room, num_envs=3)
    places, steps, episode = [{} for _ in range(3)], [0] * 3, [0] * 3
    for env, done in pushes:
        at = steps[env] % room
        tracker.notify_push(at, done, env)
        places[env][at] = (episode[env], steps[env])
        steps[env] += 1
        episode[env] += done
    tracker = pickle.loads(pickle.dumps(tracker))

    stored = {}  # (env, episode) -> its steps that are there
    for env in range(3):
        for number, step in sorted(places[env].values(), key=lambda x: x[1]):
            stored.setdefault((env, number), []).append(step)
    ended = {key: s for key, s in stored.items() if with_open or key[1] < episode[key[0]]}
    complete = sum(
        key[1] < episode[key[0]]
        and len(s) == sum(1 for e, d in _numbered(pushes) if (e, d) == key)
        for key, s in stored.items()
    )  # fmt: skip
    assert tracker.num_complete_episodes() == complete
    if not any(len(s) >= (1 if pad else length) for s in ended.values()):
        with pytest.raises(EmptyBufferError):
            tracker.sample_windows(3, length, seed, over=over, with_open=with_open, pad=pad)
        return
    for _, place, n in tracker.sample_windows(20, length, seed, over=over, with_open=with_open, pad=pad):
        env, at = divmod(place, room)
        numbers = [places[env][(at + k) % room] for k in range(n)]
        assert len({number for number, _ in numbers}) == 1
        key = (env, numbers[0][0])
        assert key in ended
        assert [step for _, step in numbers] == list(range(numbers[0][1], numbers[0][1] + n))
        assert n == min(length, len(ended[key]))


def _numbered(pushes):
    """Say which episode of which environment each push belongs to."""
    number = [0, 0, 0]
    for env, done in pushes:
        yield env, number[env]
        number[env] += done


def test_every_episode_or_every_window_has_the_same_chance():
    tracker = tracker_of([10, 30, 5, 12])
    places = tracker.sample_windows(30_000, 8, 1, over="windows")[:, 1]
    counts = np.bincount(places, minlength=57)
    allowed = [*range(3), *range(10, 33), *range(45, 50)]
    assert counts[allowed].sum() == 30_000
    assert stats.chisquare(counts[allowed]).pvalue > 1e-4
    episodes = np.bincount(tracker.sample_windows(30_000, 8, 1)[:, 0], minlength=4)
    assert episodes[2] == 0
    assert stats.chisquare(episodes[[0, 1, 3]]).pvalue > 1e-4


def test_what_is_left_of_an_episode_is_drawn_but_not_complete():
    tracker = tracker_of([8, 4], capacity=10)
    assert tracker.num_complete_episodes() == 1
    assert set(tracker.sample_windows(200, 6, 0)[:, 1].tolist()) == {2}


def test_a_push_to_another_place_is_refused():
    tracker = tracker_of([3], capacity=5)
    for bad, error in ((0, InvalidStateError), (5, InvalidValueError), (-1, InvalidValueError), (1.0, DTypeError)):
        with pytest.raises(error):
            tracker.notify_push(bad, False)
    with pytest.raises(DTypeError):
        tracker.notify_push(3, 1)
    with pytest.raises(InvalidValueError):
        tracker.notify_push(3, True, env=1)
    tracker.notify_push(3, True)
    assert tracker.num_complete_episodes() == 2


@pytest.mark.parametrize(("capacity", "envs"), [(0, 1), (10, 3), (10, 0), (3, 4)])
def test_an_uneven_share_is_refused(capacity, envs):
    with pytest.raises((ConfigError, InvalidValueError)):
        EpisodeTracker(capacity, envs)


def test_a_damaged_state_is_refused():
    tracker = tracker_of([3, 4], capacity=6)
    good = tracker.state_dict()
    for starts in ([], [0.5], [3, 2, 7], [0, 3, 8], [3, 7], [[0, 3, 7]]):
        with pytest.raises((ConfigError, InvalidValueError)):
            tracker.load_state_dict({"0": {"pushed": 7, "starts": np.array(starts)}})
    for bad in ({}, {"0": {}}, {"0": {"pushed": -1, "starts": good["0"]["starts"]}}):
        with pytest.raises((ConfigError, InvalidValueError)):
            tracker.load_state_dict(bad)
    np.testing.assert_array_equal(tracker.state_dict()["0"]["starts"], good["0"]["starts"])


def test_it_says_what_it_is_and_forgets():
    tracker = tracker_of([3, 4])
    assert repr(tracker) == "EpisodeTracker(ring_capacity=100, num_envs=1, complete=2)"
    tracker.clear()
    assert tracker.num_complete_episodes() == 0
    tracker.notify_push(0, True)
