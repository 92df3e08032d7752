"""rfx.nn.compiled: shapes, history, threads, pickling, loading, and the refusal of what is wrong."""

import pickle
import threading
import tracemalloc

import numpy as np
import pytest
from compiled_parts import RNG, observations, recurrent, small, statistics
from test_mlp import oracle, random_network

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.nn.compiled import CompiledPolicy

# -- calling


def test_one_observation_gives_one_action_and_a_batch_gives_a_batch():
    policy, obs = small(), observations(5)
    assert policy(obs[0]).shape == (3,)
    assert policy(obs).shape == (5, 3)
    assert policy(obs[0]).dtype == np.float32
    assert policy(np.zeros((0, 6), np.float32)).shape == (0, 3)


def test_a_list_is_taken_as_float32():
    policy = small()
    assert np.array_equal(policy([0.5] * 6), policy(np.full(6, 0.5, np.float32)))


def test_out_gets_the_action_and_is_returned():
    policy, obs = small(), observations(4)
    one, many = np.empty(3, np.float32), np.empty((4, 3), np.float32)
    assert policy(obs[0], out=one) is one
    assert policy(obs, out=many) is many
    assert np.array_equal(many[0], one)


def test_results_never_share_memory():
    policy, obs = small(), observations(2)
    first, second = policy(obs[0]), policy(obs[1])
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    ("obs", "error"),
    [
        (np.zeros(5, np.float32), ShapeError),
        (np.zeros((2, 5), np.float32), ShapeError),
        (np.zeros((1, 2, 6), np.float32), ShapeError),
        (np.float32(1), ShapeError),
        (np.zeros(6), DTypeError),
        (["a"] * 6, DTypeError),
        (None, (ShapeError, DTypeError)),
        (np.array([0, 0, np.nan, 0, 0, 0], np.float32), InvalidValueError),
        (np.array([[0, 0, np.inf, 0, 0, 0]], np.float32), InvalidValueError),
    ],
)
def test_observations_that_are_none_are_refused(obs, error):
    with pytest.raises(error):
        small()(obs)


@pytest.mark.parametrize(
    "out",
    [
        np.empty(4, np.float32),
        np.empty(3),
        np.empty((1, 3), np.float32),
        np.empty(6, np.float32)[::2],
        [0, 0, 0],
        np.frombuffer(bytes(12), np.float32),
    ],
)
def test_an_out_that_does_not_fit_is_refused(out):
    with pytest.raises((ShapeError, DTypeError, InvalidValueError)):
        small()(observations(1)[0], out=out)


def test_an_out_that_overlaps_the_observation_is_refused():
    obs = observations(1)[0]
    with pytest.raises(InvalidValueError, match="overlap"):
        small()(obs, out=obs[:3])


def test_a_network_that_overflows_says_so_and_leaves_out_alone():
    layers = [{"type": "linear", "weight": "w"}]
    policy = CompiledPolicy.from_layers(layers, {"w": np.full((3, 6), 3e38, np.float32)})
    out = np.zeros(3, np.float32)
    with pytest.raises(InvalidValueError, match="overflow"):
        policy(np.full(6, 2.0, np.float32), out=out)
    assert not out.any()


