"""rfx.buffers.replay: n-step returns, dict observations, views, files."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.buffers import PrioritizedReplayBuffer, ReplayBuffer
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError

# -- n-step returns


def n_step_by_hand(history, start, n, gamma, num_envs):
    """Sum the rewards of one environment from ``start`` on: (return, discount, last transition)."""
    total, weight, k = 0.0, 1.0, start
    for _ in range(n):
        reward, terminated, truncated = history[k]
        total, weight, last = total + weight * reward, weight * gamma, k
        if terminated or truncated or k + num_envs >= len(history):
            break
        k += num_envs
    return total, weight, last


@settings(max_examples=150, deadline=None)
@given(
    capacity=st.integers(1, 12),
    num_envs=st.integers(1, 3),
    n=st.integers(2, 6),
    gamma=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    ends=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40),
)
def test_n_step_returns_equal_the_sum_by_hand(capacity, num_envs, n, gamma, ends):
    num_envs = min(num_envs, capacity)
    buffer = ReplayBuffer(capacity, 1, 1, n_step=n, gamma=gamma, num_envs=num_envs)
    history = [(float(i * i % 7), *end) for i, end in enumerate(ends)]
    for i, (reward, terminated, truncated) in enumerate(history):
        buffer.push([i], [i], reward, terminated, truncated, [i + 0.5])
    batch = buffer.sample(64, 3)
    for i, slot in enumerate(batch["indices"]):
        number = int(batch["obs"][i, 0])
        assert number % capacity == slot
        total, weight, last = n_step_by_hand(history, number, n, gamma, num_envs)
        assert batch["rewards"][i] == pytest.approx(total, rel=1e-6)
        assert batch["discounts"][i] == pytest.approx(weight, rel=1e-6)
        assert batch["next_obs"][i, 0] == last + 0.5
        assert (batch["terminated"][i], batch["truncated"][i]) == history[last][1:]
        assert batch["actions"][i, 0] == number


def test_gather_gives_transitions_as_they_were_pushed():
    buffer = ReplayBuffer(8, 1, 1, n_step=3, gamma=0.5)
    for i in range(8):
        buffer.push([i], [i], float(i), False, False, [i + 1])
    rows = buffer.gather(range(8))
    assert rows["rewards"].tolist() == list(range(8))
    assert "discounts" not in rows
    again = pickle.loads(pickle.dumps(buffer))
    np.testing.assert_array_equal(again.sample(9, 1)["rewards"], buffer.sample(9, 1)["rewards"])


def test_n_step_samples_go_into_given_arrays():
    buffer = ReplayBuffer(8, 1, 1, n_step=3)
    for i in range(8):
        buffer.push([i], [i], float(i), False, False, [i + 1])
    first = buffer.sample(16, 0)
    again = buffer.sample(16, 0, out={name: np.empty_like(value) for name, value in first.items()})
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)


@pytest.mark.parametrize(
    "options",
    [{"n_step": 0}, {"n_step": 1.5}, {"gamma": 1.1}, {"gamma": float("nan")}, {"num_envs": 0}, {"num_envs": 9}],
)
def test_impossible_steps_are_refused(options):
    with pytest.raises((InvalidValueError, DTypeError)):
        ReplayBuffer(8, 1, 1, **options)


# -- dict observations

PARTS = {"position": 3, "image": ((2, 4, 4), np.uint8), "height": ()}


def seen(i):
    return {
        "image": np.full((2, 4, 4), i % 256, np.uint8),
        "position": np.full(3, i / 4, np.float32),
        "height": float(i),
    }


def dict_buffer(n, kind=ReplayBuffer):
    buffer = kind(10, PARTS, (), act_dtype=np.int64, extra={"goal": (2, np.float32)})
    for i in range(n):
        buffer.push(seen(i), i, 1.0, False, False, seen(i + 1), {"goal": [i, -i]})
    return buffer


@pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplayBuffer])
def test_dict_observations_come_back_as_dicts(kind):
    batch = dict_buffer(13, kind).sample(20, 5)
    i = batch["actions"]
    assert set(batch["obs"]) == set(PARTS)
    np.testing.assert_array_equal(batch["obs"]["position"], np.repeat(i[:, None] / 4, 3, 1))
    np.testing.assert_array_equal(batch["next_obs"]["height"], i + 1)
    assert batch["obs"]["image"].dtype == np.uint8
    assert (batch["next_obs"]["image"] == (i + 1)[:, None, None, None]).all()
    np.testing.assert_array_equal(batch["goal"], np.stack([i, -i], 1))


def test_dict_observations_are_pushed_in_batches_saved_and_copied(tmp_path):
    one, many = dict_buffer(7), dict_buffer(0)
    stacked = {k: np.array([seen(i)[k] for i in range(7)]).astype(one.columns["obs"][k].dtype) for k in PARTS}
    after = {k: np.array([seen(i + 1)[k] for i in range(7)]).astype(one.columns["obs"][k].dtype) for k in PARTS}
    i, flags = np.arange(7), np.zeros(7, bool)
    many.push_batch(
        stacked, i, np.ones(7, np.float32), flags, flags, after, {"goal": np.stack([i, -i], 1).astype("f4")}
    )
    many.save(tmp_path / "buffer.zip")
    for other in (many, pickle.loads(pickle.dumps(many)), ReplayBuffer.load(tmp_path / "buffer.zip")):
        a, b = one.sample(8, 3), other.sample(8, 3, out=many.sample(8, 4))
        np.testing.assert_array_equal(a["obs"]["image"], b["obs"]["image"])
        np.testing.assert_array_equal(a["next_obs"]["position"], b["next_obs"]["position"])
        np.testing.assert_array_equal(a["goal"], b["goal"])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(3),
        {},
        {"position": np.zeros(3)},
        {**seen(1), "more": 1.0},
        {**seen(1), "position": np.zeros(2, np.float32)},
    ],
)
def test_an_observation_with_other_parts_is_refused(bad):
    buffer = dict_buffer(2)
    with pytest.raises((ConfigError, ShapeError), match="obs"):
        buffer.push(bad, 0, 1.0, False, False, seen(1), {"goal": [0, 0]})
    assert len(buffer) == 2


@pytest.mark.parametrize("parts", [{}, {"a b": 3}, {3: 3}, {"a": "x"}, {"a": ((2,), "nonsense")}])
def test_impossible_parts_are_refused(parts):
    with pytest.raises((ConfigError, DTypeError)):
        ReplayBuffer(3, parts)


# -- views


def filled(n=6, **options):
    buffer = ReplayBuffer(8, 3, 2, **options)
    for i in range(n):
        buffer.push([i] * 3, [i, -i], float(i), i % 2 == 0, False, [i + 1] * 3)
    return buffer


def test_columns_are_views_of_what_is_stored():
    buffer = filled()
    columns = buffer.columns
    rows = buffer.gather(range(6))
    for name, view in columns.items():
        np.testing.assert_array_equal(view, rows[name])
        assert (view.dtype, view.shape) == (rows[name].dtype, rows[name].shape)
    columns["rewards"][2] = 70.0
    assert buffer.gather([2])["rewards"] == 70.0


def test_columns_keep_the_memory_alive():
    view = filled().columns["obs"]
    others = [filled() for _ in range(5)]
    assert view[:, 0].tolist() == list(range(6))
    assert len(others) == 5


def test_columns_are_given_on_by_dlpack_without_a_copy():
    buffer = filled()
    taken = np.from_dlpack(buffer.columns["actions"])
    assert np.shares_memory(taken, buffer.columns["actions"])
    np.testing.assert_array_equal(taken[:, 1], -np.arange(6))


def test_torch_takes_columns_without_a_copy():
    torch = pytest.importorskip("torch")
    column = filled().columns["obs"]
    taken = torch.from_dlpack(column)
    assert taken.data_ptr() == column.ctypes.data
    assert taken[:, 0].tolist() == list(range(6))


# -- actions that are Python numbers


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float32, np.float64, np.bool_])
def test_an_action_may_be_a_python_number(dtype):
    buffer = ReplayBuffer(4, 1, (), act_dtype=dtype)
    buffer.push([0.0], 1, 0.0, False, False, [0.0])
    assert buffer.gather([0])["actions"][0] == 1
    if np.dtype(dtype).kind == "f":
        buffer.push([0.0], 0.5, 0.0, False, False, [0.0])
        assert buffer.gather([1])["actions"][0] == 0.5
    else:
        with pytest.raises(RfxError):
            buffer.push([0.0], 0.5, 0.0, False, False, [0.0])
    with pytest.raises(RfxError):
        buffer.push([0.0], 2**70, 0.0, False, False, [0.0])


# -- files


def test_a_saved_buffer_is_read_with_numpy_alone(tmp_path):
    path = tmp_path / "buffer.zip"
    filled().save(path)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["rows/rewards"].tolist() == [0, 1, 2, 3, 4, 5]
    with zipfile.ZipFile(path) as archive:
        head = json.loads(archive.read("rfx.json"))
    assert (head["format"], head["kind"], head["config"]["capacity"]) == ("rfx-buffer", "ReplayBuffer", 8)


def test_a_loaded_buffer_goes_on_as_the_saved_one(tmp_path):
    buffer = filled(21, n_step=2, gamma=0.9)
    buffer.save(tmp_path / "b")
    again = ReplayBuffer.load(tmp_path / "b")
    for one in (buffer, again):
        one.push([9, 9, 9], [0, 0], 5.0, False, True, [1, 2, 3])
    a, b = buffer.sample(40, 1), again.sample(40, 1)
    for name, value in a.items():
        np.testing.assert_array_equal(b[name], value)
    assert repr(again) == repr(buffer)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "b"
    filled(2).save(path)
    before = path.read_bytes()

    def broken(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", broken)
    with pytest.raises(OSError, match="disk full"):
        filled(5).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "b"
    filled().save(path)
    good = path.read_bytes()
    for bad in (b"", b"hello", good[: len(good) // 2], good[:-30], good.replace(b"rfx-buffer", b"abc-buffer")):
        path.write_bytes(bad)
        with pytest.raises(CodecError):
            ReplayBuffer.load(path)
    path.write_bytes(good)
    with pytest.raises(ConfigError, match="ReplayBuffer"):
        PrioritizedReplayBuffer.load(path)
    with pytest.raises(FileNotFoundError):
        ReplayBuffer.load(tmp_path / "none")
    for position in range(0, len(good), 37):  # one byte turned: refused, or the same buffer
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        try:
            again = ReplayBuffer.load(path)
        except RfxError:
            continue
        np.testing.assert_array_equal(again.gather(range(6))["obs"], filled().gather(range(6))["obs"])


def test_a_pickled_object_in_a_file_is_not_run(tmp_path):
    path = tmp_path / "b"
    filled().save(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with (tmp_path / "evil.npy").open("wb") as stream:
        np.save(stream, np.array([print], object), allow_pickle=True)
    entries["rows/rewards.npy"] = (tmp_path / "evil.npy").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(CodecError):
        ReplayBuffer.load(path)


def forged(path, **changes):
    """Write the file of a small buffer with some entries replaced."""
    filled().save(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    head = json.loads(entries["rfx.json"])
    head["config"].update(changes.pop("config", {}))
    entries["rfx.json"] = changes.pop("head", json.dumps(head)).encode()
    entries.update(changes.pop("entries", {}))
    with zipfile.ZipFile(path, "w", changes.pop("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_forged_files_are_refused(tmp_path):
    huge = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    huge += b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    forgeries = [
        {"config": {"nonsense": 1}},
        {"config": {"capacity": "many"}},
        {"config": {"obs_shape": 4}},
        {"head": "[" * 100_000},
        {"head": "{}"},
        {"head": "[1]"},
        {"entries": {"rows/rewards.npy": huge}},
        {"entries": {"rows/rewards.npy": b""}},
        {"entries": {"rows.npy": huge}},
        {"compression": zipfile.ZIP_DEFLATED},
    ]
    for forgery in forgeries:
        with pytest.raises(RfxError):
            ReplayBuffer.load(forged(tmp_path / "b", **forgery))
    assert len(ReplayBuffer.load(forged(tmp_path / "b"))) == 6
