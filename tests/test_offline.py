"""rfx.buffers.offline, readers and mixed."""

from types import SimpleNamespace

import numpy as np
import pytest

from rfx.buffers import MixedSampler, OfflineDataset, ReplayBuffer, sample_mixed
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError
from rfx.seeding import rng_from_seed

LENGTHS = (20, 3, 8)


def arrays_of(lengths=LENGTHS, cut=()):
    """Rewards 1, observations (episode, step)."""
    e = np.repeat(np.arange(len(lengths)), lengths)
    t = np.concatenate([np.arange(n) for n in lengths])
    end = t == np.array(lengths)[e] - 1
    truncated = end & np.isin(e, cut)
    obs, after = np.stack([e, t], 1).astype(np.float32), np.stack([e, t + 1], 1).astype(np.float32)
    return obs, t[:, None].astype(np.float32), np.ones(len(t), np.float32), end & ~truncated, truncated, after


def dataset(lengths=LENGTHS, cut=(1,), **options):
    return OfflineDataset(*arrays_of(lengths, cut), **options)


def test_transitions_are_drawn_as_rlox_does():
    batch = dataset().sample(8, 42)
    expected = rng_from_seed(42).integers(31, size=8)
    np.testing.assert_array_equal(batch["indices"], expected)
    np.testing.assert_array_equal(batch["obs"], arrays_of()[0][expected])
    assert batch["truncated"].dtype == bool


def test_returns_to_go_reach_to_the_end_of_the_episode():
    data = dataset()
    batch = data.sample_trajectories(50, 5, 0)
    lengths = np.array(LENGTHS)[batch["obs"][..., 0].astype(int)]
    expected = np.where(batch["mask"], lengths - batch["timesteps"], 0)
    np.testing.assert_array_equal(batch["returns_to_go"], expected)
    discounted = dataset(gamma=0.5).returns_to_go
    np.testing.assert_allclose(discounted[20:23], [1.75, 1.5, 1.0])


@pytest.mark.parametrize("pad", ["right", "left"])
@pytest.mark.parametrize("over", ["episodes", "transitions"])
def test_trajectories_lie_within_one_episode_and_are_padded(pad, over):
    batch = dataset().sample_trajectories(200, 6, 3, over=over, pad=pad)
    for obs, steps, mask in zip(batch["obs"], batch["timesteps"], batch["mask"], strict=True):
        n = int(mask.sum())
        assert (mask[:n] if pad == "right" else mask[6 - n :]).all()
        assert len(set(obs[mask, 0])) == 1
        np.testing.assert_array_equal(obs[mask, 1], steps[mask])
        assert (np.diff(steps[mask]) == 1).all()
        assert n == min(6, LENGTHS[int(obs[mask, 0][0])] - (steps[mask][0] if over == "transitions" else 0)) or n == 6
        assert (obs[~mask] == 0).all()
    assert set(batch["obs"][batch["mask"]][:, 0]) == {0, 1, 2}


def test_trajectories_are_drawn_as_rlox_does():
    rng, expected = rng_from_seed(7), []
    for _ in range(6):
        e = rng.integers(3)
        expected.append([e, rng.integers(max(LENGTHS[e] - 4, 0) + 1)])
    batch = dataset().sample_trajectories(6, 4, 7)
    assert batch["obs"][:, 0].tolist() == expected


def test_normalised_observations_have_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    obs = rng.normal([5, -3], [2, 0.1], (1000, 2))
    obs = np.concatenate([obs, np.full((1000, 1), 7.0)], 1)
    flags = np.zeros(1000, bool)
    data = OfflineDataset(obs, obs, np.zeros(1000), flags, flags, obs, normalize=True)
    seen = data.normalized(data.columns["obs"])
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(seen[:, :2].std(0), 1, rtol=1e-4)
    assert (seen[:, 2] == 0).all()  # a constant stays finite
    batch = data.sample_trajectories(5, 4, 0)
    index = data.sample(5, 0)["indices"]
    np.testing.assert_array_equal(data.sample(5, 0)["obs"], seen[index])
    assert np.abs(batch["obs"]).max() < 6
    assert (dataset().mean == 0).all()


def test_stats_count_episodes():
    stats = dataset().stats()
    assert stats["n_transitions"] == 31
    assert stats["n_episodes"] == 3
    assert (stats["min_return"], stats["max_return"]) == (3, 20)
    assert stats["mean_episode_length"] == pytest.approx(31 / 3)
    assert repr(dataset()) == "OfflineDataset(len=31, episodes=3, obs(2) float32, normalize=False)"


