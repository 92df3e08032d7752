"""rfx.buffers.table against lists."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfx.buffers import ExperienceTable
from rfx.errors import ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError


def row(i):
    return [i, -i, 2 * i], [i / 2], float(i), i % 2 == 0, i % 3 == 0


def batch(first, n):
    i = np.arange(first, first + n, dtype=np.float32)
    return np.stack([i, -i, 2 * i], 1), (i / 2)[:, None], i, i % 2 == 0, i % 3 == 0


def test_the_example_of_the_design_document():
    table = ExperienceTable(4, 1)
    table.push([0.1, 0.2, 0.3, 0.4], [0.0], 1.0, False, False)
    assert len(table) == 1
    np.testing.assert_array_equal(table.observations_raw(), np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    assert table.rewards_raw().tolist() == [1.0]
    table.clear()
    assert len(table) == 0
    assert table.capacity == 1024


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.one_of(st.just("push"), st.just("clear"), st.just("copy"), st.integers(0, 9)), max_size=40))
def test_it_holds_what_a_list_holds(steps):
    table, rows, pushed = ExperienceTable(3, 1, capacity=0), [], 0
    for step in steps:
        if step == "clear":
            table.clear()
            rows = []
        elif step == "copy":
            table = pickle.loads(pickle.dumps(table))
        else:
            n = 1 if step == "push" else step
            first = table.push(*row(pushed)) if step == "push" else table.push_batch(*batch(pushed, n))
            assert first == len(rows)
            rows += [row(pushed + k) for k in range(n)]
            pushed += n
        assert len(table) == len(rows)
        for name, column in zip(("obs", "actions", "rewards", "terminated", "truncated"), range(5), strict=True):
            expected = np.array([r[column] for r in rows]).reshape(table.columns[name].shape)
            np.testing.assert_array_equal(table.columns[name], expected)


def test_columns_are_views_that_outlive_growth():
    table = ExperienceTable(3, 1, capacity=2)
    table.push_batch(*batch(0, 2))
    before = table.rewards()
    assert np.shares_memory(before, table.rewards())
    table.push_batch(*batch(2, 50))
    assert before.tolist() == [0, 1]
    assert table.rewards().tolist() == list(range(52))
    assert table.observations().flags.c_contiguous


def test_clear_keeps_the_room():
    table = ExperienceTable(3, 1, capacity=8)
    table.push_batch(*batch(0, 8))
    address = table.rewards().ctypes.data
    table.clear()
    table.push_batch(*batch(5, 8))
    assert table.rewards().ctypes.data == address


def test_a_rollout_is_time_major():
    table = ExperienceTable(3, 1)
    table.push_batch(*batch(0, 12))
    rollout = table.rollout(4)
    assert rollout["obs"].shape == (3, 4, 3)
    assert rollout["rewards"][:, 1].tolist() == [1, 5, 9]
    assert np.shares_memory(rollout["obs"], table.observations())
    with pytest.raises(ShapeError):
        table.rollout(5)


def test_next_obs_and_further_columns_are_stored_where_asked_for():
    table = ExperienceTable({"a": 2}, (), act_dtype=np.int64, extra={"value": ((), np.float32)}, with_next=True)
    table.push({"a": [1, 2]}, 3, 0.5, False, True, {"a": [3, 4]}, {"value": 0.25})
    columns = table.columns
    assert columns["next_obs"]["a"].tolist() == [[3, 4]]
    assert (columns["actions"].tolist(), columns["value"].tolist()) == ([3], [0.25])
    with pytest.raises(ConfigError, match="next_obs"):
        table.push({"a": [1, 2]}, 3, 0.5, False, True, None, {"value": 0.25})
    assert "next_obs" not in ExperienceTable(1, 1).columns


@pytest.mark.parametrize(
    "bad", [([0, 0], [0], 0.0, False, False), ([0] * 3, [0], None, False, False), ([0] * 3, [0], 0.0, 2, 0)]
)
def test_what_does_not_fit_is_refused_and_nothing_stored(bad):
    table = ExperienceTable(3, 1)
    with pytest.raises((ShapeError, DTypeError, InvalidValueError)):
        table.push(*bad)
    with pytest.raises(RfxError):
        table.push_batch(*batch(0, 3)[:2], np.zeros((3, 1), np.float32), *batch(0, 3)[3:])
    assert len(table) == 0


def test_saved_tables_are_the_same(tmp_path):
    table = ExperienceTable(3, 1, capacity=2)
    table.push_batch(*batch(0, 7))
    table.save(tmp_path / "t")
    again = ExperienceTable.load(tmp_path / "t")
    np.testing.assert_array_equal(again.observations(), table.observations())
    assert repr(again) == "ExperienceTable(len=7, obs(3) float32, actions(1) float32)"
    for bad in ({}, None, {"rows": {}}):
        with pytest.raises(RfxError):
            again.load_state_dict(bad)
    assert len(again) == 7


def test_threads_lose_no_row():
    table = ExperienceTable(3, 1, capacity=1)

    def push(start):
        for i in range(start, start + 3000):
            table.push(*row(i))

    threads = [threading.Thread(target=push, args=(3000 * k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(table.rewards().tolist()) == list(range(9000))
    np.testing.assert_array_equal(table.observations()[:, 0], table.rewards())
