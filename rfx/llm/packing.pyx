"""Sequences of different lengths side by side in rows of one length."""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uintptr_t

from rfx.kernels.packing cimport best_fit, by_row, copy_pieces, count_pieces, first_fit, sort_descending

import bisect

import numpy as np

from rfx.arrays import integer
from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.llm.packed import PackedSequences
from rfx.llm.tokens import listed, token_ids
from rfx.llm.varlen import VarLenStore

cnp.import_array()

cdef object MOST = 2**31 - 1, INT32 = np.dtype(np.int32), UINT8 = np.dtype(np.uint8)
cdef Py_ssize_t WIDE = 2**22


def pack_sequences(sequences, max_length, *, strategy="bfd", pad=0, overlong=None):
    """Put sequences of token ids side by side into rows of ``max_length``.

    Parameters
    ----------
    sequences : iterable of array_like of int, or VarLenStore
        Vectors of one integer dtype, or of several that one can hold. Empty ones take no place.
    max_length : int
        Tokens in a row, 1 to 2**31 - 1.
    strategy : {"bfd", "ffd", "wrapped"}
        "bfd": longest first, each into the row it fills best (best fit decreasing).
        "ffd": longest first, each into the first row with room for it (first fit decreasing).
        "wrapped": in their order, cut wherever a row is full; no padding but in the last row.
    pad : int or None
        Token id of the padding. None: no padding, rows lie behind each other in vectors.
    overlong : {"raise", "truncate", "split"}, optional
        What to do with a sequence longer than ``max_length``: refuse it, keep its first ``max_length`` tokens, or make
        pieces of ``max_length`` and a rest, each a segment of its own. "raise" by default, "split" for "wrapped".

    Returns
    -------
    PackedSequences
        ``input_ids``, ``attention_mask``, ``position_ids``, ``segment_ids``, ``sequence_starts``, ``cu_seqlens``,
        ``max_seqlen``, and the way back to the sequences.

    Raises
    ------
    ShapeError, DTypeError
        A sequence is no vector of integers, or no integer dtype holds all of them.
    ConfigError
        An unknown strategy or way with overlong sequences.
    InvalidValueError
        A sequence is too long, ``pad`` does not fit the dtype, or all tokens together are 2**31 or more.

    Notes
    -----
    O(n log n) in the number of sequences. Best and first fit decreasing need at most 11/9 of the fewest rows possible, and
    one more (Johnson 1973). Nothing of it is random: equal lengths keep their order.

    Examples
    --------
    >>> packed = pack_sequences([[1, 2, 3], [4, 5], [6, 7, 8, 9]], 8)
    >>> packed.input_ids
    array([[6, 7, 8, 9, 1, 2, 3, 0],
           [4, 5, 0, 0, 0, 0, 0, 0]])
    >>> packed.sources
    array([2, 0, 1])
    """
    cdef Py_ssize_t length = integer(max_length, "max_length", minimum=1, maximum=MOST)
    if strategy not in ("bfd", "ffd", "wrapped"):
        raise ConfigError(f'expected strategy to be "bfd", "ffd" or "wrapped", got {strategy!r}')
    if overlong is None:
        overlong = "split" if strategy == "wrapped" else "raise"
    if overlong not in ("raise", "truncate", "split"):
        raise ConfigError(f'expected overlong to be "raise", "truncate" or "split", got {overlong!r}')
    keep, pointers, lengths, dtype = taken(sequences)
    if pad is not None:
        pad = token_ids([integer(pad, "pad", minimum=-2**63, maximum=2**64 - 1)], "pad", dtype)[0]
    if overlong == "raise" and lengths.size and int(lengths.max()) > length:
        first = int(np.argmax(lengths > length))
        raise InvalidValueError(
            f"expected sequences of at most {length} tokens, got {lengths[first]} in sequence {first}; "
            'overlong="truncate" or "split" takes them')
    held = np.minimum(lengths, length) if overlong == "truncate" else lengths
    if int(held.sum(dtype=np.float64)) > MOST:
        raise InvalidValueError(f"expected at most {MOST} tokens together, got {held.sum()}: pack them in parts")
    if strategy == "wrapped":
        layout = wrapped(held, length)
    else:
        layout = fitted(held, length, strategy == "bfd", overlong == "split")
    return filled(keep, pointers, lengths, dtype, length, pad, layout)


