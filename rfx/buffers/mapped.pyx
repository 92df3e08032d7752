"""A ring of transitions in a file: larger than memory, and still there after the process is gone."""

import os
import weakref

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.kernels.chacha cimport ChaCha, chacha_fill_below, chacha_seed
from rfx.kernels.lock cimport Lock, lock_leave, lock_take
from rfx.kernels.ring cimport rows_alloc
from rfx.kernels.row_file cimport (
    Found,
    RowFile,
    advise_in_order,
    close_handle,
    file_size,
    major_faults,
    map_file,
    map_flush,
    map_sync,
    nap,
    row_good,
    row_open,
    row_seal,
    row_serial,
    rows_ask,
    rows_drop,
    rows_find,
    rows_gather,
    rows_push,
    rows_scan,
    rows_warm,
    unmap_file,
)

from rfx import arrays
from rfx.buffers import row_file
from rfx.buffers.replay import slots_given, without
from rfx.errors import CodecError, ConfigError, EmptyBufferError, InvalidStateError, RfxError

cdef object LARGEST_SEED = 2**64 - 1
cdef object MODES = ("create", "open", "open_or_create")
cdef object OPEN = weakref.WeakSet()
cdef str ADVICE = "; repair=True goes on with the longest stretch of whole rows"

cdef enum:
    HEAD = 16            # bytes of a row before its columns: its number and its checksum
    PAGE = 4096
    RECORD = 64          # of the state: number, checksum, base, promised, clean
    APART = 512          # the two records lie in sectors of their own
    CHUNK = 1 << 26      # bytes that are checked between two looks at Ctrl+C
    PATIENCE = 64        # samples that ask the disk ahead once one had to wait for it

cdef enum Status:
    FINE
    CLOSED
    SHORT
    GONE


