"""rfx.llm.varlen against a plain list of arrays, its file byte by byte, and under threads."""

import pickle
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import CodecError, ConfigError, DTypeError, InvalidValueError, RfxError, ShapeError
from rfx.llm import VarLenStore

lists = st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=30), max_size=40)


def assert_holds(store, sequences):
    assert len(store) == store.num_sequences() == len(sequences)
    assert store.total_elements() == sum(map(len, sequences))
    assert [s.tolist() for s in store] == [list(s) for s in sequences]
    assert store.lengths.tolist() == [len(s) for s in sequences]
    assert store.offsets.tolist() == np.cumsum([0, *map(len, sequences)]).tolist()
    assert store.values.tolist() == [v for s in sequences for v in s]


def test_the_design_documents_example():
    store = VarLenStore()
    store.push([1, 2, 3])
    store.push([4, 5])
    assert (store.num_sequences(), store.total_elements()) == (2, 5)
    np.testing.assert_array_equal(store.get(0), [1, 2, 3])
    np.testing.assert_array_equal(store.get(1), [4, 5])
    assert store.get(0).dtype == np.uint32


@given(lists, lists, lists)
def test_every_way_in_keeps_what_a_list_would(singly, together, flat):
    store = VarLenStore()
    assert [store.push(s) for s in singly] == list(range(len(singly)))
    assert store.push_many(together) == len(singly)
    joined = np.array([v for s in flat for v in s], np.uint32)
    assert store.push_flat(joined, [len(s) for s in flat]) == len(singly) + len(together)
    assert_holds(store, singly + together + flat)


def test_another_store_can_be_pushed_as_a_whole():
    store, other = VarLenStore(), VarLenStore(np.uint16)
    other.push_many([[1, 2], [], [3]])
    store.push([9])
    assert store.push_many(other) == 1
    assert_holds(store, [[9], [1, 2], [], [3]])
    store.push_many(store)
    assert len(store) == 8


def test_negative_indices_and_slices_work_as_in_a_list():
    store = VarLenStore()
    store.push_many([[0], [1, 1], [2, 2, 2]])
    assert store[-1].tolist() == [2, 2, 2]
    assert [s.tolist() for s in store[1:]] == [[1, 1], [2, 2, 2]]
    assert [s.tolist() for s in store[::-2]] == [[2, 2, 2], [0]]


@pytest.mark.parametrize("index", [3, -4, 2**70])
def test_an_index_beyond_the_end_is_an_index_error(index):
    store = VarLenStore()
    store.push_many([[0], [1], [2]])
    with pytest.raises(IndexError):
        store[index]


def test_views_are_read_only_and_stay_what_they_are():
    store = VarLenStore()
    store.push([1, 2, 3])
    view, values, offsets = store[0], store.values, store.offsets
    for array in (view, values, offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    for i in range(1000):
        store.push([i])
    store.clear()
    store.push([8, 8, 8])
    assert view.tolist() == values.tolist() == [1, 2, 3]
    assert offsets.tolist() == [0, 3]


def test_what_is_pushed_is_copied():
    store, sequence = VarLenStore(np.float64), np.ones(3)
    store.push(sequence)
    sequence[:] = 2
    assert store[0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, bool, np.uint8, np.int16])
def test_other_dtypes_are_kept(dtype):
    store = VarLenStore(dtype)
    store.push(np.array([0, 1, 1], dtype))
    assert store[0].dtype == store.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "sequence", "error", "message"),
    [
        (np.uint32, [-1], InvalidValueError, "4294967295"),
        (np.uint32, np.array([2**32]), InvalidValueError, "4294967295"),
        (np.uint32, [2**80], DTypeError, "numbers"),
        (np.uint32, [1.0], DTypeError, "uint32"),
        (np.uint32, [[1]], ShapeError, r"\(N,\)"),
        (np.uint32, 1, ShapeError, r"\(N,\)"),
        (np.uint32, ["a"], DTypeError, "numbers"),
        (np.uint32, [[1], [2, 3]], ShapeError, "vector"),
        (np.float32, np.array([0.1]), DTypeError, "float32"),
        (np.float32, np.array([2**24 + 1]), DTypeError, "float32"),
        (bool, [2], DTypeError, "bool"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_stored(dtype, sequence, error, message):
    store = VarLenStore(dtype)
    store.push([0, 1])
    with pytest.raises(error, match=message):
        store.push(sequence)
    with pytest.raises(error, match=message):
        store.push_many([[1], sequence])
    assert_holds(store, [[0, 1]])


def test_integers_in_range_are_taken_whatever_their_width():
    store = VarLenStore()
    store.push(np.array([5, 6], np.int64))
    store.push(np.array([True]))
    store.push([])
    store.push(np.arange(8)[::2])
    store.push(np.array([1, 2], ">u4"))
    assert_holds(store, [[5, 6], [1], [], [0, 2, 4, 6], [1, 2]])


@pytest.mark.parametrize("lengths", [[1], [4], [-1, 4], [2**62, 2**62, 2**62, 2**62, 3]])
def test_lengths_that_do_not_add_up_are_refused(lengths):
    store = VarLenStore()
    with pytest.raises(InvalidValueError, match="lengths"):
        store.push_flat([1, 2, 3], lengths)
    assert_holds(store, [])


@pytest.mark.parametrize("dtype", [object, "U3", np.complex128, np.longdouble, np.float16, "nothing"])
def test_a_dtype_that_is_no_plain_number_is_refused(dtype):
    with pytest.raises(DTypeError, match="dtype"):
        VarLenStore(dtype)


def test_state_and_pickle_give_an_equal_store():
    store = VarLenStore(np.int32)
    store.push_many([[-1, 2], [], [3]])
    other = VarLenStore(np.int32)
    other.load_state_dict(store.state_dict())
    for copy in (other, pickle.loads(pickle.dumps(store))):
        assert copy.dtype == np.int32
        copy.push([4])
        assert_holds(copy, [[-1, 2], [], [3], [4]])
    assert_holds(store, [[-1, 2], [], [3]])


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"offsets": [0, 2], "values": [1]},
        {"offsets": [1], "values": [1]},
        {"offsets": [], "values": []},
        {"offsets": [0, 3, 2, 4], "values": [1, 2, 3, 4]},
        {"offsets": [0], "values": [], "more": 1},
    ],
)
def test_a_state_that_contradicts_itself_is_refused(state):
    store = VarLenStore()
    store.push([7])
    with pytest.raises(ConfigError):
        store.load_state_dict(state)
    assert_holds(store, [[7]])