cdef tuple taken(sequences):
    # what keeps the memory alive, where each sequence begins in it, the lengths, and the dtype of all
    cdef Py_ssize_t i, n
    cdef int type_num = -1
    cdef cnp.ndarray array
    if isinstance(sequences, VarLenStore):
        state = sequences.values, sequences.offsets
        if state[0].dtype.kind not in "iu":
            raise DTypeError(f"expected sequences to hold token ids, integers, got dtype {state[0].dtype}")
        array = state[0]
        starts = state[1][:state[1].size - 1] * array.itemsize + <uintptr_t>cnp.PyArray_DATA(array)
        return array, starts.astype(np.uintp), np.diff(state[1]), array.dtype
    cdef list items = listed(sequences), dtypes = []
    n = len(items)
    pointers, lengths = np.empty(n, np.uintp), np.empty(n, np.int64)
    cdef uintptr_t[::1] to = pointers
    cdef int64_t[::1] sizes = lengths
    for i in range(n):
        value = items[i]
        if not (cnp.PyArray_CheckExact(value) and cnp.PyArray_NDIM(value) == 1 and cnp.PyArray_TYPE(value) == type_num
                and cnp.PyArray_ISCARRAY_RO(value)):
            value = token_ids(value, f"sequences[{i}]")
            items[i] = value
            if cnp.PyArray_TYPE(value) != type_num:
                if cnp.PyArray_SIZE(value):
                    dtypes.append(value.dtype)
                type_num = cnp.PyArray_TYPE(value)
        array = value
        to[i] = <uintptr_t>cnp.PyArray_DATA(array)
        sizes[i] = cnp.PyArray_DIM(array, 0)
    dtype = np.result_type(*dtypes) if dtypes else items[0].dtype if n else np.dtype(np.int64)
    if dtype.kind not in "iu":
        raise DTypeError(f"expected sequences of integer dtypes that one can hold, got {sorted(set(map(str, dtypes)))}")
    if len(dtypes) > 1:
        for i in range(n):
            array = token_ids(items[i], f"sequences[{i}]", dtype)
            items[i] = array
            to[i] = <uintptr_t>cnp.PyArray_DATA(array)
    return items, pointers, lengths, dtype