def test_images_stay_bytes():
    obs, actions, *rest = arrays_of()
    frames = np.zeros((31, 4, 4), np.uint8)
    data = OfflineDataset(frames, actions.astype(np.int64), *rest[:3], frames)
    assert data.sample(3, 0)["obs"].dtype == np.uint8
    assert np.shares_memory(data.columns["obs"], frames)
    assert len(obs) == 31


@pytest.mark.parametrize(
    ("column", "bad", "error"),
    [
        (0, np.zeros((30, 2)), ShapeError),
        (0, np.full((31, 2), np.nan), InvalidValueError),
        (0, np.array(["a"] * 31), ConfigError),
        (1, np.zeros((5, 1)), ShapeError),
        (3, np.full(31, 0.5), DTypeError),
        (4, np.zeros(30, bool), ShapeError),
        (5, np.zeros((31, 3)), ShapeError),
    ],
)
def test_columns_that_do_not_fit_are_refused(column, bad, error):
    columns = list(arrays_of())
    columns[column] = bad
    with pytest.raises(error):
        OfflineDataset(*columns)


def test_impossible_samples_are_refused():
    for options in ({"over": "all"}, {"pad": "middle"}):
        with pytest.raises(ConfigError):
            dataset().sample_trajectories(2, 3, 0, **options)
    for arguments in ((-1, 3, 0), (2, 0, 0), (2, 3, -1)):
        with pytest.raises(InvalidValueError):
            dataset().sample_trajectories(*arguments)
    with pytest.raises(InvalidValueError):
        OfflineDataset(np.zeros((0, 2)), np.zeros((0, 1)), [], [], [], np.zeros((0, 2)))


# -- reading


def episodes(lengths=LENGTHS, cut=(1,)):
    obs, actions, rewards, terminated, truncated, after = arrays_of(lengths, cut)
    at = 0
    for n in lengths:
        rows = slice(at, at + n)
        seen = np.concatenate([obs[rows], after[at + n - 1 : at + n]])
        yield {
            "observations": seen.astype(np.float64),
            "actions": actions[rows],
            "rewards": rewards[rows],
            "terminations": terminated[rows],
            "truncations": truncated[rows],
        }
        at += n


@pytest.mark.parametrize("kind", ["dicts", "objects"])
def test_episodes_become_transitions(kind):
    given = list(episodes()) if kind == "dicts" else [SimpleNamespace(**e) for e in episodes()]
    data = OfflineDataset.from_minari(given)
    for name, column in dataset().columns.items():
        np.testing.assert_array_equal(data.columns[name], column)


def test_an_episode_that_just_stops_counts_as_cut():
    [episode] = episodes((4,))
    episode["terminations"] = np.zeros(4, bool)
    data = OfflineDataset.from_episodes([episode, {**episode}])
    assert data.n_episodes() == 2
    assert data.columns["truncated"].tolist() == [False, False, False, True] * 2


def test_episodes_that_do_not_fit_are_refused():
    [good] = episodes((4,))
    for bad in ({**good, "observations": good["observations"][:4]}, {}, {**good, "observations": {"a": 1}}):
        with pytest.raises(RfxError):
            OfflineDataset.from_episodes([bad])
    with pytest.raises(InvalidValueError):
        OfflineDataset.from_episodes([])


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_minari_data_set_of_this_machine_is_read(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    gymnasium = pytest.importorskip("gymnasium")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    buffer = minari.data_collector.EpisodeBuffer
    box = gymnasium.spaces.Box(-99, 99, (2,), np.float64)
    minari.create_dataset_from_buffers(
        "rfx/test-v0",
        [buffer(**{k: list(v) for k, v in e.items()}) for e in episodes()],
        observation_space=box,
        action_space=gymnasium.spaces.Box(-99, 99, (1,), np.float32),
    )
    data = OfflineDataset.from_minari("rfx/test-v0")
    for name, column in dataset().columns.items():
        np.testing.assert_array_equal(data.columns[name], column)
    with pytest.raises(ConfigError, match="rfx/none-v0"):
        OfflineDataset.from_minari("rfx/none-v0")


def hdf5(path, **columns):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[name] = column
    return path


def test_hdf5_with_next_observations_is_taken_as_it_is(tmp_path):
    obs, actions, rewards, terminated, truncated, after = arrays_of(cut=(1,))
    path = hdf5(
        tmp_path / "d.hdf5", observations=obs, actions=actions, rewards=rewards[:, None], terminals=terminated,
        timeouts=truncated, next_observations=after,
    )  # fmt: skip
    data = OfflineDataset.from_hdf5(path, normalize=True)
    for name, column in dataset().columns.items():
        np.testing.assert_array_equal(data.columns[name], column)
    assert data.normalize


def test_hdf5_without_next_observations_loses_only_what_is_not_known(tmp_path):
    obs, actions, rewards, terminated, truncated, _ = arrays_of((4, 3, 2, 3), cut=(0, 3))
    path = hdf5(
        tmp_path / "d", observations=obs, actions=actions, rewards=rewards, terminals=terminated, timeouts=truncated
    )
    data = OfflineDataset.from_hdf5(path)
    c = data.columns
    assert c["obs"].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [3, 0], [3, 1]]
    assert np.flatnonzero(c["truncated"]).tolist() == [2, 9]  # cut where the next observation is still known
    assert np.flatnonzero(c["terminated"]).tolist() == [5, 7]
    going_on = ~c["terminated"]
    np.testing.assert_array_equal(c["next_obs"][going_on], c["obs"][going_on] + [0, 1])


