"""rfx.llm.packing against slow packers written from the definitions, and against what went in."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm import PackedSequences, VarLenStore, pack_sequences

STRATEGIES = ("bfd", "ffd", "wrapped")
cases = st.tuples(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 25))


def sequences_of(lengths, dtype=np.uint32):
    """Vectors whose tokens are all different, none of them 0."""
    ends = np.cumsum([0, *lengths])
    return [np.arange(a + 1, b + 1, dtype=dtype) for a, b in itertools.pairwise(ends)]


def loads(lengths, capacity, best):
    """Lengths in each row, by a loop over all rows for each sequence."""
    rows = []
    for size in sorted((n for n in lengths if n), reverse=True):
        fits = [r for r in rows if sum(r) + size <= capacity]
        if not fits:
            rows.append([size])
        else:
            (max(fits, key=sum) if best else fits[0]).append(size)
    return rows


def check(packed, sequences, max_length, pad=0):
    """Everything that must hold of a result, whatever the strategy."""
    assert isinstance(packed, PackedSequences)
    flat = packed.input_ids.ndim == 1
    segments = []
    for r, row in enumerate(packed):
        ids, mask, positions, numbers = (row[k] for k in ("input_ids", "attention_mask", "position_ids", "segment_ids"))
        used = int(row["lengths"].sum())
        assert len(ids) == (used if flat else max_length)
        assert 0 < used <= max_length
        assert mask.tolist() == [1] * used + [0] * (len(ids) - used)
        assert (ids[used:] == pad).all()
        assert numbers.tolist() == np.repeat(np.arange(len(row["lengths"])) + 1, row["lengths"]).tolist() + [0] * (
            len(ids) - used
        )
        assert row["sequence_starts"].tolist() == np.cumsum([0, *row["lengths"]])[:-1].tolist()
        assert np.flatnonzero(positions == 0).tolist() == row["sequence_starts"].tolist()
        assert (np.diff(positions)[positions[1:] != 0] == 1).all()
        assert positions.max() < max_length
        for k in range(len(row["lengths"])):
            begin, n = row["sequence_starts"][k], row["lengths"][k]
            source = sequences[row["sources"][k]]
            np.testing.assert_array_equal(ids[begin : begin + n], source[row["source_starts"][k] :][:n])
            segments.append(int(n))
        assert packed.row_splits[r + 1] == len(segments)
    assert packed.lengths.tolist() == segments
    assert packed.cu_seqlens.tolist() == np.cumsum([0, *segments]).tolist()
    assert packed.max_seqlen == max(segments, default=0)
    for name in ("cu_seqlens", "cu_seqlens_padded", "position_ids", "segment_ids", "sequence_starts"):
        assert getattr(packed, name).dtype == np.int32
    ravelled, at = packed.input_ids.ravel(), packed.cu_seqlens_padded
    assert at[-1] == ravelled.size or not segments
    for k, n in enumerate(segments):
        source = sequences[packed.sources[k]][packed.source_starts[k] :][:n]
        np.testing.assert_array_equal(ravelled[at[k] : at[k] + n], source)
        assert (ravelled[at[k] + n : at[k + 1]] == pad).all()


@given(cases, st.sampled_from(STRATEGIES), st.sampled_from([0, 7, None]))
def test_every_token_comes_back_where_it_was(case, strategy, pad):
    lengths, max_length = case
    sequences = sequences_of(lengths)
    packed = pack_sequences(sequences, max_length, strategy=strategy, pad=pad, overlong="split")
    check(packed, sequences, max_length, pad)
    back = packed.unpack()
    assert len(back) == len(sequences)
    for got, sequence in zip(back, sequences, strict=True):
        np.testing.assert_array_equal(got, sequence)
        assert got.dtype == (np.uint32 if sequences else np.int64)


@given(cases, st.sampled_from(["bfd", "ffd"]), st.sampled_from([0, None]))
def test_truncated_sequences_keep_their_beginning(case, strategy, pad):
    lengths, max_length = case
    sequences = sequences_of(lengths)
    packed = pack_sequences(sequences, max_length, strategy=strategy, pad=pad, overlong="truncate")
    check(packed, sequences, max_length, pad)
    assert (packed.source_starts == 0).all()
    for got, sequence in zip(packed.unpack(), sequences, strict=True):
        np.testing.assert_array_equal(got, sequence[:max_length])


@given(cases)
def test_best_fit_fills_rows_as_the_definition_does(case):
    lengths, max_length = case
    lengths = [n for n in lengths if n <= max_length]
    packed = pack_sequences(sequences_of(lengths), max_length)
    assert sorted(r["lengths"].sum() for r in packed) == sorted(map(sum, loads(lengths, max_length, True)))


@given(cases)
def test_first_fit_fills_rows_as_the_definition_does(case):
    lengths, max_length = case
    lengths = [n for n in lengths if n <= max_length]
    packed = pack_sequences(sequences_of(lengths), max_length, strategy="ffd")
    assert [r["lengths"].tolist() for r in packed] == loads(lengths, max_length, False)


def test_thousands_of_sequences_fill_rows_as_the_definition_does():
    lengths = np.random.default_rng(0).integers(1, 200, 2000).tolist()
    for strategy in ("bfd", "ffd"):
        packed = pack_sequences(sequences_of(lengths), 257, strategy=strategy)
        check(packed, sequences_of(lengths), 257)
        assert sorted(r["lengths"].sum() for r in packed) == sorted(map(sum, loads(lengths, 257, strategy == "bfd")))


def test_best_fit_is_the_same_in_rows_too_wide_for_its_tables():
    lengths = np.random.default_rng(1).integers(1, 60, 300).tolist()
    narrow = pack_sequences(sequences_of(lengths), 100)
    scale = 2**16
    wide = pack_sequences([np.zeros(n * scale, np.uint8) for n in lengths[:40]], 100 * scale, pad=None)
    few = pack_sequences(sequences_of(lengths[:40]), 100, pad=None)
    assert wide.sources.tolist() == few.sources.tolist()
    assert wide.row_splits.tolist() == few.row_splits.tolist()
    assert len(narrow) == len(loads(lengths, 100, True))


def test_equal_lengths_keep_their_order():
    packed = pack_sequences(sequences_of([2] * 9), 6)
    assert packed.sources.tolist() == list(range(9))


@given(cases)
def test_wrapped_is_the_stream_cut_into_rows(case):
    lengths, max_length = case
    packed = pack_sequences(sequences_of(lengths), max_length, strategy="wrapped")
    total = sum(lengths)
    assert len(packed) == -(-total // max_length)
    assert packed.input_ids.ravel()[:total].tolist() == list(range(1, total + 1))
    assert packed.lengths.sum() == total


def test_the_design_documents_example():
    packed = pack_sequences([[1, 2, 3], [4, 5], [6, 7, 8, 9]], 8)
    assert packed.input_ids.tolist() == [[6, 7, 8, 9, 1, 2, 3, 0], [4, 5, 0, 0, 0, 0, 0, 0]]
    assert packed.attention_mask.tolist() == [[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0, 0, 0]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7]]
    assert [r["sequence_starts"].tolist() for r in packed] == [[0, 4], [0]]
    assert packed.cu_seqlens.tolist() == [0, 4, 7, 9]
    assert packed.cu_seqlens_padded.tolist() == [0, 4, 8, 16]
    assert packed.max_seqlen == 4
    assert packed.fill == 9 / 16


def test_a_store_packs_as_its_sequences_do():
    sequences = sequences_of([3, 0, 5, 1, 8, 8, 2], np.uint16)
    store = VarLenStore(np.uint16)
    store.push_many(sequences)
    for pad in (0, None):
        a, b = pack_sequences(store, 9, pad=pad), pack_sequences(sequences, 9, pad=pad)
        check(a, sequences, 9, pad)
        assert a.input_ids.tolist() == b.input_ids.tolist()


def test_a_matrix_packs_row_by_row():
    rows = np.arange(1, 13).reshape(4, 3)
    assert pack_sequences(rows, 6).input_ids.tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
    np.testing.assert_array_equal(pack_sequences(rows.T[:, ::2].T, 3).input_ids, rows[::2])


def test_dtypes_are_kept_and_mixed_ones_widened():
    assert pack_sequences([np.array([1], np.int32)], 2).input_ids.dtype == np.int32
    mixed = pack_sequences([np.array([1, 2], np.uint16), [], np.array([-3], np.int32), [4]], 4)
    assert mixed.input_ids.dtype == np.int64
    assert sorted(mixed.input_ids.ravel().tolist()) == [-3, 1, 2, 4]
    assert pack_sequences([[], np.array([5], np.uint8)], 4).input_ids.dtype == np.uint8
    assert pack_sequences([np.array([], np.uint8)], 4).input_ids.dtype == np.uint8


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sequences", [[], [[]], [[], [], []]])
def test_nothing_packs_into_no_rows(strategy, sequences):
    packed = pack_sequences(sequences, 8, strategy=strategy)
    assert len(packed) == 0
    assert packed.input_ids.shape == packed.segment_ids.shape == (0, 8)
    assert packed.cu_seqlens.tolist() == [0]
    assert [s.tolist() for s in packed.unpack()] == [[] for _ in sequences]
    assert pack_sequences(sequences, 8, strategy=strategy, pad=None).input_ids.shape == (0,)


def test_values_of_tokens_find_their_way_in_and_out():
    sequences = sequences_of([5, 0, 12, 3])
    logps = [s * 0.5 for s in sequences]
    for strategy in STRATEGIES:
        for pad in (0, None):
            packed = pack_sequences(sequences, 7, strategy=strategy, pad=pad, overlong="split")
            laid = packed.arrange(logps, fill=-1)
            np.testing.assert_array_equal(laid, np.where(packed.attention_mask == 1, packed.input_ids * 0.5, -1))
            for got, expected in zip(packed.unpack(laid), logps, strict=True):
                np.testing.assert_array_equal(got, expected)
            hidden = np.stack((packed.input_ids, packed.position_ids), axis=-1)
            for got, expected in zip(packed.unpack(hidden), sequences, strict=True):
                assert got.shape == (len(expected), 2)
                np.testing.assert_array_equal(got[:, 0], expected)


def test_values_of_the_wrong_shape_are_refused():
    packed = pack_sequences([[1, 2], [3]], 4)
    with pytest.raises(ShapeError, match=r"\(1, 4, \.\.\.\)"):
        packed.unpack([1, 2, 3])
    with pytest.raises(ShapeError, match="2 vectors"):
        packed.arrange([[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"values\[1\] of length 1"):
        packed.arrange([[1.0, 2.0], [1.0, 2.0]])


def test_rows_are_found_from_both_ends():
    packed = pack_sequences([[1, 2], [3, 4]], 2)
    assert packed[-1]["input_ids"].tolist() == [3, 4]
    for row in (2, -3):
        with pytest.raises(IndexError):
            packed[row]


def test_a_pickle_is_the_same():
    packed = pack_sequences([[1, 2], [3]], 4)
    copy = pickle.loads(pickle.dumps(packed))
    np.testing.assert_array_equal(copy.input_ids, packed.input_ids)
    assert repr(copy) == repr(packed)
    assert "rows=1, max_length=4, segments=2, sequences=2" in repr(packed)


def test_too_long_a_sequence_is_refused_by_name():
    with pytest.raises(InvalidValueError, match=r"at most 2 tokens, got 3 in sequence 1"):
        pack_sequences([[1], [1, 2, 3]], 2)
    with pytest.raises(InvalidValueError, match="sequence 1"):
        pack_sequences([[1], [1, 2, 3]], 2, strategy="wrapped", overlong="raise")


@pytest.mark.parametrize("max_length", [2**31 - 1, 10**6])
def test_rows_may_be_longer_than_all_tokens_together(max_length):
    for strategy in STRATEGIES:
        packed = pack_sequences(sequences_of([5, 3, 9]), max_length, strategy=strategy, pad=None)
        assert len(packed) == 1
        assert packed.max_seqlen == 9


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_tokens_than_int32_counts_are_refused_before_memory_is_taken(strategy):
    untouched = np.zeros(2**30, np.uint8)
    with pytest.raises(InvalidValueError, match="tokens together"):
        pack_sequences([untouched, untouched], 2**30, strategy=strategy)
    if strategy != "wrapped":
        with pytest.raises(InvalidValueError, match="with padding"):
            pack_sequences([untouched[5:], untouched[5:]], 2**30 + 1, strategy=strategy)


@pytest.mark.parametrize(
    ("sequences", "options", "error", "message"),
    [
        ([[1]], {"max_length": 0}, InvalidValueError, "max_length"),
        ([[1]], {"max_length": 2**31}, InvalidValueError, "max_length"),
        ([[1]], {"max_length": 2.0}, DTypeError, "max_length"),
        ([[1]], {"strategy": "best"}, ConfigError, "strategy"),
        ([[1]], {"overlong": "cut"}, ConfigError, "overlong"),
        ([[1], [1.5]], {}, DTypeError, r"sequences\[1\]"),
        ([[1], [[1]]], {}, ShapeError, r"sequences\[1\]"),
        ([[1], ["a"]], {}, DTypeError, r"sequences\[1\]"),
        ([np.array([1], np.uint64), np.array([-1])], {}, DTypeError, "one can hold"),
        ([np.array([1], np.uint8)], {"pad": 256}, InvalidValueError, "pad"),
        ([np.array([1], np.uint8)], {"pad": -1}, InvalidValueError, "pad"),
        ([np.array([1], np.uint8)], {"pad": 0.5}, DTypeError, "pad"),
        (VarLenStore(np.float32), {}, DTypeError, "integers"),
        ([[1]], {"pad": True}, DTypeError, "pad"),
        ([[1]], {"pad": 2**70}, InvalidValueError, "pad"),
        (None, {}, DTypeError, "iterable"),
        ([None], {}, ShapeError, r"sequences\[0\]"),
    ],
)
def test_what_does_not_fit_is_refused(sequences, options, error, message):
    with pytest.raises(error, match=message):
        pack_sequences(sequences, **{"max_length": 8} | options)
