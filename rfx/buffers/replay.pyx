"""A ring of transitions with uniform sampling."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.buffers.saved cimport Saved
from rfx.kernels.chacha cimport ChaCha, chacha_fill_below, chacha_seed
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil
from rfx.kernels.ring cimport Slot, Walk, gather_rows, rows_alloc, scatter_rows, walk_steps

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, ShapeError

cnp.import_array()

cdef object LARGEST_SEED = 2**64 - 1
cdef object FLOAT32 = np.dtype(np.float32)


cdef class ReplayBuffer(Saved):
    """The last ``capacity`` transitions, one row of memory each, sampled uniformly with replacement.

    Parameters
    ----------
    capacity : int
        At least 1.
    obs_shape : int, tuple of int, or dict
        Of one observation; () for a number. A dict of part to shape or (shape, dtype) makes observations dicts of arrays.
    act_shape : int or tuple of int
        Of one action.
    obs_dtype, act_dtype : dtype
        Numbers or bool; float32 by default. What is pushed must fit without loss: float64 arrays are refused for a
        float32 column.
    extra : dict of str to (shape, dtype), optional
        Further columns.
    n_step, gamma : int, float
        With ``n_step`` above 1, a sample's ``rewards`` are sums of so many discounted rewards, fewer where an episode ends
        or the newest transition comes first; ``terminated``, ``truncated`` and ``next_obs`` are those of the last of these
        steps, and ``discounts`` says what to multiply its value by: gamma to the number of steps.
    num_envs : int
        How many environments push in turn, one transition each; only n-step returns need to know it.

    Notes
    -----
    ``terminated`` (there is no future) and ``truncated`` (there is one, it was cut here) are separate, and bool.
    Sampled batches are copies, :attr:`columns` are views. Safe under threads: rows are copied in and out under one lock,
    without the GIL.
    """

    def __cinit__(self, capacity, obs_shape, act_shape=1, *others, obs_dtype=np.float32, act_dtype=np.float32, extra=None,
                  n_step=1, gamma=0.99, num_envs=1, **further):
        self.capacity = arrays.integer(capacity, "capacity", minimum=1)
        self.layout = Layout(obs_shape, act_shape, obs_dtype, act_dtype, extra)
        self.n_step = arrays.integer(n_step, "n_step", minimum=1, maximum=2**31)
        self.gamma = arrays.number(gamma, "gamma", minimum=0.0, maximum=1.0)
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1, maximum=self.capacity)
        if self.capacity > (2**62) // self.layout.stride:
            raise MemoryError(f"{self.capacity} rows of {self.layout.stride} bytes do not fit")
        self.rows = rows_alloc(<size_t>self.capacity * self.layout.stride)
        if self.rows == NULL:
            raise MemoryError(f"{self.capacity} rows of {self.layout.stride} bytes do not fit")

    def __init__(self, capacity, obs_shape, act_shape=1, *, obs_dtype=np.float32, act_dtype=np.float32, extra=None,
                 n_step=1, gamma=0.99, num_envs=1):
        pass

    def __dealloc__(self):
        free(self.rows)

    def __len__(self):
        return self.count

    @property
    def schema(self):
        """The columns: name, shape and dtype of each."""
        return self.layout.schema

    @property
    def columns(self):
        """The columns as arrays (len, ...) by slot: views, which can be written to and keep the memory alive.

        They show what is pushed later, too. ``torch.from_dlpack(buffer.columns["rewards"])`` copies nothing.
        """
        return self.layout.nested(list(self.layout.views(self.rows, self.count, self)))

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None):
        """Store one transition; returns the slot it went to. ``extra`` is a dict of all extra columns.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError, ConfigError
            Something does not fit its column; nothing is stored then.
        """
        cdef Entry entry
        cdef Py_ssize_t slot
        _keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        lock_take_gil(&self.lock)
        slot = self.put(entry.sources, 1)
        lock_leave(&self.lock)
        return slot

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None):
        """Store n transitions, given as arrays (n, ...); returns the slot of the first, the others follow in a ring.

        Of more than ``capacity`` the last ones stay. Nothing is stored when anything does not fit.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n, first
        _keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
        with nogil:
            lock_take(&self.lock)
            first = self.put(sources, n)
            lock_leave(&self.lock)
        return first

    cdef Py_ssize_t put(self, const Source* sources, Py_ssize_t n) noexcept nogil:
        cdef Py_ssize_t first = self.cursor
        scatter_rows(self.rows, self.layout.stride, self.capacity, first, n, self.layout.slots, <const unsigned char**>sources,
                     self.layout.n_slots)
        self.changes += 1
        self.pushed += n
        self.cursor = first + n if first + n < self.capacity else (first + n) % self.capacity  # a division costs 10 ns
        self.count = self.count + n if self.count + n < self.capacity else self.capacity
        return first

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
            ``indices``, the slots, int64; with ``n_step`` above 1 also ``discounts``, float32.

        Raises
        ------
        EmptyBufferError
            There is nothing to draw from.
        """
        cdef Py_ssize_t n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        return self.taken(self.slots(n, self.window(n, None), seed), out, False)

    def sample_recent(self, batch_size, window_size, seed, out=None):
        """Draw from the ``window_size`` newest transitions; see :meth:`sample`."""
        cdef Py_ssize_t n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef Py_ssize_t newest
        back = self.slots(n, self.window(n, window_size), seed)
        newest = self.cursor - 1
        return self.taken((newest - back) % self.capacity, out, False)

    cdef Py_ssize_t window(self, Py_ssize_t n, size) except -1:
        # How many slots there are to draw n from.
        cdef Py_ssize_t found = self.count
        if size is not None:
            found = min(arrays.integer(size, "window_size", minimum=1), found)
        if found == 0 and n:
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
        return found

    cdef object slots(self, Py_ssize_t n, Py_ssize_t window, seed):
        cdef ChaCha rng
        cdef uint64_t word
        cdef int64_t[::1] to
        if isinstance(seed, np.random.Generator):
            return seed.integers(max(window, 1), size=n)
        word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        index = np.empty(n, np.int64)
        to = index
        if n:
            with nogil:
                chacha_seed(&rng, word)
                chacha_fill_below(&rng, window, 0, &to[0], n)
        return index

    def gather(self, indices, out=None):
        """Return the transitions in these slots as they were pushed, (n,) integers below ``len``; see :meth:`sample`.

        InvalidValueError for a slot that holds nothing.
        """
        return self.taken(slots_given(indices, self.count), out, True)

    cdef tuple further(self):
        # What a sample has besides the columns: name, dtype.
        return () if self.n_step == 1 else (("discounts", FLOAT32),)

    cdef dict taken(self, object index, object out, bint raw):
        # Rows as they were pushed if `raw`, n-step transitions if not.
        cdef Target[MOST_COLUMNS] targets
        cdef const int64_t[::1] at = index
        cdef int64_t[::1] last
        cdef float[::1] discounts
        cdef Py_ssize_t n = index.shape[0]
        cdef bint far = self.n_step > 1 and not raw
        cdef dict batch
        out = without(out, () if far else ("discounts",))
        batch = self.layout.batch((n,), out, targets, self.further() if far else ())
        batch["indices"] = index
        if n:
            if far:
                last, discounts = np.empty(n, np.int64), batch["discounts"]
            with nogil:
                lock_take(&self.lock)
                self.collect(&at[0], n, targets, &last[0] if far else NULL, &discounts[0] if far else NULL)
                lock_leave(&self.lock)
        return batch

    cdef void collect(self, const int64_t* index, Py_ssize_t n, Target* targets, int64_t* last, float* discounts) noexcept nogil:
        # n-step transitions where `last` is given: what the steps lead to comes from the last row of each walk, all else
        # from the first.
        cdef Target[MOST_COLUMNS] late
        cdef Py_ssize_t k
        cdef Walk walk
        cdef Slot* slots = self.layout.slots
        if last != NULL:
            walk.capacity, walk.cursor, walk.turns = self.capacity, self.cursor, self.num_envs
            walk.rewards = slots[self.layout.rewards].offset
            walk.terminated, walk.truncated = slots[self.layout.terminated].offset, slots[self.layout.truncated].offset
            walk.steps, walk.gamma = self.n_step, self.gamma
            walk_steps(self.rows, self.layout.stride, index, n, &walk, last, <float*>targets[self.layout.rewards], discounts)
            for k in range(self.layout.n_slots):
                late[k] = NULL
                if self.layout.terminated <= k < self.layout.extra:
                    late[k], targets[k] = targets[k], NULL
            targets[self.layout.rewards] = NULL
            gather_rows(self.rows, self.layout.stride, last, n, slots, late, self.layout.n_slots)
        gather_rows(self.rows, self.layout.stride, index, n, slots, targets, self.layout.n_slots)

    # -- state

    def clear(self):
        """Forget all transitions; the memory stays."""
        with nogil:
            lock_take(&self.lock)
            self.count = self.cursor = 0
            self.pushed = 0
            self.changes += 1
            lock_leave(&self.lock)

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {"capacity": self.capacity, **self.layout.config, "n_step": self.n_step, "gamma": self.gamma,
                "num_envs": self.num_envs}

    def state_dict(self):
        """Return what is stored, by slot: the columns (len, ...), copies, where the next row goes, and how many came."""
        cdef uint64_t before
        while True:  # again if somebody pushed meanwhile
            before = self.changes
            state = self.snapshot()
            if self.changes == before:
                return state

    cdef dict snapshot(self):
        cdef Py_ssize_t n, cursor
        cdef uint64_t pushed
        with nogil:
            lock_take(&self.lock)
            n, cursor, pushed = self.count, self.cursor, self.pushed
            lock_leave(&self.lock)
        rows = self.taken(np.arange(n), None, True)
        del rows["indices"]
        return {"cursor": cursor, "pushed": pushed, "rows": rows}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a buffer with the same columns and capacity gave; all or nothing."""
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t k, n, cursor
        cdef uint64_t pushed
        if not isinstance(state, dict) or not {"cursor", "pushed", "rows"} <= state.keys():
            raise ConfigError("expected a dict with cursor, pushed and rows")
        n, keep = self.layout.checked_rows(state["rows"])
        cursor = arrays.integer(state["cursor"], "cursor", minimum=0, maximum=self.capacity - 1)
        pushed = arrays.integer(state["pushed"], "pushed", minimum=n, maximum=2**63)
        if n > self.capacity or (n < self.capacity and cursor != n):
            raise ConfigError(f"{n} rows with the cursor at {cursor} do not fit a capacity of {self.capacity}")
        for k, array in enumerate(keep):
            sources[k] = <Source>data(array)
        with nogil:
            lock_take(&self.lock)
            self.cursor = 0
            self.count = 0
            self.put(sources, n)
            self.cursor, self.pushed = cursor, pushed
            lock_leave(&self.lock)

    def __repr__(self):
        return f"{type(self).__name__}(capacity={self.capacity}, len={self.count}, {self.layout.describe()})"


