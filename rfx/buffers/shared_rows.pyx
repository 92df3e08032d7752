"""Rows of transitions that many threads and processes write and read at once: their memory, and who may use it when.

Not for users: :class:`ConcurrentReplayBuffer` is made of it. The protocol of a row is in rfx/kernels/seqlock.h.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import json
import os
import weakref

import numpy as np

from rfx.kernels.lock cimport lock_leave, lock_take
from rfx.kernels.seqlock cimport (
    BUSY, LANES, Head, Lane, committed_count, lane_get, rest, row_put_waiting, row_wait, row_words, rows_find, rows_get,
    rows_put, rows_void, this_process, word_add, word_load, word_store, word_swap)

from rfx.buffers import files, segments
from rfx.errors import CodecError, ConfigError, InvalidStateError

cdef enum:
    ROUNDS = 640       # of waiting before signals are looked at: some 50 ms
    PAGE = 4096
    VERSION = 1

cdef uint64_t MAGIC = 0x0072696E67786672   # "rfxring"
cdef object LIVE = weakref.WeakSet()


@cython.no_gc_clear
cdef class SharedRows:
    """The memory of a ring, open until :meth:`close`. Made empty: ``make`` or ``find`` come next."""

    cdef int make(self, Layout layout, Py_ssize_t capacity, bint shared, object name) except -1:
        # New memory; the magic number comes last, so that nobody attaches before all is there.
        cdef Head* head
        described = json.dumps(files.plain(layout.config)).encode()
        first_row = rows_begin(len(described))
        size = first_row + int(capacity) * layout.stride
        if size >= 2**62:
            raise MemoryError(f"{capacity} rows of {layout.stride} bytes do not fit")
        self.take_over(segments.new_segment(size, name) if shared else segments.own_segment(size), layout, described, capacity)
        head = self.ring.head
        head.version, head.capacity, head.stride, head.lanes = VERSION, capacity, layout.stride, LANES
        head.first_row, head.schema_bytes, head.space = first_row, len(described), pid_namespace()
        memcpy(<unsigned char*>(self.ring.lanes + LANES), <const unsigned char*>described, len(described))
        word_store(&head.magic, MAGIC)
        return 0

    cdef int find(self, object name) except -1:
        segment = segments.old_segment(name)
        layout, described, capacity = read_header(segment.buf, name)
        return self.take_over(segment, layout, described, capacity)

    cdef int take_over(self, object segment, Layout layout, bytes described, Py_ssize_t capacity) except -1:
        cdef Py_ssize_t k, last = sizeof(uint64_t)
        PyObject_GetBuffer(segment.buf, &self.view, PyBUF_WRITABLE)
        self.segment, self.layout, self.described, self.capacity = segment, layout, described, capacity
        for k in range(layout.n_slots):
            last = max(last, layout.slots[k].offset + layout.slots[k].size)
        self.ring.head = <Head*>self.view.buf
        self.ring.lanes = <Lane*>(self.ring.head + 1)
        self.ring.rows = <unsigned char*>self.view.buf + rows_begin(len(described))
        self.ring.capacity, self.ring.stride = capacity, layout.stride
        self.ring.words = (last + 7) // 8
        self.ring.me = this_process()
        self.ring.alone = segment.name is None
        self.mapped = True
        LIVE.add(self)
        word_store(&self.opened, 1)
        return 0

    def __dealloc__(self):
        if self.mapped:
            if this_process() == self.ring.me:
                self.give_lanes()
            PyBuffer_Release(&self.view)

    cdef void give_lanes(self) noexcept nogil:
        cdef uint64_t k
        for k in range(self.n_own):
            word_store(&self.ring.lanes[self.own[k]].identity, 0)
        self.n_own = 0

    cdef void forked(self) noexcept:
        # In a child: its lanes are the parent's, and so are the threads that were in the middle of something.
        self.ring.me = this_process()
        self.n_own = self.readers = self.lock = 0
        for k in range(OWN):
            self.taken[k] = 0

    # -- open and closed

    @property
    def shared(self):
        """Whether other processes can see it."""
        return not self.ring.alone

    @property
    def name(self):
        """What to attach by; None unless shared."""
        return None if self.segment is None else self.segment.name

    @property
    def closed(self):
        """Whether :meth:`close` was called."""
        return not word_load(&self.opened)

    @property
    def schema(self):
        """The columns: name, shape and dtype of each."""
        self.check()
        return self.layout.schema

    def close(self):
        """Give the memory back, after calls of other threads have ended; those that come later are refused.

        What is shared stays for the other processes, and for :meth:`attach` until :meth:`unlink`. Where a call has not
        ended after a second (it was interrupted by the one that closes) the memory goes when this object does.
        """
        cdef uint64_t k, free_, was, patience = 10000
        with nogil:
            lock_take(&self.lock)
            was = self.opened
            word_store(&self.opened, 0)
            word_add(&self.readers, 0)   # nothing that is read below was read before this
            lock_leave(&self.lock)
            if was:
                if this_process() != self.ring.me:
                    self.n_own = 0
                for k in range(self.n_own):
                    free_ = 0
                    while patience and not word_swap(&self.taken[k], &free_, 1):
                        free_ = 0
                        patience -= 1
                        rest(100)
                while patience and word_load(&self.readers):
                    patience -= 1
                    rest(100)
        if was and patience:
            self.give_back()

    cdef int give_back(self) except -1:
        self.mapped = False
        self.give_lanes()
        PyBuffer_Release(&self.view)
        self.segment.close()
        return 0

    def unlink(self):
        """Take the name of the shared memory away: nobody can attach any more, who is attached goes on.

        The memory is freed when the last has closed. InvalidStateError if the buffer is not shared.
        """
        if self.name is None:
            raise InvalidStateError("expected a shared buffer, this one has no name to take away")
        self.segment.unlink()

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, *_):
        """Close, and unlink where the buffer was made."""
        self.close()
        if self.shared and self.segment.maker == os.getpid():
            self.unlink()

    cdef int check(self) except -1:
        if not word_load(&self.opened):
            raise InvalidStateError("expected an open ConcurrentReplayBuffer, this one is closed")
        return 0

    cdef int enter(self) except -1:
        word_add(&self.readers, 1)
        if not word_load(&self.opened):
            self.leave()
            self.check()
        return 0

    cdef void leave(self) noexcept nogil:
        word_add(&self.readers, <uint64_t>-1)

    def __len__(self):
        cdef Py_ssize_t n
        self.enter()
        n = committed_count(&self.ring)
        self.leave()
        return min(n, self.capacity)

    # -- rows in

    cdef Py_ssize_t hold(self) except -1:
        # A lane for this thread, by its place in `own`; `taken` of it goes back to 0 afterwards.
        cdef uint64_t k, free_
        cdef int lane
        while True:
            for k in range(word_load(&self.n_own)):
                free_ = 0
                if not word_load(&self.taken[k]) and word_swap(&self.taken[k], &free_, 1):
                    if word_load(&self.opened):
                        return k
                    word_store(&self.taken[k], 0)
            PyErr_CheckSignals()
            self.check()
            with nogil:
                lane = 0
                lock_take(&self.lock)
                if self.opened and self.n_own < OWN:
                    lane = lane_get(&self.ring)
                    if lane >= 0:
                        self.own[self.n_own] = lane
                        word_store(&self.n_own, self.n_own + 1)
                else:
                    rest(100)
                lock_leave(&self.lock)
            if lane < 0:
                raise InvalidStateError(f"expected at most {LANES} threads of living processes to push")

    cdef Py_ssize_t put(self, const Source* sources, Py_ssize_t n) except -1:
        cdef Py_ssize_t k = self.hold()
        cdef uint64_t ticket
        try:
            ticket = word_add(&self.ring.head.tickets, n)
            self.put_under(k, ticket, n - self.capacity if n > self.capacity else 0, n, sources)
        finally:
            word_store(&self.taken[k], 0)
        return ticket % self.ring.capacity

    cdef int put_under(self, Py_ssize_t k, uint64_t ticket, Py_ssize_t first, Py_ssize_t n, const Source* sources) except -1:
        cdef uint64_t* words = <uint64_t*>malloc(self.ring.words * sizeof(uint64_t))
        if words == NULL:
            raise MemoryError()
        try:
            while first < n:
                with nogil:
                    first = rows_put(&self.ring, self.own[k], ticket, first, n, <const unsigned char**>sources,
                                     self.layout.slots, self.layout.n_slots, words, ROUNDS)
                PyErr_CheckSignals()
        finally:
            free(words)
        return 0

    cdef int put_waiting(self, Py_ssize_t k, uint64_t slot, uint64_t turn, const uint64_t* words) except -1:
        cdef bint done = False
        while not done:
            with nogil:
                done = row_put_waiting(&self.ring, self.own[k], slot, turn, words, ROUNDS)
            PyErr_CheckSignals()
        return 0

    cdef uint64_t begin_turn(self, uint64_t n) noexcept nogil:
        # Take n tickets that begin a turn; the first of them.
        cdef uint64_t was = word_load(&self.ring.head.tickets), first
        while True:
            first = (was + self.ring.capacity - 1) // self.ring.capacity * self.ring.capacity
            if word_swap(&self.ring.head.tickets, &was, first + n):
                return first

    cdef int forget(self, Py_ssize_t k, uint64_t ticket) except -1:
        # Make all rows vacant that are older than this ticket, which begins a turn, and count from it.
        cdef Py_ssize_t slot = 0
        cdef uint64_t was
        while ticket and slot < self.capacity:
            with nogil:
                slot = rows_void(&self.ring, self.own[k], ticket, slot, ROUNDS)
            PyErr_CheckSignals()
        was = word_load(&self.ring.head.origin)
        while was < ticket and not word_swap(&self.ring.head.origin, &was, ticket):
            pass
        word_store(&self.ring.head.earlier, 0)
        return 0

    # -- rows out

    cdef Py_ssize_t window(self, size, Py_ssize_t* newest) except -1:
        # How many slots there are to draw from; `newest` is the last pushed where these are the newest, -1 otherwise.
        cdef uint64_t origin = word_load(&self.ring.head.origin)
        cdef uint64_t tickets = word_load(&self.ring.head.tickets)
        cdef Py_ssize_t found = min(tickets - origin, self.ring.capacity) if tickets > origin else 0
        newest[0] = -1
        if size is not None and found:
            newest[0] = (tickets - 1) % self.ring.capacity
            found = min(size, found)
        return found

    cdef object listed(self, Py_ssize_t newest, Py_ssize_t window, int least):
        # The slots of the window whose state is at least this one: BUSY or COMMITTED.
        cdef int64_t[::1] to
        cdef Py_ssize_t n = 0
        found = np.empty(window, np.int64)
        to = found
        if window:
            with nogil:
                n = rows_find(&self.ring, least, newest, window, &to[0])
        return found[:n]

    cdef Py_ssize_t read(self, object index, object places, Target* targets, object tickets) except -1:
        # Rows to the places where they belong; how many are left.
        cdef const int64_t[::1] at = index
        cdef int64_t[::1] where = places
        cdef int64_t[::1] pushed
        cdef int64_t* to = NULL
        cdef Py_ssize_t n = where.shape[0]
        cdef uint64_t* words
        if n == 0:
            return 0
        if tickets is not None:
            pushed = tickets
            to = &pushed[0]
        words = <uint64_t*>malloc(self.ring.words * sizeof(uint64_t))
        if words == NULL:
            raise MemoryError()
        with nogil:
            n = rows_get(&self.ring, &at[0], &where[0], n, self.layout.slots, targets, self.layout.n_slots, words, to)
        free(words)
        return n

    cdef int state_after(self, Py_ssize_t slot) except -1:
        # The state of a row, after a while if it is being written.
        cdef unsigned int r
        with nogil:
            for r in range(ROUNDS):
                if (word_load(row_words(&self.ring, slot)) & 3) != BUSY:
                    break
                row_wait(&self.ring, slot, r)
        PyErr_CheckSignals()
        return word_load(row_words(&self.ring, slot)) & 3


cdef Py_ssize_t rows_begin(Py_ssize_t described):
    return (<Py_ssize_t>sizeof(Head) + LANES * <Py_ssize_t>sizeof(Lane) + described + PAGE - 1) // PAGE * PAGE


cdef tuple read_header(object buf, str name):
    # Layout, columns as written there, capacity; refused unless all of it fits together and into the memory.
    cdef Head head
    cdef const unsigned char[::1] bytes_ = buf
    cdef Py_ssize_t size = bytes_.shape[0], begin = sizeof(Head) + LANES * sizeof(Lane)
    if size < begin:
        raise CodecError(f"expected a replay buffer's memory, {name!r} has {size} bytes")
    memcpy(&head, &bytes_[0], sizeof(Head))
    if head.magic != MAGIC:
        raise CodecError(f"expected a replay buffer's memory, {name!r} is something else, or is not ready yet")
    if head.version != VERSION or head.lanes != LANES:
        raise CodecError(f"expected version {VERSION} of a replay buffer's memory, {name!r} has {head.version}")
    if head.space != pid_namespace():
        raise ConfigError(f"expected memory of this pid namespace, {name!r} is of another: no one can tell who lives there")
    if head.schema_bytes > <uint64_t>(size - begin):
        raise CodecError(f"expected a replay buffer's memory, that of {name!r} is damaged")
    described = bytes(bytes_[begin:begin + <Py_ssize_t>head.schema_bytes])
    try:
        config = json.loads(described)
        layout = Layout(*[config[key] for key in ("obs_shape", "act_shape", "obs_dtype", "act_dtype", "extra")], sizeof(uint64_t))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CodecError(f"expected a replay buffer's memory, the columns of {name!r} are damaged: {error}") from error
    rows, first_row = int(head.capacity), rows_begin(len(described))
    fits = rows >= 1 and head.stride == <uint64_t>layout.stride and head.first_row == first_row
    if not fits or first_row + rows * layout.stride > size:
        raise CodecError(f"expected a replay buffer's memory, the sizes of {name!r} do not fit its {size} bytes")
    return layout, described, rows


cdef uint64_t pid_namespace() except? 0:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def renew_after_fork():
    """Give the buffers of a child their own identity."""
    for buffer in list(LIVE):
        (<SharedRows>buffer).forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew_after_fork)