def test_a_file_that_is_no_data_set_is_refused(tmp_path):
    pytest.importorskip("h5py")
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "text", hdf5(tmp_path / "few", observations=np.zeros((2, 1)))):
        with pytest.raises(CodecError):
            OfflineDataset.from_hdf5(path)
    with pytest.raises(FileNotFoundError):
        OfflineDataset.from_hdf5(tmp_path / "none")
    uneven = hdf5(
        tmp_path / "e", observations=np.zeros((3, 1)), actions=np.zeros((3, 1)), rewards=[0.0] * 2, terminals=[0] * 3
    )
    with pytest.raises(CodecError, match="length"):
        OfflineDataset.from_hdf5(uneven)


# -- several buffers


def ring(first, n=10):
    buffer = ReplayBuffer(20, 2, 1)
    for i in range(first, first + n):
        buffer.push([i, i], [i], float(i), False, False, [i, i])
    return buffer


@pytest.mark.parametrize(
    ("ratio", "n", "of_a"), [(0.5, 8, 4), (0.25, 10, 3), (0.0, 5, 0), (1.0, 5, 5), (0.1, 10, 1), (0.7, 10, 7)]
)
def test_two_buffers_are_mixed_as_rlox_does(ratio, n, of_a):
    a, b = ring(0), ring(100)
    batch = sample_mixed(a, b, ratio, n, 42)
    assert batch["source"].tolist() == [0] * of_a + [1] * (n - of_a)
    np.testing.assert_array_equal(batch["rewards"][:of_a], a.sample(of_a, 42)["rewards"])
    other = (42 + 0x9E3779B97F4A7C15) % 2**64
    np.testing.assert_array_equal(batch["obs"][of_a:], b.sample(n - of_a, other)["obs"])


def test_many_buffers_have_their_shares_and_common_columns():
    data = OfflineDataset(*[c[..., :1] if c.ndim > 1 and k == 1 else c for k, c in enumerate(arrays_of())])
    mixed = MixedSampler([ring(0), data, ring(50)], [1, 1, 2])
    batch = mixed.sample(16, 0)
    assert np.bincount(batch["source"]).tolist() == [4, 4, 8]
    assert "returns_to_go" not in batch
    assert batch["obs"].shape == (16, 2)
    assert mixed.sample(0, 0)["obs"].shape == (0, 2)
    assert repr(mixed).startswith("MixedSampler(0.25 of ReplayBuffer(")


def test_an_empty_buffer_without_a_share_is_no_harm():
    assert len(sample_mixed(ring(0), ReplayBuffer(5, 2, 1), 1.0, 6, 0)["obs"]) == 6


def test_mixtures_that_do_not_fit_are_refused():
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidValueError):
            sample_mixed(ring(0), ring(1), ratio, 4, 0)
    for buffers, shares in (([], []), ([ring(0)], [1, 2]), ([ring(0)], [0.0])):
        with pytest.raises((ConfigError, InvalidValueError)):
            MixedSampler(buffers, shares)
    other = ReplayBuffer(5, 3, 1)
    other.push([1, 2, 3], [0], 0.0, False, False, [1, 2, 3])
    with pytest.raises(ConfigError, match="obs"):
        sample_mixed(ring(0), other, 0.5, 4, 0)


def test_dict_observations_are_joined():
    made = []
    for _ in range(2):
        buffer = ReplayBuffer(4, {"a": 1}, 1)
        buffer.push({"a": [1]}, [0], 0.0, False, False, {"a": [2]})
        made.append(buffer)
    assert sample_mixed(*made, 0.5, 6, 0)["obs"]["a"].shape == (6, 1)
