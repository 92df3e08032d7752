"""A ring of transitions that many threads and processes write while learners sample, without a lock."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.buffers.shared_rows cimport SharedRows
from rfx.kernels.chacha cimport ChaCha, chacha_fill_below, chacha_seed
from rfx.kernels.seqlock cimport (
    BUSY, COMMITTED, VACANT, lanes_recover, rest, row_compose, row_prefetch, row_put, word_add, word_load, word_store)

from rfx import arrays
from rfx.buffers import files
from rfx.buffers.replay import slots_given, without
from rfx.buffers.saved import rebuilt
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidStateError, InvalidValueError

cdef enum:
    LOCAL = 256        # words of a row that is put together on the stack
    PLAIN_DRAWS = 8    # before the rows that can be drawn are listed

cdef object LARGEST_SEED = 2**64 - 1


cdef class ConcurrentReplayBuffer(SharedRows):
    """The last ``capacity`` transitions of many writers: threads, and with ``shared`` processes, too.

    Parameters
    ----------
    capacity, obs_shape, act_shape, obs_dtype, act_dtype, extra
        As of :class:`ReplayBuffer`.
    shared : bool
        Keep all of it in shared memory, which other processes reach by pickling the buffer to them, by a fork, or by
        :meth:`attach`. Call :meth:`close` in each and :meth:`unlink` in one, or use it as a context manager.
    name : str, optional
        Of the shared memory; one is made up otherwise.

    Notes
    -----
    A push takes a ticket and writes its row under a sequence word; nobody waits but for a writer that is in the middle of
    the very same row. A sample copies rows and draws another where one was being written: no row is ever torn. A row whose
    writer was killed is vacant until the ring comes round again. Processes must be of one pid namespace.
    """

    def __init__(self, capacity, obs_shape, act_shape=1, *, obs_dtype=np.float32, act_dtype=np.float32, extra=None,
                 shared=False, name=None):
        if self.layout is not None:
            raise InvalidStateError("expected a buffer to be made once, __init__ was called again")
        if not isinstance(shared, (bool, np.bool_)):
            raise DTypeError(f"expected shared to be a bool, got {type(shared).__name__}")
        if name is not None and not shared:
            raise ConfigError(f"expected no name for a buffer that is not shared, got {name!r}")
        rows = arrays.integer(capacity, "capacity", minimum=1, maximum=2**62)
        self.make(Layout(obs_shape, act_shape, obs_dtype, act_dtype, extra, sizeof(uint64_t)), rows, shared, name)

    @classmethod
    def attach(cls, name):
        """Return a buffer over the shared memory of this name, which holds what its rows are made of.

        Raises
        ------
        ConfigError
            There is no such memory, or it belongs to another pid namespace.
        CodecError
            The memory is something else.
        """
        cdef ConcurrentReplayBuffer made = cls.__new__(cls)
        made.find(name)
        return made

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None):
        """Store one transition; returns the slot it went to. ``extra`` is a dict of all extra columns.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError, ConfigError
            Something does not fit its column; nothing is stored then.
        InvalidStateError
            The buffer is closed.
        """
        cdef Entry entry
        cdef uint64_t[LOCAL] words
        cdef uint64_t ticket, slot, turn
        cdef Py_ssize_t k
        self.check()
        _keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        if self.ring.words > LOCAL:
            return self.put(entry.sources, 1)
        row_compose(words, self.ring.words, <const unsigned char**>entry.sources, 0, self.layout.slots, self.layout.n_slots)
        k = self.hold()
        ticket = word_add(&self.ring.head.tickets, 1)
        slot, turn = ticket % self.ring.capacity, ticket // self.ring.capacity + 1
        if row_put(&self.ring, self.own[k], slot, turn, words) == -1:
            try:
                self.put_waiting(k, slot, turn, words)
            finally:
                word_store(&self.taken[k], 0)
        else:
            word_store(&self.taken[k], 0)
        if slot + 1 < self.ring.capacity:
            row_prefetch(&self.ring, slot + 1)
        return slot

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None):
        """Store n transitions, given as arrays (n, ...); returns the slot of the first, the others follow in a ring.

        Of more than ``capacity`` the last ones stay. Nothing is stored when anything does not fit.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n
        self.check()
        _keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
        return self.put(sources, n)

    # -- out

    def sample(self, batch_size, seed, out=None):
        """Draw committed transitions uniformly, with replacement; parameters and result as of :meth:`ReplayBuffer.sample`.

        The same seed draws the same slots as there while nobody pushes. Of a row that is being written another is drawn.

        Raises
        ------
        EmptyBufferError
            There is nothing to draw from.
        """
        return self.drawn(arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40), None, seed, out)

    def sample_recent(self, batch_size, window_size, seed, out=None):
        """Draw from the ``window_size`` newest transitions; see :meth:`sample`."""
        size = arrays.integer(window_size, "window_size", minimum=1)
        return self.drawn(arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40), size, seed, out)

    cdef object numbers(self, ChaCha* rng, object generator, Py_ssize_t below, Py_ssize_t n):
        cdef int64_t[::1] to
        if generator is not None:
            return generator.integers(max(below, 1), size=n)
        index = np.empty(n, np.int64)
        to = index
        if n:
            with nogil:
                chacha_fill_below(rng, below, 0, &to[0], n)
        return index

    cdef dict drawn(self, Py_ssize_t n, object size, object seed, object out):
        cdef Target[MOST_COLUMNS] targets
        cdef Py_ssize_t window, newest, left, rounds = 0
        cdef ChaCha rng
        generator = seed if isinstance(seed, np.random.Generator) else None
        if generator is None:
            chacha_seed(&rng, arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED))
        self.enter()
        try:
            window = self.window(size, &newest)
            if window == 0 and n:
                raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
            index = self.numbers(&rng, generator, window, n)
            if newest >= 0:
                index = (newest - index) % self.capacity
            batch = self.layout.batch((n,), without(out, ()), targets, ())
            batch["indices"] = index
            places = np.arange(n)
            left = self.read(index, places, targets, None)
            while left:
                PyErr_CheckSignals()
                rounds += 1
                places = places[:left]
                if rounds <= PLAIN_DRAWS:
                    fresh = self.numbers(&rng, generator, window, left)
                    fresh = (newest - fresh) % self.capacity if newest >= 0 else fresh
                else:
                    window = self.window(size, &newest)
                    choice = self.choice(newest, window)
                    if choice.size == 0:
                        continue
                    fresh = choice[self.numbers(&rng, generator, choice.size, left)]
                index[places] = fresh
                left = self.read(index, places, targets, None)
        finally:
            self.leave()
        return batch

    cdef object choice(self, Py_ssize_t newest, Py_ssize_t window):
        # The slots that hold a committed row; none of them if all are being written just now.
        found = self.listed(newest, window, COMMITTED)
        if found.size == 0:
            with nogil:
                lanes_recover(&self.ring)
                rest(100)
            if self.listed(newest, window, BUSY).size == 0:
                raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none that is committed")
        return found

    def gather(self, indices, out=None):
        """Return the transitions in these slots, (n,) integers; InvalidValueError for a slot that holds nothing."""
        cdef Target[MOST_COLUMNS] targets
        cdef Py_ssize_t newest, left
        self.enter()
        try:
            index = slots_given(indices, self.window(None, &newest))
            batch = self.layout.batch((len(index),), without(out, ()), targets, ())
            batch["indices"] = index
            places = np.arange(len(index))
            left = self.read(index, places, targets, None)
            while left:
                places = places[:left]
                if self.state_after(index[places[0]]) == VACANT:
                    raise InvalidValueError(f"expected slots that hold a transition, got {index[places[0]]}, which does not")
                left = self.read(index, places, targets, None)
        finally:
            self.leave()
        return batch

    # -- state

    def clear(self):
        """Forget all transitions that were pushed before; the memory stays. Takes a look at each row."""
        cdef Py_ssize_t k = self.hold()
        try:
            self.forget(k, self.begin_turn(0))
        finally:
            word_store(&self.taken[k], 0)

    def config(self):
        """Return the parameters, as the constructor takes them."""
        self.check()
        return {"capacity": self.capacity, **self.layout.config, "shared": self.shared, "name": self.name}

    def state_dict(self):
        """Return what is stored: the columns (len, ...), copies, where the next row goes, and how many came.

        By slot if all slots are committed, or else from the oldest to the newest. While others push, each row is whole and
        the newest may be there without some that came a moment before.
        """
        cdef Target[MOST_COLUMNS] targets
        cdef Py_ssize_t newest, left, window
        cdef uint64_t pushed
        self.enter()
        try:
            window = self.window(None, &newest)
            pushed = self.ring.head.tickets - self.ring.head.origin + self.ring.head.earlier
            index = self.listed(-1, window, BUSY)
            tickets = np.full(len(index), -1, np.int64)
            rows = self.layout.batch((len(index),), None, targets, ())
            places = np.arange(len(index))
            left = self.read(index, places, targets, tickets)
            while left:
                self.state_after(index[places[0]])
                places = places[:left]
                places = places[np.isin(index[places], self.listed(-1, window, BUSY))]
                left = self.read(index, places, targets, tickets)
        finally:
            self.leave()
        order = np.argsort(tickets)[np.count_nonzero(tickets < 0):]
        if len(order) < self.capacity:
            rows = self.layout.nested([np.take(column, order, axis=0) for column in self.layout.flattened(rows)])
            cursor = len(order)
        else:
            cursor = (int(tickets.max()) + 1) % self.capacity
        return {"cursor": cursor, "pushed": max(pushed, len(order)), "rows": rows}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a buffer with the same columns and capacity gave, also of a ReplayBuffer.

        All or nothing. What others push meanwhile stays or is overwritten, row by row.
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t j, k, n, cursor
        cdef uint64_t pushed, first
        self.check()
        if not isinstance(state, dict) or not {"cursor", "pushed", "rows"} <= state.keys():
            raise ConfigError("expected a dict with cursor, pushed and rows")
        n, keep = self.layout.checked_rows(state["rows"])
        cursor = arrays.integer(state["cursor"], "cursor", minimum=0, maximum=self.capacity - 1)
        pushed = arrays.integer(state["pushed"], "pushed", minimum=n, maximum=2**63)
        if n > self.capacity or (n < self.capacity and cursor != n):
            raise ConfigError(f"{n} rows with the cursor at {cursor} do not fit a capacity of {self.capacity}")
        for j, array in enumerate(keep):
            sources[j] = <Source><size_t>array.ctypes.data
        cursor = cursor if n == self.capacity else 0
        k = self.hold()
        try:  # the rows before the cursor are the newest: they are written in the turn after the others
            first = self.begin_turn(n + cursor)
            self.forget(k, first)
            self.put_under(k, first, cursor, n, sources)
            self.put_under(k, first + self.ring.capacity, 0, cursor, sources)
            word_store(&self.ring.head.earlier, pushed - <uint64_t>(n + cursor))
        finally:
            word_store(&self.taken[k], 0)

    def save(self, path):
        """Write parameters and state to a file (docs/buffers.md says how it is made), in one piece or not at all.

        What is loaded from it is not shared.
        """
        files.save_state(path, type(self).__name__, {**self.config(), "shared": False, "name": None}, self.state_dict())

    @classmethod
    def load(cls, path):
        """Return the buffer that :meth:`save` wrote; CodecError for a damaged file, ConfigError for one of another kind."""
        return rebuilt(cls, *files.load_state(path, cls.__name__))

    def __reduce__(self):
        self.check()
        if self.shared:
            return reattached, (type(self), self.name, self.capacity, self.described)
        return rebuilt, (type(self), self.config(), self.state_dict())

    def __repr__(self):
        if not word_load(&self.opened):
            return f"{type(self).__name__}(closed)"
        where = f", shared as {self.name!r}" if self.shared else ""
        return f"{type(self).__name__}(capacity={self.capacity}, len={len(self)}, {self.layout.describe()}{where})"


def reattached(kind, name, capacity, described):
    """Attach to a buffer that came pickled; ConfigError where the name stands for another one by now."""
    cdef ConcurrentReplayBuffer made = kind.attach(name)
    if made.capacity != capacity or made.described != described:
        made.close()
        raise ConfigError(f"expected the shared memory {name!r} to be that of the pickled buffer, it is another one's")
    return made
