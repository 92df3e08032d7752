"""A file of rows that outlives its process: how it is opened, recovered, written to the disk and closed.

Not for users: the memory-mapped buffer stands on it.
"""

import os
import weakref

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

import numpy as np

from rfx.buffers.layout cimport Layout
from rfx.kernels.lock cimport Lock, lock_leave, lock_take
from rfx.kernels.ring cimport rows_alloc
from rfx.kernels.row_file cimport (
    Found,
    advise_in_order,
    close_handle,
    file_size,
    map_file,
    map_flush,
    map_sync,
    nap,
    row_good,
    row_open,
    row_seal,
    row_serial,
    rows_drop,
    rows_find,
    rows_scan,
    rows_warm,
    unlock_handle,
    unmap_file,
)

from rfx import arrays
from rfx.buffers import row_file
from rfx.errors import CodecError, ConfigError, InvalidStateError

cdef object MODES = ("create", "open", "open_or_create")
cdef object OPEN = weakref.WeakSet()
cdef str ADVICE = "; repair=True goes on with the longest stretch of whole rows"

cdef enum:
    HEAD = 16            # bytes of a row before its columns: its number and its checksum
    PAGE = 4096
    RECORD = 64          # of the state: number, checksum, base, promised, clean
    APART = 512          # the two records lie in sectors of their own
    CHUNK = 1 << 26      # bytes that are read between two looks at Ctrl+C


cdef class RowStore:
    """The file behind :class:`MmapReplayBuffer`, which says what the parameters are."""

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
        if self.file.hot_capacity <= (2**62) // self.file.stride:
            self.file.hot = rows_alloc(<size_t>self.file.hot_capacity * self.file.stride)
        if self.file.hot == NULL:
            raise MemoryError(f"{self.file.hot_capacity} rows of {self.file.stride} bytes do not fit")
        OPEN.add(self)
        made = self.find(mode)
        self.attach(bool(repair))
        self.recover(made, bool(check), bool(repair))

    def __dealloc__(self):
        self.release(True)

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

    cdef int attach(self, bint repair) except -1:
        cdef int64_t found = file_size(self.handle)
        if found != <int64_t>self.nbytes:
            if found > <int64_t>self.nbytes or not repair:
                advice = ADVICE if found < <int64_t>self.nbytes else ""
                raise CodecError(f"expected {self.path} to have {self.nbytes} bytes, it has {found}{advice}")
            row_file.reserve(self.handle, self.nbytes, self.path)
        self.map = map_file(self.handle, self.nbytes)
        if self.map == NULL:
            raise OSError(c_errno, f"cannot map: {os.strerror(c_errno)}", self.path)
        self.file.rows = self.map + self.rows_at
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
            if self.generation == 1:
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
            last = max(found.newest, self.promised)
            raise CodecError(f"{self.path} is damaged: of its rows {found.lowest} to {last}, the newest that are whole are "
                             f"{found.first} to {found.newest}, and it should have no gap{ADVICE}")
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
        # Rows first, then the state that speaks of them.
        cdef uint64_t newest
        with nogil:
            lock_take(&self.lock)
            newest = self.file.newest
            lock_leave(&self.lock)
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
            self.release(True)

    cdef void release(self, bint unlock) noexcept:
        # The state keeps saying that the file is open, unless `settle` has said otherwise.
        if self.map != NULL:
            unmap_file(self.map, self.nbytes)
        if self.handle >= 0:
            if unlock:
                unlock_handle(self.handle)
            close_handle(self.handle)
        free(self.file.hot)
        self.map, self.file.hot, self.handle, self.file.count = NULL, NULL, -1, 0

    cdef void abandon(self):
        # In a forked child: the file's lock is the parent's, and a lock that another thread had is never left.
        memset(&self.lock, 0, sizeof(Lock))
        self.closing = True
        self.release(False)

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

    cdef Status arrive(self) noexcept nogil:
        # If this gives FINE, the mapping stays until `depart`.
        cdef Status status
        lock_take(&self.lock)
        status = self.state()
        self.users += status == FINE
        lock_leave(&self.lock)
        return status

    cdef int enter(self) except -1:
        cdef Status status
        with nogil:
            status = self.arrive()
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

    def verify(self):
        """Read every row and compare it with its checksum; returns how many. CodecError for the first that is damaged."""
        cdef uint64_t at = 0, newest, bad = 0
        cdef Py_ssize_t n = 0
        self.enter()
        try:
            newest = self.file.newest
            while at < newest and not bad:
                with nogil:
                    bad = self.bad_row(&at, newest, &n)
                PyErr_CheckSignals()
                if self.closing:
                    self.refuse(CLOSED)
        finally:
            with nogil:
                self.depart()
        if bad:
            raise CodecError(f"row {bad} of {self.path} is damaged")
        return n

    cdef uint64_t bad_row(self, uint64_t* at, uint64_t newest, Py_ssize_t* n) noexcept nogil:
        # The first damaged one among some rows after `at`, or 0; others may be pushed between two calls.
        cdef uint64_t bad = 0, last, slots = <uint64_t>self.file.capacity + 1
        cdef unsigned char* row
        lock_take(&self.lock)
        at[0] = max(at[0], self.lowest(self.file.newest) - 1)
        last = min(at[0] + max(CHUNK // 64 // self.file.stride, 1), newest)
        while at[0] < last and not bad:
            row = self.file.rows + <Py_ssize_t>(at[0] % slots) * self.file.stride
            at[0] += 1
            n[0] += 1
            if not row_good(row, self.file.stride, at[0]):
                bad = at[0]
        lock_leave(&self.lock)
        return bad

    def __reduce__(self):
        raise InvalidStateError(f"a buffer in a file is not pickled: close it and open {self.path} where it is needed")


def described(columns):
    """Write columns as a file lists them, on one line."""
    return ", ".join(f"{c['name']}({', '.join(map(str, c['shape']))}) {c['dtype']}" for c in columns)


def _after_fork():
    # The child shares the file and its lock with the parent, which goes on; it must not write as well.
    for buffer in list(OPEN):
        (<RowStore>buffer).abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
