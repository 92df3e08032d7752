"""A ring of transitions in a file: larger than memory, and still there after the process is gone."""

import os

from libc.stdint cimport int64_t, uint64_t

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.buffers.row_store cimport CLOSED, FINE, GONE, RowStore, Status
from rfx.kernels.chacha cimport ChaCha, chacha_fill_below, chacha_seed
from rfx.kernels.lock cimport lock_leave, lock_take
from rfx.kernels.row_file cimport RowFile, major_faults, rows_ask, rows_gather, rows_push

from rfx import arrays
from rfx.buffers import row_file
from rfx.buffers.replay import slots_given, without
from rfx.errors import CodecError, EmptyBufferError, RfxError

cdef object LARGEST_SEED = 2**64 - 1

cdef enum:
    PATIENCE = 64        # samples that ask the disk ahead once one had to wait for it


cdef class MmapReplayBuffer(RowStore):
    """The last ``total_capacity`` transitions in a file, the newest ``hot_capacity`` of them in memory, too.

    Every transition is in the file before ``push`` returns, so that it survives the end of the process, however that
    comes; :meth:`sync` makes it survive a loss of power. The system keeps as much of the file in memory as there is room.

    Parameters
    ----------
    hot_capacity, total_capacity : int
        1 to ``total_capacity``.
    obs_shape, act_shape, obs_dtype, act_dtype, extra
        The columns, as :class:`ReplayBuffer` takes them.
    path : str or path-like
        The file. It is never deleted by the buffer.
    mode : {"create", "open", "open_or_create"}
        "create" refuses a file that exists; "open" goes on with one of the same columns and capacity.
    check : bool
        Whether to read the whole file when it is opened. False leaves that out after a clean close, and trusts the disk.
    repair : bool
        Whether to go on with a damaged file: the longest stretch of whole rows stays, the rest is given up.

    Raises
    ------
    FileExistsError, FileNotFoundError, OSError
        As ``mode`` says, or no disk space: all of it is reserved at creation.
    CodecError
        A foreign or damaged file, which is left as it is. A torn end is no damage: it is cut.
    ConfigError
        A file of other columns or another capacity, which is left as it is.
    InvalidStateError
        Another buffer, here or in another process, has the file open; later, any use after :meth:`close`, or a file that
        somebody else has shortened.

    Notes
    -----
    Slots and draws are those of a :class:`ReplayBuffer` of ``total_capacity``. Safe under threads, like it; a sample that has
    to wait for the disk does so without the GIL. After a fork the child's copy is closed. docs/buffers.md describes the file.
    """

    cdef Py_ssize_t asking

    def __init__(self, hot_capacity, total_capacity, obs_shape, act_shape, path, *, obs_dtype=np.float32, act_dtype=np.float32,
                 extra=None, mode="create", check=True, repair=False):
        pass

    @classmethod
    def open(cls, path, hot_capacity=None, *, check=True, repair=False):
        """Open a file with the columns and the capacity that it has itself; see the class for errors.

        ``hot_capacity`` is the one that the file was made with, or another one.
        """
        head = row_file.peek(os.fsdecode(path))
        hot = head.hot_capacity if hot_capacity is None else hot_capacity
        try:
            config = {name: head.text["config"][name] for name in ("obs_shape", "act_shape", "obs_dtype", "act_dtype", "extra")}
            Layout(*config.values())
        except (RfxError, TypeError, KeyError) as error:
            raise CodecError(f"the beginning of {path} is damaged: {error}") from error
        return cls(hot, head.capacity, path=path, mode="open", check=check, repair=repair, **config)

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None):
        """Store one transition; returns the slot it went to. It is in the file when this returns.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError, ConfigError
            Something does not fit its column; nothing is stored then.
        """
        cdef Entry entry
        _keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        return self.put(entry.sources, 1)

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None):
        """Store n transitions, given as arrays (n, ...); returns the slot of the first, the others follow in a ring.

        They go to the file in their order: of a batch cut short by the end of the process the first ones are there.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n
        _keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
        return self.put(sources, n)

    cdef Py_ssize_t put(self, const Source* sources, Py_ssize_t n) except -1:
        cdef Py_ssize_t first
        cdef Status status
        with nogil:
            lock_take(&self.lock)
            status = self.state()
            first = self.file.cursor
            if status == FINE:
                rows_push(&self.file, <const unsigned char**>sources, n, self.layout.slots, self.layout.n_slots)
            lock_leave(&self.lock)
        self.refuse(status)
        return first

    def clear(self):
        """Forget all transitions, here and in the file."""
        cdef Status status
        with nogil:
            lock_take(&self.lock)
            status = self.state()
            if status == FINE:
                self.base = self.file.newest
                self.file.count = self.file.cursor = 0
                self.put_state(False)
            lock_leave(&self.lock)
        self.refuse(status)

    # -- out

    def sample(self, batch_size, seed, out=None):
        """Draw transitions uniformly, with replacement.

        Parameters
        ----------
        batch_size : int
            At least 0.
        seed : int or numpy.random.Generator
            The same integer draws the same slots on every machine, those of a :class:`ReplayBuffer` of this capacity.
        out : dict of str to ndarray, optional
            Arrays (batch_size, ...) to write into, one for each column.

        Returns
        -------
        dict of str to ndarray
            ``obs``, ``actions``, ``rewards``, ``terminated``, ``truncated``, ``next_obs`` and the extra columns, copies;
            ``indices``, the slots, int64.

        Raises
        ------
        EmptyBufferError
            There is nothing to draw from.
        """
        return self.taken(self.drawn(batch_size, self.file.count, seed), out)

    def sample_recent(self, batch_size, window_size, seed, out=None):
        """Draw from the ``window_size`` newest transitions, in memory if they are hot ones; see :meth:`sample`."""
        cdef Py_ssize_t window = min(arrays.integer(window_size, "window_size", minimum=1), self.file.count)
        back = self.drawn(batch_size, window, seed)
        return self.taken((self.file.cursor - 1 - back) % self.file.capacity, out)

    cdef object drawn(self, batch_size, Py_ssize_t window, seed):
        cdef ChaCha rng
        cdef uint64_t word
        cdef int64_t[::1] to
        cdef Py_ssize_t n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        if n and window == 0:
            self.refuse(CLOSED if self.closed else FINE)
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
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
        """Return the transitions in these slots, (n,) integers below ``len``; see :meth:`sample`."""
        return self.taken(slots_given(indices, self.file.count), out)

    cdef dict taken(self, object index, object out):
        cdef Target[MOST_COLUMNS] targets
        cdef const int64_t[::1] at = index
        cdef Py_ssize_t n = at.shape[0]
        cdef Status status
        cdef dict batch = self.layout.batch((n,), without(out, ()), targets, ())
        batch["indices"] = index
        with nogil:
            status = self.arrive()
            if status == FINE:
                status = self.collect(&at[0], n, targets) if n else FINE
                self.depart()
        self.refuse(status)
        return batch

    cdef Status collect(self, const int64_t* index, Py_ssize_t n, Target* targets) noexcept nogil:
        # Once the disk had to be waited for, rows are asked for before the lock, all at once, for a while.
        cdef RowFile seen
        cdef int64_t waits
        cdef bint done, ahead
        lock_take(&self.lock)
        seen = self.file
        ahead = self.asking > 0
        self.asking -= ahead
        lock_leave(&self.lock)
        if ahead:
            rows_ask(&seen, index, n)
        waits = major_faults()
        lock_take(&self.lock)
        done = rows_gather(&self.file, index, n, self.layout.slots, targets, self.layout.n_slots)
        if (major_faults() - waits) * 16 > n:
            self.asking = PATIENCE
        lock_leave(&self.lock)
        return FINE if done else GONE

    # -- about it

    def __len__(self):
        return self.file.count

    @property
    def capacity(self):
        """Most transitions in the file."""
        return self.file.capacity

    @property
    def hot_capacity(self):
        """Most transitions in memory."""
        return self.file.hot_capacity

    @property
    def pushed(self):
        """How many transitions the file has ever been given, over all the times it was open; those cut are not counted."""
        return self.file.newest

    @property
    def schema(self):
        """The columns: name, shape and dtype of each."""
        return self.layout.schema

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {"hot_capacity": self.hot_capacity, "total_capacity": self.capacity, **self.layout.config, "path": self.path}

    def __repr__(self):
        held = "closed" if self.closed else f"len={self.file.count}"
        return (f"MmapReplayBuffer({self.path!r}, hot_capacity={self.hot_capacity}, total_capacity={self.capacity}, {held}, "
                f"{self.layout.describe()})")