# -- the file


@pytest.mark.parametrize("dtype", [np.uint32, np.float32, np.float64, np.int64, bool, np.uint8])
@pytest.mark.parametrize("sequences", [[], [[]], [[1, 0, 1], [], [1]]])
def test_a_file_gives_back_what_was_saved(tmp_path, dtype, sequences):
    store = VarLenStore(dtype)
    store.push_many(sequences)
    store.save(tmp_path / "a.rfxvls")
    loaded = VarLenStore.load(str(tmp_path / "a.rfxvls"))
    assert loaded.dtype == store.dtype
    assert_holds(loaded, sequences)
    assert [p.name for p in tmp_path.iterdir()] == ["a.rfxvls"]


def test_the_file_is_what_its_description_says(tmp_path):
    store = VarLenStore()
    store.push_many([[1, 2, 3], [4]])
    store.save(tmp_path / "a")
    body = struct.pack("<3q4I", 0, 3, 4, 1, 2, 3, 4)
    header = b"RFXVLS1\n" + b"<u4".ljust(8, b"\0") + struct.pack("<QQI", 2, 4, zlib.crc32(body))
    assert (tmp_path / "a").read_bytes() == header + struct.pack("<I", zlib.crc32(header)) + body


def saved(tmp_path):
    store = VarLenStore()
    store.push_many([[1, 2, 3], [4]])
    store.save(tmp_path / "a")
    return tmp_path / "a", (tmp_path / "a").read_bytes()


def test_every_changed_byte_is_noticed(tmp_path):
    path, good = saved(tmp_path)
    for i in range(len(good)):
        path.write_bytes(good[:i] + bytes([good[i] ^ 0x11]) + good[i + 1 :])
        with pytest.raises(CodecError):
            VarLenStore.load(path)


def test_every_cut_and_anything_behind_is_noticed(tmp_path):
    path, good = saved(tmp_path)
    for data in [*(good[:i] for i in range(len(good))), good + b"\0"]:
        path.write_bytes(data)
        with pytest.raises(CodecError):
            VarLenStore.load(path)


@pytest.mark.parametrize(("n", "m"), [(2**63, 4), (2, 2**60), (2**64 - 1, 2**64 - 1)])
def test_sizes_that_lie_are_noticed_before_anything_is_allocated(tmp_path, n, m):
    path, good = saved(tmp_path)
    header = good[:16] + struct.pack("<QQ", n, m) + good[32:36]
    path.write_bytes(header + struct.pack("<I", zlib.crc32(header)) + good[40:])
    with pytest.raises(CodecError, match="bytes"):
        VarLenStore.load(path)


def test_offsets_that_lie_behind_a_good_checksum_are_noticed(tmp_path):
    path, good = saved(tmp_path)
    body = struct.pack("<3q4I", 0, 9, 4, 1, 2, 3, 4)
    header = good[:32] + struct.pack("<I", zlib.crc32(body))
    path.write_bytes(header + struct.pack("<I", zlib.crc32(header)) + body)
    with pytest.raises(CodecError, match="damaged"):
        VarLenStore.load(path)


def test_a_missing_file_is_the_usual_error_and_a_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        VarLenStore.load(tmp_path / "none")
    with pytest.raises(OSError):
        VarLenStore().save(tmp_path / "no" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_threads_push_without_losing_or_tearing_anything():
    store = VarLenStore(np.int64)

    def work(k):
        for i in range(300):
            store.push(np.full(k + i % 3, k))
            store.push_many([[k, k], [k]])
            sequence = store[len(store) - 1]
            assert (sequence == sequence[0]).all()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(store) == 4 * 300 * 3
    assert all((s == s[0]).all() for s in store)
    assert store.total_elements() == sum(300 * (k + 1) + 900 for k in range(1, 5))


def test_repr_says_what_it_holds():
    store = VarLenStore()
    store.push([1, 2])
    assert repr(store) == "VarLenStore(dtype=uint32, len=1, elements=2)"


@pytest.mark.parametrize("nothing", [None, 3])
def test_what_is_no_iterable_is_refused(nothing):
    with pytest.raises(RfxError, match="iterable of sequences"):
        VarLenStore().push_many(nothing)