cdef tuple wrapped(held, Py_ssize_t length):
    # one stream, cut at the ends of sequences and of rows: splits, sources, source_starts, sizes, columns
    ends = np.cumsum(held)
    total = int(ends[ends.size - 1]) if ends.size else 0
    begins = np.unique(np.concatenate((ends - held, np.arange(0, total, length, dtype=np.int64))))
    begins = begins[begins < total]
    sources = np.searchsorted(ends, begins, side="right")
    sizes = np.diff(begins, append=total)
    n_rows = -(-total // length)
    splits = np.searchsorted(begins, np.arange(n_rows + 1, dtype=np.int64) * length)
    return splits, sources, begins - (ends - held)[sources], sizes, begins % length


cdef tuple fitted(held, Py_ssize_t length, bint best, bint split):
    # the same for best and first fit decreasing
    cdef Py_ssize_t n, n_rows, leaves = 1, capacity, longest
    counts = -(-held // length) if split else (held > 0).astype(np.int64)
    sources = np.repeat(np.arange(held.size, dtype=np.int64), counts)
    starts = (np.arange(sources.size, dtype=np.int64) - (np.cumsum(counts) - counts)[sources]) * length
    sizes = np.minimum(held[sources] - starts, length)
    n = sources.size
    if n == 0:
        return np.zeros(1, np.int64), sources, starts, sizes, sources
    capacity = min(length, int(sizes.sum()))
    longest = int(sizes.max())
    while leaves <= (capacity if best else n - 1):
        leaves *= 2
    cdef const int64_t[::1] size = sizes
    order_ = ordered(sizes, longest)
    rows_ = np.empty(n, np.int64)
    cdef int64_t[::1] rows = rows_, newest, below, room
    cdef const int64_t[::1] order = order_
    cdef unsigned char[::1] marks
    if best and capacity > WIDE:
        n_rows = best_fit_wide(sizes[order_].tolist(), capacity, rows_)
    elif best:
        marks, newest, below = np.zeros(2 * leaves, np.uint8), np.full(capacity + 1, -1), np.empty(n, np.int64)
        with nogil:
            n_rows = best_fit(&size[0], &order[0], n, capacity, &marks[0], leaves, &newest[0], &below[0], &rows[0])
    else:
        room = np.full(2 * leaves, capacity)
        with nogil:
            n_rows = first_fit(&size[0], &order[0], n, capacity, &room[0], leaves, &rows[0])
    splits_, used_ = np.zeros(n_rows + 2, np.int64), np.zeros(n_rows, np.int64)
    pieces_, columns_ = np.empty(n, np.int64), np.empty(n, np.int64)
    cdef int64_t[::1] splits = splits_, used = used_, pieces = pieces_, columns = columns_
    with nogil:
        by_row(&size[0], &order[0], &rows[0], n, n_rows, &splits[0], &used[0], &pieces[0], &columns[0])
    return splits_[:n_rows + 1], sources[pieces_], starts[pieces_], sizes[pieces_], columns_


cdef object ordered(sizes, Py_ssize_t longest):
    # longest first, equal ones in their order; by counting, unless that would take more memory than the sequences
    cdef Py_ssize_t n = sizes.size
    if longest > WIDE:
        return np.argsort(-sizes, kind="stable")
    cdef const int64_t[::1] size = sizes
    cdef int64_t[::1] places = np.zeros(longest + 2, np.int64)
    result = np.empty(n, np.int64)
    cdef int64_t[::1] order = result
    with nogil:
        sort_descending(&size[0], n, longest, &places[0], &order[0])
    return result


cdef Py_ssize_t best_fit_wide(list sizes, Py_ssize_t capacity, rows) except -1:
    # best_fit where a place for each number of free tokens would be too many: a sorted list of (room, -when, row)
    cdef list free = []
    cdef Py_ssize_t count = 0
    for i, size in enumerate(sizes):
        at = bisect.bisect_left(free, (size,))
        if at == len(free):
            room, row = capacity, count
            count += 1
        else:
            room, _, row = free.pop(at)
        bisect.insort(free, (room - size, -i, row))
        rows[i] = row
    return count


cdef list together(tuple shape, list dtypes):
    # Arrays of one shape in one piece of memory, each on a cache line: one request to the system instead of several,
    # which malloc more readily serves from what was freed before, and fewer pages that are not part of a large one.
    cdef Py_ssize_t count = int(np.prod(shape)), room = 0
    for dtype in dtypes:
        room += count * dtype.itemsize + 64
    cdef cnp.ndarray block = np.empty(room, np.uint8)
    cdef uintptr_t start = <uintptr_t>cnp.PyArray_DATA(block), at = 0
    cdef list arrays = []
    for dtype in dtypes:
        at = ((start + at + 63) & ~<uintptr_t>63) - start
        arrays.append(block[at:at + count * dtype.itemsize].view(dtype).reshape(shape))
        at += count * dtype.itemsize
    return arrays


cdef object filled(keep, pointers, lengths, dtype, Py_ssize_t length, pad, tuple layout):
    # keep holds what the pointers point into
    splits_, sources_, starts_, sizes_, columns_ = layout
    cdef Py_ssize_t itemsize = dtype.itemsize, n = sizes_.size, n_rows = splits_.size - 1
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes_)))
    if pad is None:
        shape, to_ = (int(ends[n]),), ends
    else:
        if n_rows * length > MOST:
            raise InvalidValueError(f"expected at most {MOST} tokens with padding, got {n_rows * length}: pack them in parts")
        shape = (n_rows, length)
        to_ = np.append(np.repeat(np.arange(n_rows, dtype=np.int64) * length, np.diff(splits_)) + columns_, n_rows * length)
    ids, positions_, mask_ = together(shape, [dtype, INT32, UINT8])
    item_ = np.array([0 if pad is None else pad], dtype)
    cdef const int64_t[::1] starts = starts_, sizes = sizes_, to = to_
    cdef const uintptr_t[::1] sources = pointers[sources_]
    cdef unsigned char[::1] mask = mask_.reshape(-1)
    cdef int32_t[::1] positions = positions_.reshape(-1)
    cdef char* out = <char*>cnp.PyArray_DATA(ids)
    cdef const char* item = <const char*>cnp.PyArray_DATA(item_)
    if n:
        with nogil:
            copy_pieces(<const char**>&sources[0], &starts[0], &to[0], &sizes[0], n, itemsize, item, out)
            count_pieces(&to[0], &sizes[0], n, &positions[0], &mask[0])
    return PackedSequences(
        input_ids=ids, attention_mask=mask_, position_ids=positions_,
        sequence_starts=columns_.astype(np.int32), row_splits=splits_, cu_seqlens=ends.astype(np.int32),
        cu_seqlens_padded=to_.astype(np.int32), max_seqlen=int(sizes_.max()) if n else 0, lengths=sizes_, sources=sources_,
        source_starts=starts_, source_lengths=lengths, max_length=length)