cdef class MmapReplayBuffer:
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

    cdef readonly Layout layout
    cdef readonly str path
    cdef RowFile file
    cdef unsigned char* map
    cdef size_t nbytes
    cdef Py_ssize_t rows_at
    cdef int handle
    cdef uint64_t base           # rows up to this number are forgotten
    cdef uint64_t promised       # rows up to this number are on the disk
    cdef uint64_t generation     # of the state in the file
    cdef Py_ssize_t asking
    cdef Py_ssize_t users        # calls that work on the mapping without the lock
    cdef bint closing
    cdef Lock lock
    cdef object __weakref__

    def __cinit__(self, hot_capacity, total_capacity, obs_shape, act_shape, path, *, obs_dtype=np.float32, act_dtype=np.float32,
                  extra=None, mode="create", check=True, repair=False):
        self.handle = -1
        self.file.capacity = arrays.integer(total_capacity, "total_capacity", minimum=1, maximum=2**48)
        self.file.hot_capacity = arrays.integer(hot_capacity, "hot_capacity", minimum=1, maximum=self.file.capacity)
        if mode not in MODES:
            raise ConfigError(f"expected mode to be one of {', '.join(MODES)}, got {mode!r}")
        if os.name != "posix":
            raise ConfigError(f"expected a POSIX system, which can lock and map a file, got {os.name}")
        self.path = os.path.abspath(os.fsdecode(path))
        self.layout = Layout(obs_shape, act_shape, obs_dtype, act_dtype, extra, HEAD)
        self.file.stride = self.layout.stride
        made = self.find(mode)
        self.attach(made, bool(repair))
        self.recover(made, bool(check), bool(repair))
        OPEN.add(self)

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

    def __dealloc__(self):
        self.release()

    # -- the file

    cdef bint find(self, mode) except -1:
        # Opens the file or makes it; True if it is new.
        cdef Py_ssize_t k
        columns = row_file.columns_of(self.layout.schema, [self.layout.slots[k].offset for k in range(self.layout.n_slots)])
        start = row_file.packed(
            self.file.capacity, self.file.hot_capacity, self.file.stride, self.layout.config, columns)
        self.rows_at = len(start)
        self.nbytes = self.rows_at + (self.file.capacity + 1) * self.file.stride
        if mode == "create" or (mode == "open_or_create" and not os.path.lexists(self.path)):
            try:
                self.handle = row_file.create(self.path, start, self.nbytes)
                return True
            except FileExistsError:
                if mode == "create":
                    raise
        self.handle = row_file.reopen(self.path)
        head = row_file.read_head(self.handle, self.path)
        if (head.capacity, head.stride, head.text["columns"]) != (self.file.capacity, self.file.stride, columns):
            raise ConfigError(f"expected a file of {self.file.capacity} rows of {described(columns)}; "
                              f"{self.path} has {head.capacity} of {described(head.text['columns'])}")
        self.rows_at, self.nbytes = head.rows_at, head.nbytes
        return False

    cdef int attach(self, bint made, bint repair) except -1:
        cdef int64_t found = file_size(self.handle)
        if found != <int64_t>self.nbytes:
            if found > <int64_t>self.nbytes or not repair:
                raise CodecError(f"expected {self.path} to have {self.nbytes} bytes, it has {found}{ADVICE if found < <int64_t>self.nbytes else ''}")
            row_file.reserve(self.handle, self.nbytes)
        self.map = map_file(self.handle, self.nbytes)
        if self.map == NULL:
            raise OSError(c_errno, f"cannot map: {os.strerror(c_errno)}", self.path)
        self.file.rows = self.map + self.rows_at
        self.file.hot = rows_alloc(<size_t>self.file.hot_capacity * self.file.stride)
        if self.file.hot == NULL:
            raise MemoryError(f"{self.file.hot_capacity} rows of {self.file.stride} bytes do not fit")
        return 0

    cdef unsigned char* record(self, uint64_t generation) noexcept nogil:
        return self.map + self.rows_at - PAGE + (generation & 1) * APART

    cdef void put_state(self, bint clean) noexcept nogil:
        # The state goes over the older of its two records, so that one of them is whole at any moment.
        cdef unsigned char* record
        cdef uint64_t* words
        self.generation += 1
        record = self.record(self.generation)
        words = <uint64_t*>record
        row_open(record)
        words[2], words[3], words[4] = self.base, self.promised, clean
        row_seal(record, RECORD, self.generation)

    cdef int get_state(self, bint repair) except -1:
        # Returns whether the file was closed properly.
        cdef uint64_t k, generation
        cdef uint64_t* words
        cdef bint clean = False
        for k in range(2):
            generation = row_serial(self.record(k))
            if generation == 0:
                continue
            if (generation & 1) != k or not row_good(self.record(k), RECORD, generation):
                if not repair:
                    raise CodecError(f"the state in {self.path} is damaged{ADVICE}")
                continue
            if generation > self.generation:
                words = <uint64_t*>self.record(k)
                self.generation, self.base, self.promised, clean = generation, words[2], words[3], words[4] != 0
        return clean

    cdef int recover(self, bint made, bint check, bint repair) except -1:
        # Which rows there are. Nothing is written before that is certain.
        cdef Found found
        cdef bint clean = self.get_state(repair)
        cdef bint drop = False, whole
        cdef uint64_t lowest
        found.first, found.newest = 1, 0
        if clean and not check:
            found.newest = self.promised
            found.first = self.lowest(found.newest)
        elif not made:
            drop = self.search(&found, clean, repair)
        lowest = self.lowest(found.newest)
        if found.first != lowest:
            self.base = found.first - 1
        self.promised = min(self.promised, found.newest)
        self.file.newest, self.file.count = found.newest, found.newest + 1 - found.first
        self.file.cursor = (found.newest - self.base) % <uint64_t>self.file.capacity
        with nogil:
            whole = rows_warm(&self.file)
        if not whole:
            raise CodecError(f"{self.path} is damaged: its newest rows are not whole{ADVICE}")
        with nogil:
            if drop:
                rows_drop(&self.file, found.newest)
            advise_in_order(self.map, self.nbytes, False)
            self.put_state(False)
        self.wait(self.rows_at)
        return 0

    cdef uint64_t lowest(self, uint64_t newest) noexcept nogil:
        # The number of the oldest row if nothing is missing.
        cdef uint64_t capacity = self.file.capacity
        return max(self.base, newest - min(newest, capacity)) + 1

    cdef bint search(self, Found* found, bint clean, bint repair) except -1:
        # Reads all rows; returns whether some have to be dropped.
        cdef Py_ssize_t at, n, step = max(CHUNK // self.file.stride, 1)
        cdef uint64_t[::1] serials = np.zeros(self.file.capacity + 1, np.uint64)
        advise_in_order(self.map, self.nbytes, True)
        for at in range(0, serials.shape[0], step):
            n = min(step, serials.shape[0] - at)
            with nogil:
                rows_scan(&self.file, at, n, &serials[at])
            PyErr_CheckSignals()
        with nogil:
            rows_find(&serials[0], self.file.capacity, self.base, found)
        if not (found.others or found.newest < self.promised or (clean and found.first != found.lowest)
                or (self.generation == 0 and found.newest)):
            return False
        if not repair:
            raise CodecError(f"{self.path} is damaged: of its rows {found.lowest} to {max(found.newest, self.promised)}, the newest "
                             f"that are whole are {found.first} to {found.newest}, and it should have no gap{ADVICE}")
        found.first, found.newest = found.best_first, found.best_last
        return True

    cdef int wait(self, size_t nbytes) except -1:
        # Until the file's beginning, so far, is on the disk.
        cdef int failed, why
        with nogil:
            failed = map_sync(self.map, nbytes)
            why = c_errno
        if failed:
            raise OSError(why, os.strerror(why), self.path)
        return 0

    def flush(self):
        """Start writing to the disk what has not been written, and do not wait; OSError where that fails."""
        cdef int failed, why
        self.enter()
        with nogil:
            failed = map_flush(self.handle, self.map, self.nbytes)
            why = c_errno
            self.depart()
        if failed:
            raise OSError(why, os.strerror(why), self.path)

    def sync(self):
        """Wait until every transition pushed so far is on the disk and survives a loss of power; OSError where that fails."""
        self.enter()
        try:
            self.settle(False)
        finally:
            with nogil:
                self.depart()

    cdef int settle(self, bint clean) except -1:
        cdef uint64_t newest = self.file.newest
        self.wait(self.nbytes)
        with nogil:
            lock_take(&self.lock)
            self.promised = max(self.promised, newest)
            self.put_state(clean)
            lock_leave(&self.lock)
        return self.wait(self.rows_at)

    def close(self):
        """Write everything to the disk and let the file go. Closing again does nothing; any other use is an error then.

        OSError where the disk refuses; the file is let go all the same.
        """
        cdef bint mine
        cdef Py_ssize_t users = 1
        with nogil:
            lock_take(&self.lock)
            mine = self.map != NULL and not self.closing
            self.closing = True
            lock_leave(&self.lock)
            while mine and users:
                lock_take(&self.lock)
                users = self.users
                lock_leave(&self.lock)
                if users:
                    nap()
        if not mine:
            return
        try:
            if file_size(self.handle) >= <int64_t>self.nbytes:
                self.settle(True)
        finally:
            self.release()

    cdef void release(self) noexcept:
        # The state keeps saying that the file is open, unless `settle` has said otherwise.
        if self.map != NULL:
            unmap_file(self.map, self.nbytes)
        if self.handle >= 0:
            close_handle(self.handle)
        free(self.file.hot)
        self.map, self.file.hot, self.handle, self.file.count = NULL, NULL, -1, 0

    cdef void abandon(self):
        # In a forked child, where a lock that another thread had is never left.
        memset(&self.lock, 0, sizeof(Lock))
        self.closing = True
        self.release()

    @property
    def closed(self):
        """Whether the buffer has let its file go."""
        return self.map == NULL or self.closing

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    cdef Status state(self) noexcept nogil:
        # With the lock.
        if self.map == NULL or self.closing:
            return CLOSED
        return SHORT if file_size(self.handle) < <int64_t>self.nbytes else FINE

    cdef int enter(self) except -1:
        # The mapping stays until `depart`.
        cdef Status status
        with nogil:
            lock_take(&self.lock)
            status = self.state()
            self.users += status == FINE
            lock_leave(&self.lock)
        return self.refuse(status)

    cdef void depart(self) noexcept nogil:
        lock_take(&self.lock)
        self.users -= 1
        lock_leave(&self.lock)

    cdef int refuse(self, Status status) except -1:
        if status == CLOSED:
            raise InvalidStateError(f"the buffer of {self.path} is closed")
        if status == SHORT:
            raise InvalidStateError(f"somebody has shortened {self.path}: it should have {self.nbytes} bytes")
        if status == GONE:
            raise InvalidStateError("the buffer was cleared while a sample was drawn")
        return 0

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None):
        """Store one transition; returns the slot it went to. It is in the file when this returns.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError, ConfigError
            Something does not fit its column; nothing is stored then.
        """
        cdef Entry entry
        keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        return self.put(entry.sources, 1)

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None):
        """Store n transitions, given as arrays (n, ...); returns the slot of the first, the others follow in a ring.

        They go to the file in their order: of a batch cut short by the end of the process the first ones are there.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n
        keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
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
        self.enter()
        with nogil:
            lock_take(&self.lock)
            self.base = self.file.newest
            self.file.count = self.file.cursor = 0
            self.put_state(False)
            self.users -= 1
            lock_leave(&self.lock)

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
        self.enter()
        with nogil:
            status = self.collect(&at[0], n, targets) if n else FINE
            self.depart()
        self.refuse(status)
        return batch

    cdef Status collect(self, const int64_t* index, Py_ssize_t n, Target* targets) noexcept nogil:
        # Once the disk had to be waited for, rows are asked for ahead of the lock, all at once, for a while.
        cdef RowFile seen
        cdef int64_t waits = 0
        cdef bint done
        if self.asking:
            lock_take(&self.lock)
            seen = self.file
            lock_leave(&self.lock)
            rows_ask(&seen, index, n)
        else:
            waits = major_faults()
        lock_take(&self.lock)
        done = rows_gather(&self.file, index, n, self.layout.slots, targets, self.layout.n_slots)
        if self.asking:
            self.asking -= 1
        elif (major_faults() - waits) * 16 > n:
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

    def verify(self):
        """Read every row and compare it with its checksum; returns how many. CodecError for the first that is damaged."""
        cdef uint64_t k = 0, newest, lowest, last, bad = 0
        cdef Py_ssize_t n = 0, step = max(CHUNK // 64 // self.file.stride, 1)
        self.enter()
        newest = self.file.newest
        try:
            while k < newest and not bad:
                with nogil:
                    lock_take(&self.lock)
                    lowest = self.lowest(self.file.newest)
                    k = max(k, lowest - 1)
                    last = min(k + <uint64_t>step, newest)
                    while k < last and not bad:
                        k += 1
                        n += 1
                        if not row_good(self.file.rows + <Py_ssize_t>((k - 1) % <uint64_t>(self.file.capacity + 1)) * self.file.stride,
                                        self.file.stride, k):
                            bad = k
                    lock_leave(&self.lock)
                PyErr_CheckSignals()
        finally:
            with nogil:
                self.depart()
        if bad:
            raise CodecError(f"row {bad} of {self.path} is damaged")
        return n

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {"hot_capacity": self.hot_capacity, "total_capacity": self.capacity, **self.layout.config, "path": self.path}

    def __reduce__(self):
        raise InvalidStateError(f"a buffer in a file is not pickled: close it and open {self.path} where it is needed")

    def __repr__(self):
        held = "closed" if self.closed else f"len={self.file.count}"
        return (f"MmapReplayBuffer({self.path!r}, hot_capacity={self.hot_capacity}, total_capacity={self.capacity}, {held}, "
                f"{self.layout.describe()})")


def described(columns):
    """Write columns as a file lists them, on one line."""
    return ", ".join(f"{c['name']}({', '.join(map(str, c['shape']))}) {c['dtype']}" for c in columns)


def _after_fork():
    # The child shares the file and its lock with the parent, which goes on; it must not write as well.
    for buffer in list(OPEN):
        (<MmapReplayBuffer>buffer).abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
