"""Sequences of consecutive steps out of episodes."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free

import numpy as np

from rfx.buffers.episodes cimport Choice, EpisodeTracker, Lane, choice_of
from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.buffers.saved cimport Saved
from rfx.kernels.chacha cimport ChaCha, chacha_below, chacha_seed
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil
from rfx.kernels.ring cimport gather_rows, rows_alloc, scatter_rows_at

from rfx import arrays
from rfx.buffers.replay import without
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidValueError, ShapeError

cdef object LARGEST_SEED = 2**64 - 1
cdef object BOOL = np.dtype(np.bool_)
cdef object INT64 = np.dtype(np.int64)


cdef class SequenceReplayBuffer(Saved):
    """A ring of transitions that knows its episodes, for recurrent policies, world models and decision transformers.

    Parameters
    ----------
    capacity : int
        Transitions in all, a multiple of ``num_envs``.
    obs_shape, act_shape, obs_dtype, act_dtype, extra
        As of :class:`ReplayBuffer`.
    num_envs : int
        Environments that push, each into a ring of its own of ``capacity / num_envs`` transitions, at its own pace.

    Notes
    -----
    An episode ends with a transition that is terminated or truncated. Sequences never cross an end. Samples are copies. Safe
    under threads, as :class:`ReplayBuffer`.
    """

    def __cinit__(self, capacity, obs_shape, act_shape=1, *others, num_envs=1, obs_dtype=np.float32, act_dtype=np.float32,
                  extra=None, **further):
        self.capacity = arrays.integer(capacity, "capacity", minimum=1)
        self.tracker = EpisodeTracker(capacity, num_envs)
        self.num_envs = self.tracker.num_envs
        self.room = self.capacity // self.num_envs
        self.layout = self.make_layout(obs_shape, act_shape, obs_dtype, act_dtype, extra, *others, **further)
        if self.capacity > (2**62) // self.layout.stride:
            raise MemoryError(f"{self.capacity} rows of {self.layout.stride} bytes do not fit")
        self.rows = rows_alloc(<size_t>self.capacity * self.layout.stride)
        if self.rows == NULL:
            raise MemoryError(f"{self.capacity} rows of {self.layout.stride} bytes do not fit")

    def __init__(self, capacity, obs_shape, act_shape=1, *, num_envs=1, obs_dtype=np.float32, act_dtype=np.float32, extra=None):
        pass

    def __dealloc__(self):
        free(self.rows)

    @staticmethod
    def make_layout(obs_shape, act_shape, obs_dtype, act_dtype, extra):
        """Return the layout of a row; buffers with further columns have their own."""
        return Layout(obs_shape, act_shape, obs_dtype, act_dtype, extra)

    def __len__(self):
        return self.count

    @property
    def schema(self):
        """The columns: name, shape and dtype of each."""
        return self.layout.schema

    def num_complete_episodes(self):
        """Count the episodes that have ended and are there from their first step on."""
        cdef Py_ssize_t n
        lock_take_gil(&self.lock)
        n = self.tracker.complete()
        lock_leave(&self.lock)
        return n

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None, env=0):
        """Store one transition of environment ``env``; returns the slot it went to. See :meth:`ReplayBuffer.push`."""
        return self.put_one(env, obs, action, reward, terminated, truncated, next_obs, extra)

    def push_slices(self, obs, next_obs, action, reward, terminated, truncated):
        """Store one transition of environment 0, in the order of the design document; see :meth:`push`."""
        return self.put_one(0, obs, action, reward, terminated, truncated, next_obs, None)

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None, envs=None):
        """Store n transitions, given as arrays (n, ...), in this order; returns their slots, (n,) int64.

        ``envs`` (n,) says which environment each is of. Without it the environments take turns, each of them as often as the
        others: 0, 1, ..., num_envs - 1, 0, 1, ...
        """
        return self.put_many(envs, obs, actions, rewards, terminated, truncated, next_obs, extra)

    cdef Py_ssize_t place(self, Py_ssize_t env) noexcept nogil:
        # Where the next transition of this environment goes.
        return env * self.room + self.tracker.lanes[env].pushed % self.room

    cdef void went(self, Py_ssize_t env, bint done) noexcept nogil:
        self.count += self.tracker.lanes[env].pushed < self.room
        self.tracker.advance(env, done)
        self.changes += 1

    cdef object put_one(self, object env, object obs, object action, object reward, object terminated, object truncated,
                        object next_obs, object extra):
        cdef Entry entry
        cdef Py_ssize_t lane = 0
        cdef int64_t slot
        if env is not 0:
            lane = arrays.integer(env, "env", minimum=0, maximum=self.num_envs - 1)
        _keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        lock_take_gil(&self.lock)
        slot = self.place(lane)
        scatter_rows_at(self.rows, self.layout.stride, &slot, 1, self.layout.slots, entry.sources, self.layout.n_slots)
        self.went(lane, entry.terminated or entry.truncated)
        lock_leave(&self.lock)
        return slot

    cdef object put_many(self, object envs, object obs, object actions, object rewards, object terminated, object truncated,
                         object next_obs, object extra):
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n, i
        _keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
        slots = np.empty(n, np.int64)
        cdef const int64_t[::1] lanes = self.lanes_given(envs, n)
        cdef int64_t[::1] to = slots
        cdef const unsigned char* ended = sources[self.layout.terminated]
        cdef const unsigned char* cut = sources[self.layout.truncated]
        if n == 0:
            return slots
        with nogil:
            lock_take(&self.lock)
            for i in range(n):
                to[i] = self.place(lanes[i])
                self.went(lanes[i], ended[i] or cut[i])
            scatter_rows_at(self.rows, self.layout.stride, &to[0], n, self.layout.slots, sources, self.layout.n_slots)
            lock_leave(&self.lock)
        return slots

    def lanes_given(self, envs, n):
        """Return the environment of each of n transitions, int64."""
        if envs is None:
            if n % self.num_envs:
                raise ShapeError(f"expected a multiple of {self.num_envs} transitions, or envs to say whose they are, got {n}")
            return np.arange(n, dtype=np.int64) % self.num_envs
        array = np.asarray(envs)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"expected envs to be integers, got {array.dtype}")
        if array.shape != (n,):
            raise ShapeError(f"expected envs of shape ({n},), got {array.shape}")
        if n and not 0 <= int(array.min()) <= int(array.max()) < self.num_envs:
            raise InvalidValueError(f"expected envs within 0..{self.num_envs - 1}, got {array.min()}..{array.max()}")
        return np.ascontiguousarray(array, np.int64)

    # -- out

    def sample(self, batch_size, seed, out=None):
        """Draw single transitions uniformly, with replacement, open episodes included; see :meth:`ReplayBuffer.sample`."""
        cdef Py_ssize_t n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef uint64_t word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        cdef Target[MOST_COLUMNS] targets
        cdef ChaCha rng
        if n and self.count == 0:
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
        batch = self.layout.batch((n,), without(out, ()), targets, ())
        index = np.empty(n, np.int64)
        cdef int64_t[::1] slots = index
        batch["indices"] = index
        if n:
            with nogil:
                chacha_seed(&rng, word)
                lock_take(&self.lock)
                self.uniform(&rng, &slots[0], n)
                gather_rows(self.rows, self.layout.stride, &slots[0], n, self.layout.slots, targets, self.layout.n_slots)
                lock_leave(&self.lock)
        return batch

    cdef void uniform(self, ChaCha* rng, int64_t* out, Py_ssize_t n) noexcept nogil:
        # Slots of any transitions that are there.
        cdef Py_ssize_t i, env
        cdef int64_t drawn, there
        for i in range(n):
            drawn = chacha_below(rng, self.count)
            if self.count < self.capacity:
                for env in range(self.num_envs):
                    there = min(self.tracker.lanes[env].pushed, self.room)
                    if drawn < there:
                        drawn += env * self.room
                        break
                    drawn -= there
            out[i] = drawn

    def sample_sequences(self, batch_size, seq_len, seed, *, burn_in=0, over="episodes", with_open=False, pad=False, out=None):
        """Draw sequences of consecutive steps, each within one episode.

        Parameters
        ----------
        batch_size, seq_len : int
            B at least 0, T at least 1.
        seed : int
            0 to 2**64 - 1.
        burn_in : int
            Up to so many steps of the same episode are put before each sequence, for warming up a recurrent state (Kapturowski
            et al. 2019): T becomes ``burn_in + seq_len``. Where the episode has fewer, zeros stand there.
        over : {"episodes", "windows"}
            Each episode has the same chance, or each window.
        with_open : bool
            Draw from episodes that have not ended, too.
        pad : bool
            Draw from episodes shorter than ``seq_len``, too; zeros follow them.
        out : dict of str to ndarray, optional
            Arrays (B, T, ...) to write into.

        Returns
        -------
        dict of str to ndarray
            All columns, (B, T, ...); ``mask``, bool, False where zeros stand for a step; ``steps``, int64, the number of each
            step in its episode, 0 the first; ``indices``, the slots, -1 for none.

        Raises
        ------
        EmptyBufferError
            No episode is long enough.
        """
        cdef Choice choice = choice_of(seq_len, over, with_open, pad)
        cdef Py_ssize_t n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef Py_ssize_t before = arrays.integer(burn_in, "burn_in", minimum=0, maximum=2**40)
        cdef Py_ssize_t length = before + choice.length
        cdef uint64_t word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        cdef Target[MOST_COLUMNS] targets
        cdef bint found = True
        batch = self.layout.batch((n, length), without(out, ()), targets, (("mask", BOOL), ("steps", INT64)))
        index = np.empty((n, length), np.int64)
        cdef int64_t[:, ::1] slots = index
        cdef int64_t[:, ::1] steps = batch["steps"]
        if n:
            with nogil:
                lock_take(&self.lock)
                try:
                    found = self.windows(&choice, before, word, slots, steps)
                    if found:
                        gather_rows(self.rows, self.layout.stride, &slots[0, 0], n * length, self.layout.slots, targets,
                                    self.layout.n_slots)
                finally:
                    lock_leave(&self.lock)
        if not found:
            raise EmptyBufferError(f"expected an episode of at least {choice.length} steps, {self!r} has none")
        np.greater_equal(index, 0, out=batch["mask"])
        batch["indices"] = index
        return batch

    cdef bint windows(self, const Choice* choice, Py_ssize_t before, uint64_t seed, int64_t[:, ::1] slots,
                      int64_t[:, ::1] steps) except -1 nogil:
        # Slots and step numbers of one window per row, -1 and 0 outside of it; False where there is nothing to draw from.
        cdef ChaCha rng
        cdef Py_ssize_t i, j, n
        cdef int64_t total = self.tracker.weigh(choice, &n)
        cdef int64_t[5] window
        cdef int64_t start, oldest, step
        cdef const Lane* lane
        if total == 0:
            return False
        chacha_seed(&rng, seed)
        for i in range(slots.shape[0]):
            self.tracker.window(choice, n, total, &rng, window)
            lane = self.tracker.lanes + window[3]
            start = self.tracker.start_of(lane, window[0])
            oldest = max(start, self.tracker.oldest(lane))
            for j in range(slots.shape[1]):
                step = window[4] + j - before
                if step >= oldest and j - before < window[2]:
                    slots[i, j], steps[i, j] = window[3] * self.room + step % self.room, step - start
                else:
                    slots[i, j], steps[i, j] = -1, 0
        return True

    # -- state

    def clear(self):
        """Forget all transitions; the memory stays."""
        with nogil:
            lock_take(&self.lock)
            self.count = 0
            self.changes += 1
            self.tracker.forget()
            lock_leave(&self.lock)

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {"capacity": self.capacity, **self.layout.config, "num_envs": self.num_envs}

    def state_dict(self):
        """Return what is stored: the columns (len, ...), copies, environment by environment, and their episodes."""
        cdef uint64_t before
        while True:  # again if somebody pushed meanwhile
            before = self.changes
            episodes = self.tracker.state_dict()
            held = [np.arange(min(lane["pushed"], self.room)) + k * self.room for k, lane in enumerate(episodes.values())]
            rows = self.gathered(np.concatenate(held))
            if self.changes == before:
                return {"episodes": episodes, "rows": rows}

    def gathered(self, index):
        """Return the rows in these slots, without a check."""
        cdef Target[MOST_COLUMNS] targets
        cdef const int64_t[::1] at = index
        cdef Py_ssize_t n = at.shape[0]
        batch = self.layout.batch((n,), None, targets, ())
        if n:
            with nogil:
                lock_take(&self.lock)
                gather_rows(self.rows, self.layout.stride, &at[0], n, self.layout.slots, targets, self.layout.n_slots)
                lock_leave(&self.lock)
        return batch

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a buffer with the same columns and capacity gave; all or nothing."""
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t k, n
        if not isinstance(state, dict) or not {"episodes", "rows"} <= state.keys():
            raise ConfigError("expected a dict with episodes and rows")
        tracker = EpisodeTracker(self.capacity, self.num_envs)
        tracker.load_state_dict(state["episodes"])
        n, keep = self.layout.checked_rows(state["rows"])
        counts = [min(lane["pushed"], self.room) for lane in tracker.state_dict().values()]
        if n != sum(counts):
            raise ConfigError(f"expected {sum(counts)} rows for these episodes, got {n}")
        for k, array in enumerate(keep):
            sources[k] = <Source><size_t>array.ctypes.data
        index = np.concatenate([np.arange(count) + k * self.room for k, count in enumerate(counts)])
        cdef const int64_t[::1] at = index
        lock_take_gil(&self.lock)
        if n:
            scatter_rows_at(self.rows, self.layout.stride, &at[0], n, self.layout.slots, sources, self.layout.n_slots)
        self.tracker = tracker
        self.count = n
        self.changes += 1
        lock_leave(&self.lock)

    def __repr__(self):
        return (f"{type(self).__name__}(capacity={self.capacity}, len={self.count}, episodes={self.num_complete_episodes()}, "
                f"{self.layout.describe()})")
