"""Replay of stacked frames, each of which is kept once."""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.buffers.saved cimport Saved
from rfx.kernels.chacha cimport ChaCha, chacha_below, chacha_seed
from rfx.kernels.lock cimport Lock, lock_leave, lock_take, lock_take_gil
from rfx.kernels.ring cimport gather_rows, rows_alloc, scatter_rows_at

from rfx import arrays
from rfx.buffers.columns import Column
from rfx.buffers.frame_state import checked_lane
from rfx.buffers.replay import without
from rfx.errors import ConfigError, EmptyBufferError, InvalidValueError, ShapeError

cnp.import_array()

cdef object LARGEST_SEED = 2**64 - 1

# The frames of one environment, counted from 0: frame q lies in place q mod room. A transition lies with the newest frame
# of its observation; the frame after it belongs to the next transition, or to none where an episode ended.
ctypedef struct Lane:
    int64_t next             # where the next transition goes; its frame is there already unless an episode begins
    int64_t age              # frames of the running episode before that
    int64_t* held            # the transitions that can be drawn, a ring of their frames' numbers, oldest first
    Py_ssize_t first
    Py_ssize_t count


cdef class FrameStackReplayBuffer(Saved):
    """A ring of transitions whose observations are the last ``stack`` frames, for learning from pixels.

    Parameters
    ----------
    capacity : int
        Frames in all, a multiple of ``num_envs``; a transition takes one, and the end of an episode one more.
    frame_shape : int or tuple of int
        Of one frame.
    act_shape : int or tuple of int
        Of one action; () for a number.
    stack : int
        Frames of an observation, at least 1.
    padding : {"first", "zero"}
        What stands before the first frame of an episode: that frame again, or zeros.
    num_envs : int
        Environments that push, each into a ring of its own.
    obs_dtype, act_dtype, extra
        As of :class:`ReplayBuffer`; uint8 and int64 by default.

    Notes
    -----
    Of an observation that is pushed only the newest frame is stored. ``next_obs`` of a transition and ``obs`` of the one
    that follows it in the episode must be the same frame; where they are not, the push is refused. A whole 4x84x84 uint8
    transition takes 7.1 kB in place of 56.4 kB. Samples are copies. Safe under threads, as :class:`ReplayBuffer`.
    """

    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t num_envs
    cdef readonly Py_ssize_t stack
    cdef readonly str padding
    cdef readonly Layout layout
    cdef bint repeat
    cdef Py_ssize_t room             # frames of one environment
    cdef unsigned char* rows         # of each the age comes first, int32, at most stack - 1
    cdef Lane* lanes
    cdef int64_t* held
    cdef Py_ssize_t count
    cdef uint64_t changes
    cdef Lock lock                   # over all of the above; held only around C code

    def __cinit__(self, capacity, frame_shape, act_shape=(), *, stack=4, padding="first", num_envs=1, obs_dtype=np.uint8,
                  act_dtype=np.int64, extra=None):
        cdef Py_ssize_t k
        self.capacity = arrays.integer(capacity, "capacity", minimum=1, maximum=2**48)
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1)
        self.stack = arrays.integer(stack, "stack", minimum=1, maximum=2**20)
        self.room = self.capacity // self.num_envs
        if self.capacity % self.num_envs or self.room < self.stack + 1:
            raise ConfigError(f"expected a capacity that {self.num_envs} environments share evenly, each at least "
                              f"{self.stack + 1} frames, got {self.capacity}")
        if padding not in ("first", "zero"):
            raise ConfigError(f"expected padding to be 'first' or 'zero', got {padding!r}")
        self.padding, self.repeat = padding, padding == "first"
        if isinstance(frame_shape, dict):
            raise ConfigError("expected one frame, not a dict of them")
        self.layout = Layout(frame_shape, act_shape, obs_dtype, act_dtype, extra, sizeof(int32_t), with_next=False)
        self.rows = rows_alloc(<size_t>self.capacity * self.layout.stride)
        self.lanes = <Lane*>calloc(self.num_envs, sizeof(Lane))
        self.held = <int64_t*>calloc(self.capacity, sizeof(int64_t))
        if self.rows == NULL or self.lanes == NULL or self.held == NULL:
            raise MemoryError(f"{self.capacity} rows of {self.layout.stride} bytes do not fit")
        for k in range(self.num_envs):
            self.lanes[k].held = self.held + k * self.room

    def __dealloc__(self):
        free(self.rows)
        free(self.lanes)
        free(self.held)

    def __len__(self):
        return self.count

    @property
    def schema(self):
        """The columns as they are stored, of one frame each: name, shape and dtype."""
        return self.layout.schema

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None, env=0):
        """Store one transition of environment ``env``; returns the slot it went to.

        ``obs`` and ``next_obs`` are single frames, or stacks of them, (stack, ...), the newest last.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError, ConfigError
            Something does not fit its column, or ``obs`` is not the frame that the last transition led to; nothing is stored.
        """
        cdef Entry entry
        cdef Py_ssize_t lane = arrays.integer(env, "env", minimum=0, maximum=self.num_envs - 1)
        cdef int64_t slot
        after = self.layout.entry(0, self.newest(next_obs, "next_obs"))
        _keep = self.layout.one(&entry, self.newest(obs, "obs"), action, reward, terminated, truncated, None, extra)
        cdef const unsigned char[::1] next_frame = after.reshape(-1).view(np.uint8)
        lock_take_gil(&self.lock)
        slot = self.put(lane, &entry, &next_frame[0] if next_frame.shape[0] else NULL)
        lock_leave(&self.lock)
        if slot < 0:
            raise out_of_turn("obs", lane)
        return slot

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None, envs=None):
        """Store n transitions, given as arrays (n, ...), in this order; returns their slots, (n,) int64. All or none.

        ``envs`` (n,) says which environment each is of; by default they take turns: 0, 1, ..., num_envs - 1, 0, 1, ...
        """
        cdef Source[MOST_COLUMNS] sources
        cdef Entry entry
        cdef Py_ssize_t i, k, n
        cdef int64_t slot = 0
        frames, after = self.newest(obs, "obs", True), self.newest(next_obs, "next_obs", True)
        _keep = self.layout.many(sources, &n, frames, actions, rewards, terminated, truncated, None, extra)
        after = self.layout.block(0, after, n)
        cdef const unsigned char* led_to = <Source>cnp.PyArray_DATA(after)
        lanes = np.arange(n) % self.num_envs if envs is None else np.asarray(envs)
        if lanes.shape != (n,):
            raise ShapeError(f"expected envs of shape ({n},), got {lanes.shape}")
        cdef const int64_t[::1] lane = np.array(
            [arrays.integer(env, "envs", minimum=0, maximum=self.num_envs - 1) for env in lanes], np.int64)
        coming = {}
        for i in range(n):  # each must follow what came before, in the buffer or in the batch
            expected = coming[lane[i]] if lane[i] in coming else self.coming(lane[i])
            if expected is not None and not np.array_equal(expected, frames[i]):
                raise out_of_turn(f"obs[{i}]", lane[i])
            coming[lane[i]] = None if terminated[i] or truncated[i] else after[i]
        slots = np.empty(n, np.int64)
        cdef int64_t[::1] to = slots
        with nogil:
            lock_take(&self.lock)
            for i in range(n):
                for k in range(self.layout.n_slots):
                    entry.sources[k] = sources[k] + i * self.layout.slots[k].size
                entry.terminated = entry.sources[self.layout.terminated][0]
                entry.truncated = entry.sources[self.layout.truncated][0]
                slot = self.put(lane[i], &entry, led_to + i * self.layout.slots[0].size)
                to[i] = slot
                if slot < 0:
                    break
            lock_leave(&self.lock)
        if slot < 0:  # only where another thread has pushed to this environment in between
            raise out_of_turn(f"obs[{i}]", lane[i])
        return slots

    def coming(self, env):
        """Return the frame that the next transition of an environment must begin with, None where an episode begins; a copy."""
        cdef Py_ssize_t lane = arrays.integer(env, "env", minimum=0, maximum=self.num_envs - 1)
        cdef Py_ssize_t slot, size = self.layout.slots[0].size
        frame = np.empty(self.layout.schema[0].shape, self.layout.schema[0].dtype)
        cdef bint begins
        lock_take_gil(&self.lock)
        slot = lane * self.room + self.lanes[lane].next % self.room
        begins = self.lanes[lane].age == 0
        memcpy(cnp.PyArray_DATA(frame), self.rows + slot * self.layout.stride + self.layout.slots[0].offset, size)
        lock_leave(&self.lock)
        return None if begins else frame

    def newest(self, obs, name, many=False):
        """Return the newest frame of a stack, or the frame itself; of n of them where ``many``."""
        shape = self.layout.schema[0].shape
        array = np.asarray(obs)
        inner = array.shape[1:] if many else array.shape
        if array.ndim > many - 1 and inner == shape:
            return array
        if inner == (self.stack, *shape):
            return array[:, self.stack - 1] if many else array[self.stack - 1]
        raise ShapeError(f"expected {name} of shape {shape} or {(self.stack, *shape)}, got {inner}")

    cdef int64_t put(self, Py_ssize_t env, Entry* entry, const unsigned char* after) noexcept nogil:
        # The slot, or -1 where the frame is not the one that was said to come.
        cdef Lane* lane = self.lanes + env
        cdef int64_t at = lane.next, slot = env * self.room + at % self.room
        cdef int64_t beyond = env * self.room + (at + 1) % self.room
        cdef unsigned char* row = self.rows + slot * self.layout.stride
        cdef Py_ssize_t frame = self.layout.slots[0].offset, size = self.layout.slots[0].size
        if lane.age and memcmp(row + frame, entry.sources[0], size) != 0:
            return -1
        self.make_way(lane, at + 1 - self.room)
        scatter_rows_at(self.rows, self.layout.stride, &slot, 1, self.layout.slots, entry.sources, self.layout.n_slots)
        (<int32_t*>row)[0] = <int32_t>(lane.age if lane.age < self.stack - 1 else self.stack - 1)
        memcpy(self.rows + beyond * self.layout.stride + frame, after, size)
        lane.held[(lane.first + lane.count) % self.room] = at
        lane.count += 1
        self.count += 1
        self.changes += 1
        if entry.terminated or entry.truncated:
            lane.next, lane.age = at + 2, 0
        else:
            lane.next, lane.age = at + 1, lane.age + 1
        return slot

    cdef void make_way(self, Lane* lane, int64_t lost) noexcept nogil:
        # Transitions that need frame `lost` or an older one cannot be drawn any more.
        cdef int64_t at
        while lane.count:
            at = lane.held[lane.first]
            if at - self.age(lane, at) > lost:
                break
            lane.first = (lane.first + 1) % self.room
            lane.count -= 1
            self.count -= 1

    cdef int64_t age(self, const Lane* lane, int64_t at) noexcept nogil:
        # How many frames before this one an observation has of its own.
        cdef Py_ssize_t env = (lane - self.lanes)
        return (<int32_t*>(self.rows + (env * self.room + at % self.room) * self.layout.stride))[0]

    # -- out

    def sample(self, batch_size, seed, out=None):
        """Draw transitions uniformly, with replacement.

        Parameters
        ----------
        batch_size, seed, out
            As of :meth:`ReplayBuffer.sample`; the seed is an integer.

        Returns
        -------
        dict of str to ndarray
            ``obs`` and ``next_obs``, (B, stack, ...), the newest frame last, and the other columns, (B, ...): copies;
            ``indices``, the slots, int64.
        """
        cdef Py_ssize_t i, n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef uint64_t word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        cdef Target[MOST_COLUMNS] targets
        cdef Target[MOST_COLUMNS] frames
        cdef ChaCha rng
        cdef bint found = True
        frame = self.layout.schema[0]
        given = without(out, ())
        stacks = [arrays.out_array(None if out is None else given.pop(name, None), (n, self.stack, *frame.shape), frame.dtype,
                                   name=name) for name in ("obs", "next_obs")]
        rest = None if out is None else {**given, "obs": np.empty((n, *frame.shape), frame.dtype)}
        batch = self.layout.batch((n,), rest, targets, ())
        slot = np.empty(n, np.int64)
        before, after = np.empty((2, n * self.stack), np.int64)
        cdef int64_t[::1] slots = slot
        cdef int64_t[::1] old = before
        cdef int64_t[::1] new = after
        cdef unsigned char[::1] obs = stacks[0].reshape(-1).view(np.uint8)
        cdef unsigned char[::1] next_obs = stacks[1].reshape(-1).view(np.uint8)
        for i in range(self.layout.n_slots):
            frames[i] = NULL
        targets[0] = NULL
        if n:
            with nogil:
                chacha_seed(&rng, word)
                lock_take(&self.lock)
                found = self.count > 0
                if found:
                    self.draw(&rng, &slots[0], &old[0], &new[0], n)
                    gather_rows(self.rows, self.layout.stride, &slots[0], n, self.layout.slots, targets, self.layout.n_slots)
                    if obs.shape[0]:
                        frames[0] = &obs[0]
                        gather_rows(self.rows, self.layout.stride, &old[0], n * self.stack, self.layout.slots, frames, 1)
                        frames[0] = &next_obs[0]
                        gather_rows(self.rows, self.layout.stride, &new[0], n * self.stack, self.layout.slots, frames, 1)
                lock_leave(&self.lock)
        if not found:
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
        del batch["obs"]
        return {"obs": stacks[0], **batch, "next_obs": stacks[1], "indices": slot}

    cdef void draw(self, ChaCha* rng, int64_t* slots, int64_t* old, int64_t* new, Py_ssize_t n) noexcept nogil:
        # Slots of transitions, and of the frames of what they saw before and after; -1 for zeros.
        cdef Py_ssize_t i, j, env
        cdef int64_t drawn, at, age, first
        cdef const Lane* lane
        for i in range(n):
            drawn = chacha_below(rng, self.count)
            for env in range(self.num_envs):
                lane = self.lanes + env
                if drawn < lane.count:
                    break
                drawn -= lane.count
            at = lane.held[(lane.first + drawn) % self.room]
            age, first = self.age(lane, at), env * self.room
            slots[i] = first + at % self.room
            for j in range(self.stack):
                old[i * self.stack + j] = self.frame(first, at, self.stack - 1 - j, age)
                new[i * self.stack + j] = self.frame(first, at + 1, self.stack - 1 - j, age + 1)

    cdef int64_t frame(self, int64_t first, int64_t at, int64_t back, int64_t age) noexcept nogil:
        # The slot of the frame so many steps back, where the episode has `age` of them.
        if back <= age:
            return first + (at - back) % self.room
        return first + (at - age) % self.room if self.repeat else -1

    # -- state

    def clear(self):
        """Forget all transitions; the memory stays."""
        cdef Py_ssize_t env
        with nogil:
            lock_take(&self.lock)
            self.count = 0
            self.changes += 1
            for env in range(self.num_envs):
                self.lanes[env].next = self.lanes[env].age = 0
                self.lanes[env].first = self.lanes[env].count = 0
            lock_leave(&self.lock)

    def config(self):
        """Return the parameters, as the constructor takes them."""
        config = {name: value for name, value in self.layout.config.items() if name != "obs_shape"}
        return {"capacity": self.capacity, "frame_shape": self.layout.config["obs_shape"], **config, "stack": self.stack,
                "padding": self.padding, "num_envs": self.num_envs}

    def state_dict(self):
        """Return all rows of memory, (capacity, stride) uint8, and which transitions lie where; copies."""
        cdef uint64_t before
        cdef Py_ssize_t env, k
        cdef Lane* lane
        memory = np.zeros((self.capacity, self.layout.stride), np.uint8)
        cdef unsigned char[:, ::1] to = memory
        while True:  # again if somebody pushed meanwhile
            before = self.changes
            lanes = {}
            lock_take_gil(&self.lock)
            if self.count:
                memcpy(&to[0, 0], self.rows, <size_t>self.capacity * self.layout.stride)
            lock_leave(&self.lock)
            for env in range(self.num_envs):
                lane = self.lanes + env
                held = [lane.held[(lane.first + k) % self.room] for k in range(lane.count)]
                lanes[str(env)] = {"next": lane.next, "age": lane.age, "held": np.array(held, np.int64)}
            if self.changes == before:
                return {"memory": memory, "lanes": lanes}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a buffer with the same parameters gave; all or nothing."""
        cdef Py_ssize_t env, k, total = 0
        cdef const unsigned char[:, ::1] memory
        cdef const int64_t[::1] held
        if not isinstance(state, dict) or set(state) != {"memory", "lanes"}:
            raise ConfigError("expected a dict with memory and lanes")
        block = Column("memory", (self.capacity, self.layout.stride), np.uint8)
        given = np.asarray(state["memory"])
        if given.shape != block.shape or given.dtype != block.dtype:
            raise ConfigError(f"expected {block.describe()}, got {given.dtype} {given.shape}")
        given = np.ascontiguousarray(given)
        checked = [checked_lane(state["lanes"], k, given, self.room, self.stack) for k in range(self.num_envs)]
        memory = given
        lock_take_gil(&self.lock)
        memcpy(self.rows, &memory[0, 0], <size_t>self.capacity * self.layout.stride)
        for env in range(self.num_envs):
            held = checked[env][2]
            self.lanes[env].next, self.lanes[env].age = checked[env][0], checked[env][1]
            self.lanes[env].first, self.lanes[env].count = 0, held.shape[0]
            for k in range(held.shape[0]):
                self.lanes[env].held[k] = held[k]
            total += held.shape[0]
        self.count = total
        self.changes += 1
        lock_leave(&self.lock)

    def __repr__(self):
        return f"FrameStackReplayBuffer(capacity={self.capacity}, len={self.count}, stack={self.stack}, {self.layout.describe()})"


cdef object out_of_turn(str name, Py_ssize_t env):
    return InvalidValueError(f"expected {name} to be the frame that the last transition of environment {env} led to; "
                             "an episode that was left must be ended with truncated=True")