def test_with_out_no_memory_is_allocated():
    policy, obs, out = small(), observations(1)[0], np.empty(3, np.float32)
    policy(obs, out=out)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        policy(obs, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 500  # what the loop itself holds


# -- normaliser and action


@pytest.mark.parametrize("clip", [0.7, None])
def test_the_normaliser_is_part_of_the_network(clip):
    layers, tensors = random_network(RNG(3), (6, 9, 3))
    normalizer = statistics(6, clip)
    obs = observations(20)
    limit = np.inf if clip is None else clip
    seen = np.clip((obs - normalizer["mean"]) / np.sqrt(normalizer["var"] + 1e-5), -limit, limit)
    ours = CompiledPolicy.from_layers(layers, tensors, normalizer=normalizer)(obs)
    np.testing.assert_allclose(ours, oracle(layers, tensors, seen)[0], atol=2e-6)


def test_actions_are_clipped_then_scaled_then_moved():
    layers, tensors = random_network(RNG(3), (6, 9, 3), activation="")
    obs = observations(20)
    raw = oracle(layers, tensors, obs)[0]
    policy = CompiledPolicy.from_layers(
        layers, tensors, action_clip=([-0.3, -1, -0.2], 0.4), action_scale=[1, 2, 3], action_offset=0.5
    )
    wanted = np.clip(raw, [-0.3, -1, -0.2], 0.4) * [1, 2, 3] + 0.5
    np.testing.assert_allclose(policy(obs), wanted, atol=2e-6)


def test_one_number_clips_both_ways():
    layers, tensors = random_network(RNG(3), (6, 9, 3), activation="")
    policy = CompiledPolicy.from_layers(layers, tensors, action_clip=0.1)
    assert np.abs(policy(observations(50))).max() == np.float32(0.1)


# -- history and recurrence


@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
@pytest.mark.parametrize("terms", [None, (2, 4)])
@pytest.mark.parametrize("fill", ["first", "zero"])
def test_history_is_stacked_as_it_says(order, terms, fill):
    layers, tensors = random_network(RNG(2), (18, 7, 3))
    policy = CompiledPolicy.from_layers(
        layers, tensors, history=3, history_order=order, history_terms=terms, history_fill=fill
    )
    assert (policy.obs_dim, policy.input_dim, policy.history) == (6, 18, 3)
    seen = []
    for obs in observations(8):
        before = [seen[0] if seen else obs] if fill == "first" else [np.zeros(6)]
        seen.append(obs)
        frames = (before * 3 + seen)[-3:]  # oldest first
        frames = frames if order == "oldest_first" else frames[::-1]
        parts = [[f[a:b] for f in frames] for a, b in ([(0, 6)] if terms is None else [(0, 2), (2, 6)])]
        stacked = np.concatenate([piece for part in parts for piece in part])
        np.testing.assert_allclose(policy(obs), oracle(layers, tensors, [stacked])[0][0], atol=2e-6)


def test_a_batch_of_whole_inputs_does_not_touch_the_history():
    policy = small(inputs=12, history=2)
    obs = observations(3)
    policy(obs[0])
    before = policy.state_dict()
    batch = policy(np.stack([np.r_[obs[0], obs[1]], np.r_[obs[1], obs[2]]]))
    assert np.array_equal(before["memory"], policy.state_dict()["memory"])
    assert np.array_equal(policy(obs[1]), batch[0])
    assert np.array_equal(policy(obs[2]), batch[1])


def test_reset_starts_over():
    policy, obs = small(inputs=18, history=3), observations(5)
    first = [policy(o) for o in obs]
    policy.reset()
    assert np.array_equal(first, [policy(o) for o in obs])


def test_a_bad_observation_leaves_the_history_as_it_was():
    policy, obs = small(inputs=18, history=3), observations(5)
    policy(obs[0])
    before = policy.state_dict()
    bad = obs[1].copy()
    bad[2] = np.nan
    with pytest.raises(InvalidValueError, match=r"obs\[2\]"):
        policy(bad)
    after = policy.state_dict()
    assert np.array_equal(before.pop("memory"), after.pop("memory"))
    assert before == after


def test_a_recurrent_policy_takes_one_observation_at_a_time():
    policy, obs = recurrent(), observations(4)
    first = [policy(o) for o in obs]
    assert policy.recurrent
    assert not np.array_equal(policy(obs[0]), first[0])
    policy.reset()
    assert np.array_equal(policy(obs[0]), first[0])
    with pytest.raises(ShapeError, match="recurrent"):
        policy(obs)


# -- pickle and state


@pytest.mark.parametrize("make", [recurrent, lambda: small(18, history=3), small])
def test_a_pickled_policy_goes_on_where_it_was(make):
    policy, obs = make(), observations(6)
    for o in obs[:3]:
        policy(o)
    twin = pickle.loads(pickle.dumps(policy))
    assert np.array_equal([policy(o) for o in obs[3:]], [twin(o) for o in obs[3:]])


def test_state_goes_from_one_policy_to_another():
    one, other, obs = recurrent(), recurrent(), observations(4)
    for o in obs[:3]:
        one(o)
    other.load_state_dict(one.state_dict())
    assert np.array_equal(one(obs[3]), other(obs[3]))


@pytest.mark.parametrize(
    "change",
    [{"memory": np.zeros(3, np.float32)}, {"newest": 3}, {"half": 2}, {"seen": -1}, {"seen": 1.5}, {"more": 1}],
)
def test_a_state_that_does_not_fit_is_refused(change):
    policy = small(inputs=18, history=3)
    with pytest.raises((ConfigError, InvalidValueError, DTypeError)):
        policy.load_state_dict({**policy.state_dict(), **change})


# -- making one


def test_the_empty_object_is_refused_politely():
    with pytest.raises(DTypeError, match="from_layers"):
        CompiledPolicy()
    empty = CompiledPolicy.__new__(CompiledPolicy)
    with pytest.raises(InvalidStateError):
        empty(np.zeros(0, np.float32))
    assert "never" in repr(empty)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"history": 4}, ConfigError),
        ({"history": 0}, InvalidValueError),
        ({"history": 2, "history_order": "random"}, ConfigError),
        ({"history": 2, "history_terms": (1, 1)}, ConfigError),
        ({"history_fill": "last"}, ConfigError),
        ({"normalizer": {"mean": [0] * 6}}, ConfigError),
        ({"normalizer": statistics(5)}, ConfigError),
        ({"action_scale": [1, 2]}, ConfigError),
        ({"action_clip": (1, 0)}, ConfigError),
        ({"action_offset": np.nan}, InvalidValueError),
    ],
)
def test_settings_that_contradict_the_network_are_refused(settings, error):
    with pytest.raises(error):
        small(**settings)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite_as_float32_are_refused(value):
    with pytest.raises(InvalidValueError, match="tensor 'w'"):
        CompiledPolicy.from_layers([{"type": "linear", "weight": "w"}], {"w": np.full((2, 3), value)})


def test_a_layer_beyond_the_widest_is_refused():
    with pytest.raises(ConfigError, match="4096"):
        CompiledPolicy.from_layers([{"type": "linear", "weight": "w"}], {"w": np.zeros((5000, 3), np.float32)})


def test_the_policy_keeps_numbers_of_its_own():
    layers, tensors = random_network(RNG(0), (6, 17, 3))
    policy = CompiledPolicy.from_layers(layers, tensors)
    before = policy(observations(1))
    for array in tensors.values():
        array[:] = 0
    for array in policy.tensors.values():
        array[:] = 0
    assert np.array_equal(policy(observations(1)), before)


def test_repr_tells_the_widths():
    assert repr(small(18, history=3)) == "CompiledPolicy(6 -> [17, tanh, 3, tanh] -> 3, history=3)"


# -- threads


@pytest.mark.parametrize("history", [1, 3])
def test_threads_may_share_a_policy(history):
    policy = small(6 * history, history=history)
    obs = observations(1)[0]
    for _ in range(history):
        expected = policy(obs)
    wrong = []

    def work():
        for _ in range(2000):
            if not np.array_equal(policy(obs), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