def slots_given(indices, length):
    """Return indices as int64, (n,), each within ``length``."""
    cdef Py_ssize_t k, n = length
    index = indices
    if not (cnp.PyArray_CheckExact(index) and cnp.PyArray_TYPE(index) == cnp.NPY_INT64 and cnp.PyArray_NDIM(index) == 1
            and cnp.PyArray_ISCARRAY_RO(index)):
        index = np.asarray(indices)
        if index.ndim != 1:
            raise ShapeError(f"expected indices of shape (n,), got {index.shape}")
        if index.size and index.dtype.kind not in "iu":
            raise DTypeError(f"expected indices to be integers, got {index.dtype}")
        if index.dtype.kind == "u" and index.size and int(index.max()) >= n:
            raise InvalidValueError(f"expected indices within 0..{n - 1}, got {index.max()}")
        index = np.ascontiguousarray(index, np.int64)
    cdef const int64_t* given = <const int64_t*>cnp.PyArray_DATA(index)
    for k in range(cnp.PyArray_DIM(index, 0)):
        if not 0 <= given[k] < n:
            raise InvalidValueError(f"expected indices within 0..{n - 1}, got {given[k]}")
    return index


def without(out, names):
    """Return ``out`` less the slots that a former sample wrote into it, which are new each time, and these names."""
    if not isinstance(out, dict):
        return out
    return {name: value for name, value in out.items() if name != "indices" and name not in names}


cdef const unsigned char* data(object array):
    if array.nbytes == 0:
        return NULL
    return <const unsigned char*><size_t>array.ctypes.data
