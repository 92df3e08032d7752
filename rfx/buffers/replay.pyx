"""A ring of transitions with uniform sampling."""

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free

import numpy as np

from rfx.kernels.chacha cimport ChaCha, chacha_fill_below, chacha_seed
from rfx.kernels.ring cimport Slot, gather_rows, rows_alloc, scatter_rows

from rfx import arrays
from rfx.buffers.columns import transition_columns
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, ShapeError

cnp.import_array()

cdef enum:
    LINE = 64
    MOST_COLUMNS = 64

ctypedef const unsigned char* Source
ctypedef unsigned char* Target

cdef object LARGEST_SEED = 2**64 - 1


@cython.final
cdef class ReplayBuffer:
    """The last ``capacity`` transitions, one row of memory each, sampled uniformly with replacement.

    Parameters
    ----------
    capacity : int
        At least 1.
    obs_shape, act_shape : int or tuple of int
        Of one observation and one action; () for a number.
    obs_dtype, act_dtype : dtype
        Numbers or bool; float32 by default. What is pushed must fit without loss: float64 arrays are refused for a
        float32 column.
    extra : mapping of str to (shape, dtype), optional
        Further columns.

    Notes
    -----
    ``terminated`` (there is no future) and ``truncated`` (there is one, it was cut here) are separate, and bool.
    Sampled batches are copies. Safe under threads: rows are copied in and out under one lock, without the GIL.
    """

    cdef readonly Py_ssize_t capacity
    cdef readonly tuple columns
    cdef unsigned char* rows
    cdef Slot* slots
    cdef int[MOST_COLUMNS] type_num    # numpy's number of each column's dtype
    cdef int[MOST_COLUMNS] ndim        # of one entry
    cdef Py_ssize_t n_slots
    cdef Py_ssize_t stride
    cdef Py_ssize_t count
    cdef Py_ssize_t cursor
    cdef uint64_t changes
    cdef cython.pymutex lock        # over rows, count and cursor; held only around C code

    def __cinit__(self, capacity, obs_shape, act_shape=1, *, obs_dtype=np.float32, act_dtype=np.float32, extra=None):
        self.capacity = arrays.integer(capacity, "capacity", minimum=1)
        self.columns = transition_columns(obs_shape, act_shape, obs_dtype, act_dtype, extra)
        self.n_slots = len(self.columns)
        if self.n_slots > MOST_COLUMNS:
            raise ConfigError(f"expected at most {MOST_COLUMNS} columns, got {self.n_slots}")
        self.slots = <Slot*>PyMem_Calloc(self.n_slots, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError()
        cdef Py_ssize_t offset = 0
        for k, column in enumerate(self.columns):
            offset = (offset + column.dtype.itemsize - 1) // column.dtype.itemsize * column.dtype.itemsize
            self.slots[k].offset, self.slots[k].size = offset, column.nbytes
            offset += column.nbytes
        for k, column in enumerate(self.columns):
            self.type_num[k], self.ndim[k] = column.dtype.num, len(column.shape)
        self.stride = max((offset + LINE - 1) // LINE * LINE, LINE)
        if self.capacity > (2**62) // self.stride:
            raise MemoryError(f"{self.capacity} rows of {self.stride} bytes do not fit")
        self.rows = rows_alloc(<size_t>self.capacity * self.stride)
        if self.rows == NULL:
            raise MemoryError(f"{self.capacity} rows of {self.stride} bytes do not fit")

    def __dealloc__(self):
        free(self.rows)
        PyMem_Free(self.slots)

    def __len__(self):
        return self.count

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None):
        """Store one transition; returns the slot it went to. ``extra`` is a dict of all extra columns.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Something does not fit its column; nothing is stored then.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t k, slot
        cdef float value
        cdef unsigned char ended, cut
        cdef tuple keep
        cdef object array
        if type(reward) is float:
            value = reward
        else:
            value = arrays.number(reward, "reward")
        ended, cut = flag(terminated, "terminated"), flag(truncated, "truncated")
        obs_in = self.entry(0, obs)
        act_in = self.entry(1, action)
        next_in = self.entry(5, next_obs)
        sources[0] = <const unsigned char*>cnp.PyArray_DATA(obs_in)
        sources[1] = <const unsigned char*>cnp.PyArray_DATA(act_in)
        sources[2] = <const unsigned char*>&value
        sources[3] = &ended
        sources[4] = &cut
        sources[5] = <const unsigned char*>cnp.PyArray_DATA(next_in)
        if self.n_slots > 6 or extra is not None:
            keep = self.extras(extra, 0, False)
            for k in range(6, self.n_slots):
                array = keep[k - 6]
                sources[k] = <const unsigned char*>cnp.PyArray_DATA(array)
        with self.lock:
            slot = self.cursor
            scatter_rows(self.rows, self.stride, self.capacity, slot, 1, self.slots, sources, self.n_slots)
            self.advance(1)
        return slot

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None):
        """Store n transitions, given as arrays (n, ...); returns the slot of the first, the others follow in a ring.

        Of more than ``capacity`` the last ones stay. Nothing is stored when anything does not fit.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t k, n, first
        cdef object array
        rows = obs if cnp.PyArray_CheckExact(obs) else np.asarray(obs)
        if cnp.PyArray_NDIM(rows) == 0:
            raise ShapeError("expected obs of shape (n, ...), got a number")
        n = cnp.PyArray_DIM(rows, 0)
        keep = (self.block(0, rows, n), self.block(1, actions, n), self.block(2, rewards, n),
                self.block(3, terminated, n), self.block(4, truncated, n), self.block(5, next_obs, n))
        if self.n_slots > 6 or extra is not None:
            keep += self.extras(extra, n, True)
        for k in range(self.n_slots):
            array = keep[k]
            sources[k] = <const unsigned char*>cnp.PyArray_DATA(array)
        with nogil, self.lock:
            first = self.cursor
            scatter_rows(self.rows, self.stride, self.capacity, first, n, self.slots, sources, self.n_slots)
            self.advance(n)
        return first

    cdef void advance(self, Py_ssize_t n) noexcept nogil:
        self.changes += 1
        self.cursor = (self.cursor + n) % self.capacity
        self.count = self.count + n if self.count + n < self.capacity else self.capacity

    cdef inline bint fits(self, Py_ssize_t k, value, int more, Py_ssize_t n):
        # whether it is an array that can be copied as it is: n entries, or one where `more` is 0
        return (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == self.type_num[k]
                and cnp.PyArray_NDIM(value) == self.ndim[k] + more and self.ndim[k] <= 1
                and cnp.PyArray_NBYTES(value) == n * self.slots[k].size
                and (not more or cnp.PyArray_DIM(value, 0) == n) and cnp.PyArray_ISCARRAY_RO(value))

    cdef object entry(self, Py_ssize_t k, value):
        if self.fits(k, value, 0, 1):
            return value
        column = self.columns[k]
        return fitted(value, column.name, column.shape, column.dtype)

    cdef object block(self, Py_ssize_t k, value, Py_ssize_t n):
        if self.fits(k, value, 1, n):
            return value
        column = self.columns[k]
        return fitted(value, column.name, (n, *column.shape), column.dtype)

    cdef tuple extras(self, extra, Py_ssize_t n, bint many):
        if extra is None:
            extra = {}
        names = [c.name for c in self.columns[6:]]
        if set(extra) != set(names):
            raise ConfigError(f"expected the extra columns {names}, got {sorted(extra)}")
        return tuple([
            self.block(6 + k, extra[c.name], n) if many else self.entry(6 + k, extra[c.name])
            for k, c in enumerate(self.columns[6:])])

    # -- out

    def sample(self, batch_size, seed, out=None):
        """Draw transitions uniformly, with replacement.

        Parameters
        ----------
        batch_size : int
            At least 0.
        seed : int or numpy.random.Generator
            The same integer draws the same slots on every machine (ChaCha8, as rlox 1.2.0 draws them).
        out : dict of str to ndarray, optional
            Arrays (batch_size, ...) to write into, one for each column.

        Returns
        -------
        dict of str to ndarray
            ``obs``, ``actions``, ``rewards``, ``terminated``, ``truncated``, ``next_obs`` and the extra columns, copies;
            and ``indices``, the slots, int64.

        Raises
        ------
        EmptyBufferError
            There is nothing to draw from.
        """
        return self.drawn(batch_size, self.count, False, seed, out)

    def sample_recent(self, batch_size, window_size, seed, out=None):
        """Draw from the ``window_size`` newest transitions; see :meth:`sample`."""
        window = arrays.integer(window_size, "window_size", minimum=1)
        return self.drawn(batch_size, min(window, self.count), True, seed, out)

    cdef object drawn(self, batch_size, Py_ssize_t window, bint recent, seed, out):
        cdef Py_ssize_t n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef ChaCha rng
        cdef uint64_t word
        cdef int64_t[::1] to
        cdef Py_ssize_t newest
        if window == 0 and n:
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
        if isinstance(seed, np.random.Generator):
            index = seed.integers(max(window, 1), size=n)
        else:
            word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
            index = np.empty(n, np.int64)
            to = index
            if n:
                with nogil:
                    chacha_seed(&rng, word)
                    chacha_fill_below(&rng, window, 0, &to[0], n)
        if recent:
            newest = self.cursor - 1
            index = (newest - index) % self.capacity
        return self.taken(index, out)

    def gather(self, indices, out=None):
        """Return the transitions in these slots, (n,) integers below ``len``; see :meth:`sample`.

        InvalidValueError for a slot that holds nothing.
        """
        index = np.asarray(indices)
        if index.ndim != 1:
            raise ShapeError(f"expected indices of shape (n,), got {index.shape}")
        if index.size and index.dtype.kind not in "iu":
            raise DTypeError(f"expected indices to be integers, got {index.dtype}")
        if index.size and (int(index.min()) < 0 or int(index.max()) >= self.count):
            raise InvalidValueError(f"expected indices within 0..{self.count - 1}, got {index.min()}..{index.max()}")
        return self.taken(index.astype(np.int64), out)

    cdef object taken(self, index, out):
        cdef Target[MOST_COLUMNS] targets
        cdef const int64_t[::1] at = index
        cdef Py_ssize_t k, n = index.shape[0]
        cdef object array
        cdef dict batch = {}
        if out is not None:
            if not isinstance(out, dict) or set(out) - {"indices"} != {c.name for c in self.columns}:
                raise ConfigError(f"expected out to be a dict with {', '.join([c.name for c in self.columns])}")
        for k, column in enumerate(self.columns):
            array = arrays.out_array(
                None if out is None else out[column.name], (n, *column.shape), column.dtype, name=column.name)
            batch[column.name] = array
            targets[k] = <unsigned char*>cnp.PyArray_DATA(array)
        batch["indices"] = index
        if n:
            with nogil, self.lock:
                gather_rows(self.rows, self.stride, &at[0], n, self.slots, targets, self.n_slots)
        return batch

    # -- state

    def clear(self):
        """Forget all transitions; the memory stays."""
        with nogil, self.lock:
            self.count = self.cursor = 0
            self.changes += 1

    def state_dict(self):
        """Return what is stored, by slot: the columns (len, ...), copies, and where the next row goes."""
        cdef uint64_t before
        cdef Py_ssize_t n, cursor
        while True:  # again if somebody pushed meanwhile
            with nogil, self.lock:
                before, n, cursor = self.changes, self.count, self.cursor
            rows = self.taken(np.arange(n), None)
            with nogil, self.lock:
                n = self.changes == before
            if n:
                del rows["indices"]
                return {"cursor": cursor, "rows": rows}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a buffer with the same columns and capacity gave; all or nothing."""
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t k, n, cursor
        cdef object array
        if not isinstance(state, dict) or set(state) != {"cursor", "rows"} or not isinstance(state["rows"], dict):
            raise ConfigError("expected a dict with cursor and rows")
        names = [c.name for c in self.columns]
        if set(state["rows"]) != set(names):
            raise ConfigError(f"expected the columns {names}, got {sorted(state['rows'])}")
        n = len(state["rows"]["rewards"])
        cursor = arrays.integer(state["cursor"], "cursor", minimum=0, maximum=self.capacity - 1)
        if n > self.capacity or (n < self.capacity and cursor != n):
            raise ConfigError(f"{n} rows with the cursor at {cursor} do not fit a capacity of {self.capacity}")
        keep = [self.block(k, state["rows"][name], n) for k, name in enumerate(names)]
        for k in range(self.n_slots):
            array = keep[k]
            sources[k] = <const unsigned char*>cnp.PyArray_DATA(array)
        with nogil, self.lock:
            scatter_rows(self.rows, self.stride, self.capacity, 0, n, self.slots, sources, self.n_slots)
            self.count = n
            self.cursor = cursor
            self.changes += 1

    def __reduce__(self):
        obs, act = self.columns[0], self.columns[1]
        extra = {c.name: (c.shape, c.dtype) for c in self.columns[6:]}
        return _rebuild, (self.capacity, obs.shape, act.shape, obs.dtype, act.dtype, extra, self.state_dict())

    def __repr__(self):
        columns = ", ".join([c.describe() for c in self.columns if c.name in ("obs", "actions") or c in self.columns[6:]])
        return f"ReplayBuffer(capacity={self.capacity}, len={self.count}, {columns})"


def _rebuild(capacity, obs_shape, act_shape, obs_dtype, act_dtype, extra, state):
    made = ReplayBuffer(capacity, obs_shape, act_shape, obs_dtype=obs_dtype, act_dtype=act_dtype, extra=extra)
    made.load_state_dict(state)
    return made


cdef unsigned char flag(value, name) except 255:
    if value is True or value is False:
        return value is True
    if isinstance(value, np.bool_) or (isinstance(value, (int, float, np.number)) and value in (0, 1)):
        return bool(value)
    raise DTypeError(f"expected {name} to be a bool, got {value!r}")


cdef object fitted(value, name, shape, dtype):
    # the value as a contiguous array of exactly this shape and dtype, refused where that would lose something
    array = np.asarray(value)
    if array.dtype is not dtype and array.dtype != dtype:
        plain = not isinstance(value, (np.ndarray, np.generic))
        if array.dtype.kind not in "fiub":
            raise DTypeError(f"expected {name} of dtype {dtype}, got {array.dtype}")
        if not (np.can_cast(array.dtype, dtype, "safe") or (plain and np.can_cast(array.dtype, dtype, "same_kind"))):
            exact = array.astype(dtype)
            if not ((dtype.kind == "b" or plain or array.dtype.kind in "iub") and np.array_equal(exact, array)):
                raise DTypeError(f"expected {name} of dtype {dtype}, got {array.dtype}; convert it yourself if a loss is meant")
        array = array.astype(dtype)
    if array.shape != shape:
        raise ShapeError(f"expected {name} of shape {shape}, got {array.shape}")
    return array if cnp.PyArray_ISCARRAY_RO(array) else np.array(array, order="C")
