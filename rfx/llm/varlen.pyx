"""Sequences of different lengths behind each other in one array."""

cimport cython
cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy

import threading

import numpy as np

from rfx.arrays import integer
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.llm import varlen_file
from rfx.llm.tokens import listed, sequence_of

cnp.import_array()


@cython.final
cdef class VarLenStore:
    """Sequences of numbers, one behind the other, and where each begins.

    Parameters
    ----------
    dtype : dtype
        Of all elements: numbers or bool; uint32, token ids, by default.

    Notes
    -----
    Sequences are added and never changed: what is handed out are read-only views that stay valid, and stay what they
    are, whatever is pushed, cleared or loaded later. What is pushed must fit ``dtype`` without loss. Safe under threads.

    Examples
    --------
    >>> store = VarLenStore()
    >>> store.push([1, 2, 3]), store.push([4, 5])
    (0, 1)
    >>> store[1]
    array([4, 5], dtype=uint32)
    """

    cdef readonly object dtype
    cdef cnp.ndarray room          # of the dtype; its first `used` elements are taken
    cdef cnp.ndarray starts        # int64; its first count + 1 are taken
    cdef Py_ssize_t used
    cdef Py_ssize_t count
    cdef int type_num
    cdef Py_ssize_t itemsize
    cdef object guard              # over all of the above but dtype

    def __cinit__(self, dtype=np.uint32):
        try:
            self.dtype = np.dtype(dtype)
        except TypeError as error:
            raise DTypeError(f"expected a dtype, got {dtype!r}") from error
        if self.dtype.kind not in "biuf" or self.dtype.itemsize > 8 or self.dtype == np.float16:
            raise DTypeError(f"expected dtype to be bool, integers, float32 or float64, got {self.dtype}")
        self.dtype = self.dtype.newbyteorder("=")
        self.type_num, self.itemsize = self.dtype.num, self.dtype.itemsize
        self.guard = threading.Lock()
        self.empty()

    cdef int empty(self) except -1:
        # new arrays: views of the old ones keep theirs
        room, starts = np.empty(64, self.dtype), np.zeros(17, np.int64)
        self.room, self.starts = room, starts
        self.used = self.count = 0
        return 0

    # -- in

    def push(self, sequence):
        """Add one sequence, a vector of any length; returns its index.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Not a vector, or it does not fit ``dtype`` without loss; nothing is stored then.
        """
        cdef cnp.ndarray taken = self.fitted(sequence, "sequence")
        cdef Py_ssize_t index
        with self.guard:
            index = self.append(taken)
        return index

    def push_many(self, sequences):
        """Add all of an iterable of sequences, or of another store; returns the index of the first. All or none."""
        if isinstance(sequences, VarLenStore):
            state = sequences.state_dict()
            return self.push_flat(state["values"], np.diff(state["offsets"]))
        cdef list taken = [self.fitted(s, "sequences") for s in listed(sequences)]
        cdef cnp.ndarray array
        cdef Py_ssize_t index, total = 0
        for array in taken:
            total += cnp.PyArray_SIZE(array)
        with self.guard:
            index = self.count
            self.reserve(total, len(taken))
            for array in taken:
                self.append(array)
        return index

    def push_flat(self, values, lengths):
        """Add sequences that already lie behind each other in ``values``, of these lengths; returns the first index."""
        cdef cnp.ndarray flat = self.fitted(values, "values")
        cdef cnp.ndarray sizes = sequence_of(lengths, "lengths", np.int64)
        cdef Py_ssize_t index, n = cnp.PyArray_SIZE(flat), m = cnp.PyArray_SIZE(sizes)
        if m and int(sizes.min()) < 0:
            raise InvalidValueError(f"expected lengths of at least 0, got {sizes.min()}")
        if sum(sizes.tolist()) != n:
            raise ShapeError(f"expected lengths that add up to {n} values, got {sum(sizes.tolist())}")
        with self.guard:
            index = self.count
            self.reserve(n, m)
            memcpy(<char*>cnp.PyArray_DATA(self.room) + self.used * self.itemsize, cnp.PyArray_DATA(flat), n * self.itemsize)
            self.starts[self.count + 1:self.count + 1 + m] = self.used + np.cumsum(sizes)
            self.used += n
            self.count += m
        return index

    cdef cnp.ndarray fitted(self, value, str name):
        if (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == self.type_num and cnp.PyArray_NDIM(value) == 1
                and cnp.PyArray_ISCARRAY_RO(value)):
            return value
        return sequence_of(value, name, self.dtype)

    cdef int reserve(self, Py_ssize_t elements, Py_ssize_t sequences) except -1:
        # room for that many more; grows by half, and copies what is there
        cdef Py_ssize_t need = self.used + elements, rows = self.count + sequences + 1
        if need > cnp.PyArray_SIZE(self.room):
            grown = np.empty(max(need, self.used + self.used // 2), self.dtype)
            grown[:self.used] = self.room[:self.used]
            self.room = grown
        if rows > cnp.PyArray_SIZE(self.starts):
            grown = np.empty(max(rows, self.count + self.count // 2), np.int64)
            grown[:self.count + 1] = self.starts[:self.count + 1]
            self.starts = grown
        return 0

    cdef Py_ssize_t append(self, cnp.ndarray taken) except -1:
        cdef Py_ssize_t n = cnp.PyArray_SIZE(taken)
        self.reserve(n, 1)
        memcpy(<char*>cnp.PyArray_DATA(self.room) + self.used * self.itemsize, cnp.PyArray_DATA(taken), n * self.itemsize)
        self.used += n
        self.count += 1
        (<int64_t*>cnp.PyArray_DATA(self.starts))[self.count] = self.used
        return self.count - 1

    # -- out

    def num_sequences(self):
        """Return how many sequences there are, as ``len`` does."""
        return self.count

    def total_elements(self):
        """Return the sum of the lengths of all sequences."""
        return self.used

    def __len__(self):
        return self.count

    def get(self, index):
        """Return a read-only view of sequence ``index``; negative ones count from the end; IndexError beyond it."""
        cdef const int64_t* at
        cdef Py_ssize_t i = max(min(integer(index, "index"), 2**62), -2**62)
        with self.guard:
            if i < 0:
                i += self.count
            if i < 0 or i >= self.count:
                raise IndexError(f"expected an index below {self.count}, got {index}")
            at = <const int64_t*>cnp.PyArray_DATA(self.starts)
            view = self.room[at[i]:at[i + 1]]
        view.flags.writeable = False
        return view

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self.get(i) for i in range(*index.indices(self.count))]
        return self.get(index)

    def __iter__(self):
        for i in range(self.count):
            yield self.get(i)

    @property
    def offsets(self):
        """Where each sequence begins in ``values``, and the end: (len + 1,) int64, a read-only view."""
        with self.guard:
            view = self.starts[:self.count + 1]
        view.flags.writeable = False
        return view

    @property
    def lengths(self):
        """Of each sequence: (len,) int64, a copy."""
        return np.diff(self.offsets)

    @property
    def values(self):
        """All elements: (total_elements,), a read-only view."""
        with self.guard:
            view = self.room[:self.used]
        view.flags.writeable = False
        return view

    # -- state

    def clear(self):
        """Forget all sequences. Views that were handed out keep theirs."""
        with self.guard:
            self.empty()

    def save(self, path):
        """Write everything to a file, whole or not at all; see ``rfx.llm.varlen_file`` for its format."""
        state = self.state_dict()
        varlen_file.write(path, state["offsets"], state["values"])

    @staticmethod
    def load(path):
        """Return the store that :meth:`save` wrote there; CodecError where the file is damaged or something else."""
        offsets, values = varlen_file.read(path)
        store = VarLenStore(values.dtype)
        try:
            store.load_state_dict({"offsets": offsets, "values": values})
        except ConfigError as error:
            raise CodecError(f"damaged file: {error}") from error
        return store

    def state_dict(self):
        """Return ``offsets`` and ``values``, copies."""
        with self.guard:
            return {"offsets": self.starts[:self.count + 1].copy(), "values": self.room[:self.used].copy()}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a store of this dtype gave; all or nothing."""
        if not isinstance(state, dict) or set(state) != {"offsets", "values"}:
            raise ConfigError("expected a dict with offsets and values")
        cdef cnp.ndarray values = self.fitted(state["values"], "values").copy()
        cdef cnp.ndarray offsets = sequence_of(state["offsets"], "offsets", np.int64).copy()
        if not offsets.size or offsets[0] != 0 or offsets[offsets.size - 1] != values.size or (np.diff(offsets) < 0).any():
            raise ConfigError(f"expected offsets that rise from 0 to {values.size}, got {offsets.tolist()[:8]}")
        with self.guard:
            self.room, self.starts = values, offsets
            self.used, self.count = cnp.PyArray_SIZE(values), cnp.PyArray_SIZE(offsets) - 1

    def __reduce__(self):
        return _rebuild, (self.dtype, self.state_dict())

    def __repr__(self):
        return f"VarLenStore(dtype={self.dtype}, len={self.count}, elements={self.used})"


def _rebuild(dtype, state):
    store = VarLenStore(dtype)
    store.load_state_dict(state)
    return store
