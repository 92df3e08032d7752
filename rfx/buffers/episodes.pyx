"""Where episodes begin and end in a ring of steps."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

import numpy as np

from rfx.kernels.chacha cimport ChaCha, chacha_below, chacha_seed

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, EmptyBufferError, InvalidStateError

cdef object LARGEST_SEED = 2**64 - 1

cdef enum:
    COLUMNS = 5          # of a window: episode, first place, length, environment, first step


cdef class EpisodeTracker:
    """Knows the episodes of a ring of ``ring_capacity`` steps, shared evenly by ``num_envs`` environments.

    Parameters
    ----------
    ring_capacity : int
        Steps in all, a multiple of ``num_envs``.
    num_envs : int
        Each environment has ``ring_capacity / num_envs`` places of its own, one after the other, and its steps go round them.

    Notes
    -----
    A push costs the same however many episodes there are. What is left of an episode whose beginning was overwritten is still
    drawn from; it is no complete episode any more. Not safe under threads by itself: the buffers lock around it.
    """

    def __cinit__(self, ring_capacity, num_envs=1):
        cdef Py_ssize_t k
        self.capacity = arrays.integer(ring_capacity, "ring_capacity", minimum=1, maximum=2**60)
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1, maximum=self.capacity)
        if self.capacity % self.num_envs:
            raise ConfigError(f"expected a capacity that {self.num_envs} environments can share evenly, got {self.capacity}")
        self.room = self.capacity // self.num_envs
        self.size = self.room + 1
        self.lanes = <Lane*>calloc(self.num_envs, sizeof(Lane))
        self.starts = <int64_t*>calloc(self.num_envs, self.size * sizeof(int64_t))  # touched only as episodes come
        if self.lanes == NULL or self.starts == NULL:
            raise MemoryError()
        for k in range(self.num_envs):
            self.lanes[k].starts = self.starts + k * self.size

    def __dealloc__(self):
        free(self.lanes)
        free(self.starts)
        free(self.scratch)

    # -- in

    def notify_push(self, write_pos, done, env=0):
        """Say that a step went to place ``write_pos`` of its environment, and whether its episode ends with it.

        InvalidStateError where that is not the place after the last one.
        """
        cdef Py_ssize_t at = arrays.integer(write_pos, "write_pos", minimum=0, maximum=self.room - 1)
        cdef Py_ssize_t k = arrays.integer(env, "env", minimum=0, maximum=self.num_envs - 1)
        if not isinstance(done, (bool, np.bool_)):
            raise DTypeError(f"expected done to be a bool, got {done!r}")
        if at != self.lanes[k].pushed % self.room:
            raise InvalidStateError(f"expected the step at {self.lanes[k].pushed % self.room}, got {at}")
        self.advance(k, done)

    cdef void advance(self, Py_ssize_t env, bint done) noexcept nogil:
        cdef Lane* lane = self.lanes + env
        lane.pushed += 1
        if done:
            lane.starts[(lane.first + lane.count) % self.size] = lane.open
            lane.count += 1
            lane.open = lane.pushed
        while lane.count and self.end_of(lane, 0) <= lane.pushed - self.room:
            lane.first = (lane.first + 1) % self.size
            lane.count -= 1

    cdef int64_t oldest(self, const Lane* lane) noexcept nogil:
        # The first step that is still there.
        return lane.pushed - self.room if lane.pushed > self.room else 0

    cdef int64_t start_of(self, const Lane* lane, Py_ssize_t k) noexcept nogil:
        # Where episode k of those that are there began, be it overwritten or not; `count` stands for the open one.
        return lane.open if k == lane.count else lane.starts[(lane.first + k) % self.size]

    cdef int64_t end_of(self, const Lane* lane, Py_ssize_t k) noexcept nogil:
        return lane.pushed if k == lane.count else self.start_of(lane, k + 1)

    cdef Py_ssize_t find(self, const Lane* lane, int64_t step) noexcept nogil:
        # The episode that a step belongs to.
        cdef Py_ssize_t low = 0, high = lane.count, middle
        while low < high:
            middle = (low + high + 1) // 2
            if self.start_of(lane, middle) <= step:
                low = middle
            else:
                high = middle - 1
        return low

    # -- out

    def num_complete_episodes(self):
        """Count the episodes that have ended and are there from their first step on."""
        return self.complete()

    cdef Py_ssize_t complete(self) noexcept nogil:
        cdef Py_ssize_t env, n = 0
        cdef const Lane* lane
        for env in range(self.num_envs):
            lane = self.lanes + env
            n += lane.count - (lane.count > 0 and self.start_of(lane, 0) < self.oldest(lane))
        return n

    def sample_windows(self, batch_size, seq_len, seed, *, over="episodes", with_open=False, pad=False):
        """Draw windows of ``seq_len`` consecutive steps of one episode each, with replacement.

        Parameters
        ----------
        batch_size, seq_len : int
            At least 0, at least 1.
        seed : int
            0 to 2**64 - 1; draws as rlox 1.2.0 does over episodes.
        over : {"episodes", "windows"}
            Each episode that is long enough has the same chance, or each window in them (long episodes have more).
        with_open : bool
            Draw from episodes that have not ended, too.
        pad : bool
            Draw from shorter episodes, too: their windows are shorter.

        Returns
        -------
        ndarray of int64, (batch_size, 3)
            Episode (0 the oldest of its environment), place of the first step in the ring, length.

        Raises
        ------
        EmptyBufferError
            No episode is long enough.
        """
        cdef Choice choice = choice_of(seq_len, over, with_open, pad)
        n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        windows = self.drawn(n, &choice, arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED))
        if windows is None:
            raise EmptyBufferError(f"expected an episode of at least {choice.length} steps, {self!r} has none")
        return np.ascontiguousarray(windows[:, :3])

    cdef object drawn(self, Py_ssize_t batch, const Choice* choice, uint64_t seed):
        # Windows (batch, 5), None where there is nothing to draw from.
        cdef ChaCha rng
        cdef Py_ssize_t n
        cdef int64_t total
        cdef int64_t[:, ::1] to
        out = np.empty((batch, COLUMNS), np.int64)
        if batch == 0:
            return out
        to = out
        with nogil:
            total = self.weigh(choice, &n)
            if total:
                chacha_seed(&rng, seed)
                for k in range(batch):
                    self.window(choice, n, total, &rng, &to[k, 0])
        return out if total else None

    cdef int64_t weigh(self, const Choice* choice, Py_ssize_t* n) except -1 nogil:
        # The chances of all episodes, added up, and which they are, into `scratch`; returns their sum.
        cdef Py_ssize_t env, k, j = 0, entries = 0
        cdef int64_t steps, oldest, start, total = 0
        cdef const Lane* lane
        cdef int64_t* more
        for env in range(self.num_envs):
            entries += self.lanes[env].count + choice.with_open
        if entries > self.scratch_size:
            more = <int64_t*>realloc(self.scratch, 4 * entries * sizeof(int64_t))
            if more == NULL:
                with gil:
                    raise MemoryError()
            self.scratch, self.scratch_size = more, 2 * entries
        for env in range(self.num_envs):
            lane = self.lanes + env
            oldest = self.oldest(lane)
            for k in range(lane.count + choice.with_open):
                start = self.start_of(lane, k)
                steps = self.end_of(lane, k) - (start if start > oldest else oldest)
                if steps >= choice.length:
                    total += steps - choice.length + 1 if choice.by_windows else 1
                elif choice.short and steps > 0:
                    total += 1
                self.scratch[2 * j], self.scratch[2 * j + 1] = total, (<int64_t>env << 40) | k
                j += 1
        n[0] = entries
        return total

    cdef void window(self, const Choice* choice, Py_ssize_t n, int64_t total, ChaCha* rng, int64_t* out) noexcept nogil:
        cdef int64_t drawn = chacha_below(rng, total), offset = 0, first, steps
        cdef Py_ssize_t low = 0, high = n - 1, middle, env, k
        cdef const Lane* lane
        while low < high:
            middle = (low + high) // 2
            if self.scratch[2 * middle] > drawn:
                high = middle
            else:
                low = middle + 1
        env, k = self.scratch[2 * low + 1] >> 40, self.scratch[2 * low + 1] & ((<int64_t>1 << 40) - 1)
        lane = self.lanes + env
        first = max(self.start_of(lane, k), self.oldest(lane))
        steps = self.end_of(lane, k) - first
        if steps > choice.length:
            if choice.by_windows:
                offset = drawn - (self.scratch[2 * low - 2] if low else 0)
            else:
                offset = chacha_below(rng, steps - choice.length + 1)
        first += offset
        out[0], out[1], out[2] = k, env * self.room + first % self.room, min(steps, choice.length)
        out[3], out[4] = env, first

    # -- state

    cdef void forget(self) noexcept nogil:
        cdef Py_ssize_t env
        for env in range(self.num_envs):
            self.lanes[env].pushed = self.lanes[env].open = 0
            self.lanes[env].first = self.lanes[env].count = 0

    def clear(self):
        """Forget all episodes."""
        self.forget()

    def state_dict(self):
        """Return, for each environment, how many steps came and where the episodes began that are still there."""
        state = {}
        cdef Py_ssize_t env
        cdef const Lane* lane
        for env in range(self.num_envs):
            lane = self.lanes + env
            starts = [self.start_of(lane, k) for k in range(lane.count + 1)]
            state[str(env)] = {"pushed": lane.pushed, "starts": np.array(starts, np.int64)}
        return state

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a tracker of the same size gave; all or nothing."""
        cdef Py_ssize_t env
        cdef const int64_t[::1] starts
        if not isinstance(state, dict) or set(state) != {str(k) for k in range(self.num_envs)}:
            raise ConfigError(f"expected a dict with the environments 0 to {self.num_envs - 1}")
        checked = []
        for env in range(self.num_envs):
            lane = state[str(env)]
            if not isinstance(lane, dict) or set(lane) != {"pushed", "starts"}:
                raise ConfigError("expected pushed and starts for each environment")
            pushed = arrays.integer(lane["pushed"], "pushed", minimum=0, maximum=2**62)
            array = np.asarray(lane["starts"])
            if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
                raise ConfigError(f"expected starts to be integers, (n,), got {array.dtype} {array.shape}")
            array = np.ascontiguousarray(array, np.int64)
            first, last, rises = int(array[0]), int(array[array.size - 1]), bool((np.diff(array) > 0).all())
            oldest = max(pushed - self.room, 0)
            if not (rises and 0 <= first <= oldest and last <= pushed and (array.size == 1 or array[1] > oldest)):
                raise ConfigError(f"expected starts to rise from at most {oldest} on, to at most {pushed}, got {array}")
            checked.append((pushed, array))
        for env, (pushed, array) in enumerate(checked):
            starts = array
            self.restore(env, pushed, &starts[0], starts.shape[0])

    cdef void restore(self, Py_ssize_t env, int64_t pushed, const int64_t* starts, Py_ssize_t n) noexcept nogil:
        # The last of the n starts is that of the open episode.
        cdef Lane* lane = self.lanes + env
        memcpy(lane.starts, starts, (n - 1) * sizeof(int64_t))
        lane.first, lane.count, lane.open, lane.pushed = 0, n - 1, starts[n - 1], pushed

    def __reduce__(self):
        return _rebuild, (self.capacity, self.num_envs, self.state_dict())

    def __repr__(self):
        return (f"EpisodeTracker(ring_capacity={self.capacity}, num_envs={self.num_envs}, "
                f"complete={self.num_complete_episodes()})")


def _rebuild(capacity, num_envs, state):
    made = EpisodeTracker(capacity, num_envs)
    made.load_state_dict(state)
    return made


cdef Choice choice_of(seq_len, over, with_open, pad) except *:
    cdef Choice choice
    choice.length = arrays.integer(seq_len, "seq_len", minimum=1, maximum=2**40)
    if over not in ("episodes", "windows"):
        raise ConfigError(f"expected over to be 'episodes' or 'windows', got {over!r}")
    choice.by_windows, choice.with_open, choice.short = over == "windows", bool(with_open), bool(pad)
    return choice
