"""Many environments of one kind, stepped together: states side by side, one call without the GIL."""

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import numpy as np

from rfx.envs.physics cimport Parts, Physics, part, parts_of
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil

from rfx import arrays
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.spaces import Discrete
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError

cnp.import_array()

cdef int SAME = SAME_STEP, NEXT = NEXT_STEP, NEVER = DISABLED


cdef inline object written(object out, str name, int kind, Py_ssize_t rows, Py_ssize_t columns, object dtype):
    # An array that a step may write to: (rows,) or, with columns, (rows, columns). The quick look is for what fits.
    cdef cnp.ndarray a
    if cnp.PyArray_CheckExact(out):
        a = out
        if (cnp.PyArray_TYPE(a) == kind and cnp.PyArray_ISCARRAY(a) and cnp.PyArray_NDIM(a) == (2 if columns else 1)
                and cnp.PyArray_DIM(a, 0) == rows and (columns == 0 or cnp.PyArray_DIM(a, 1) == columns)):
            return a
    if out is None:
        raise DTypeError(f"expected {name} to be a numpy array, got None")
    shape = (rows, columns)
    return arrays.out_array(out, shape if columns else shape[:1], dtype, name=name)


cdef inline Py_ssize_t next_of(const unsigned char* a, const unsigned char* b, Py_ssize_t n, Py_ssize_t i) noexcept nogil:
    # The first index from i on where one of two arrays of flags is set, n if there is none; eight at a time.
    cdef uint64_t x, y
    while i < n:
        if i % 8 == 0 and i + 8 <= n:
            memcpy(&x, a + i, 8)
            memcpy(&y, b + i, 8)
            if not x | y:
                i += 8
                continue
        if a[i] | b[i]:
            return i
        i += 1
    return n


cdef class BatchedEnv(Physics):
    """What all kinds have in common; made by :class:`VecEnv` and the single environments.

    A kind of one's own in Cython defines ``begin``, ``advance``, ``observe`` and, where something follows from a state,
    ``derive``; its ``__init__`` calls ``describe`` and, for numbers that may drift, ``add_physics``.
    """

    def __cinit__(self, num_envs, *others, **further):
        self.state = <double*>calloc(STATE * self.num_envs, sizeof(double))
        self.steps = <int64_t*>calloc(self.num_envs, sizeof(int64_t))
        self.over = <unsigned char*>calloc(self.num_envs, 1)
        if self.state == NULL or self.steps == NULL or self.over == NULL:
            raise MemoryError(f"{self.num_envs} environments do not fit")
        self.state_dim = self.obs_dim = self.action_dim = 1

    def __dealloc__(self):
        free(self.state)
        free(self.steps)
        free(self.over)

    cdef int describe(self, Py_ssize_t state_dim, object observation_space, object action_space,
                      object max_episode_steps) except -1:
        # What is observed, which actions there are, and how many numbers a state has.
        self.max_episode_steps = arrays.integer(max_episode_steps, "max_episode_steps", minimum=1, maximum=2**62)
        self.state_dim, self.obs_dim = state_dim, observation_space.shape[0]
        self.physics_names = ()
        self.observation_space, self.action_space = observation_space, action_space
        if isinstance(action_space, Discrete):
            self.choices, self.action_dim = action_space.n, 1
        else:
            self.choices, self.action_dim = 0, action_space.shape[0]
        return 0

    cdef int made(self) except -1:
        # That __init__ has been run: before, obs_dim is not what `observe` writes.
        if self.observation_space is None:
            raise InvalidStateError(f"expected a {type(self).__name__} that was made by calling it")
        return 0

    cdef double* cell(self, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
        # Where number k of the state of environment i is.
        return self.state + k * self.num_envs + i

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        # Draw the first state of environment i.
        pass

    cdef void derive(self, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
        # Compute what follows from the states of n environments.
        pass

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        # One step of all; actions are those that `taken` let pass.
        pass

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        # What is seen of n environments, (n, obs_dim).
        pass

    cdef object taken(self, object actions):
        # Actions as an array that `advance` takes, of the right dtype and shape.
        cdef int kind = cnp.NPY_INT64 if self.choices else cnp.NPY_FLOAT32
        cdef Py_ssize_t n = self.num_envs, k = self.action_dim
        cdef cnp.ndarray a
        if cnp.PyArray_CheckExact(actions):
            a = actions
            if (1 <= cnp.PyArray_NDIM(a) <= (1 if self.choices else 2) and cnp.PyArray_TYPE(a) == kind
                    and cnp.PyArray_ISCARRAY_RO(a) and cnp.PyArray_DIM(a, 0) == n and cnp.PyArray_SIZE(a) == n * k):
                return a
        array = np.asarray(actions)
        if array.dtype.kind not in ("iu" if self.choices else "fiu"):
            raise DTypeError(f"expected actions to be {'integers' if self.choices else 'numbers'}, got {array.dtype}")
        if array.shape != (n,) and (self.choices or array.shape != (n, k)) or (array.shape == (n,) and k != 1):
            raise ShapeError(f"expected actions of shape ({n}{',' if self.choices else f', {k}'}), got {array.shape}")
        if array.dtype.kind == "u" and array.dtype.itemsize == 8 and self.choices:
            array = np.minimum(array, np.uint64(2**63 - 1))
        return np.require(array, np.int64 if self.choices else np.float32, ["C", "A"])

    cdef Py_ssize_t unfit(self, const void* actions, const unsigned char* skip) noexcept nogil:
        # The first action that is not in the space, -1 if there is none; those of `skip` (or NULL) are not looked at.
        cdef Py_ssize_t i, n = self.num_envs, k = self.action_dim
        cdef const uint64_t* chosen = <const uint64_t*>actions
        cdef const float* pushed = <const float*>actions
        cdef uint64_t choices = self.choices
        cdef int bad = 0
        if choices:
            for i in range(n):
                bad |= chosen[i] >= choices
        else:
            for i in range(n * k):
                bad |= not -INFINITY < pushed[i] < INFINITY
        if bad:
            for i in range(n * k):
                if (chosen[i] >= choices if choices else not -INFINITY < pushed[i] < INFINITY):
                    if skip == NULL or not skip[i // k]:
                        return i
        return -1

    cdef void renew(self, Py_ssize_t i) noexcept nogil:
        # Begin an episode of environment i.
        self.drift(i, True)
        self.begin(i)
        self.derive(i, 1)
        self.steps[i] = 0

    def reset(self, out=None, mask=None):
        """Begin episodes anew, all or where ``mask`` is true; returns the observations of all, (num_envs, obs_dim) float32.

        Raises
        ------
        ShapeError, DTypeError
            ``mask`` is not (num_envs,) of bool, or ``out`` does not fit.
        """
        self.made()
        obs = arrays.out_array(out, (self.num_envs, self.obs_dim), np.float32)
        cdef const unsigned char* chosen = NULL
        cdef float* to = <float*>cnp.PyArray_DATA(obs)
        if mask is not None:
            mask = np.ascontiguousarray(mask)
            if mask.dtype != np.bool_:
                raise DTypeError(f"expected mask to hold bools, got {mask.dtype}")
            if mask.shape != (self.num_envs,):
                raise ShapeError(f"expected mask of shape ({self.num_envs},), got {mask.shape}")
            chosen = <const unsigned char*>cnp.PyArray_DATA(mask)
        with nogil:
            lock_take(&self.lock)
            self.restart(chosen)
            self.observe(0, self.num_envs, to)
            lock_leave(&self.lock)
        return obs

    cdef void restart(self, const unsigned char* chosen) noexcept nogil:
        # Begin the chosen episodes anew, or all with NULL; the lock is the caller's.
        cdef Py_ssize_t i
        for i in range(self.num_envs):
            if chosen == NULL or chosen[i]:
                self.renew(i)
                self.ended -= self.over[i]
                self.over[i] = 0

    def step(self, actions, obs, rewards, terminated, truncated, terminal_obs, int autoreset):
        """Take one step of all into the arrays given; an action that is not in the space is an error and moves nothing.

        ``terminal_obs`` gets what the step led to. ``obs`` is what to act on next, by ``autoreset``, as
        ``rfx.envs.engine.Engine`` says. Environments that ended in a step with NEXT_STEP or DISABLED may go on by a step with
        NEXT_STEP or by ``reset`` only.

        Raises
        ------
        InvalidStateError
            An environment has ended, and ``autoreset`` is not NEXT_STEP.
        InvalidValueError, DTypeError, ShapeError
            An action is not in the space, or an array does not fit.
        """
        self.take(actions, obs, rewards, terminated, truncated, terminal_obs, autoreset)

    cdef int take(self, object actions, object obs, object rewards, object terminated, object truncated, object terminal_obs,
                  int autoreset) except -1:
        cdef Py_ssize_t n = self.num_envs, d = self.obs_dim, bad
        self.made()
        if autoreset != SAME and autoreset != NEXT and autoreset != NEVER:
            raise ConfigError(f"expected autoreset to be SAME_STEP, NEXT_STEP or DISABLED, got {autoreset}")
        given = self.taken(actions)
        cdef const void* action = cnp.PyArray_DATA(given)
        obs = written(obs, "obs", cnp.NPY_FLOAT32, n, d, np.float32)
        terminal_obs = written(terminal_obs, "terminal_obs", cnp.NPY_FLOAT32, n, d, np.float32)
        rewards = written(rewards, "rewards", cnp.NPY_FLOAT64, n, 0, np.float64)
        terminated = written(terminated, "terminated", cnp.NPY_BOOL, n, 0, np.bool_)
        truncated = written(truncated, "truncated", cnp.NPY_BOOL, n, 0, np.bool_)
        cdef float* to = <float*>cnp.PyArray_DATA(obs)
        cdef float* led_to = <float*>cnp.PyArray_DATA(terminal_obs)
        cdef double* reward = <double*>cnp.PyArray_DATA(rewards)
        cdef unsigned char* end = <unsigned char*>cnp.PyArray_DATA(terminated)
        cdef unsigned char* cut = <unsigned char*>cnp.PyArray_DATA(truncated)
        with nogil:
            lock_take(&self.lock)
            bad = -2 if self.ended and autoreset != NEXT else self.unfit(action, self.over if self.ended else NULL)
            if bad == -1:
                self.move(action, to, led_to, reward, end, cut, autoreset)
            lock_leave(&self.lock)
        if bad != -1:
            raise self.refused(bad, given.reshape(-1)[bad] if bad >= 0 else None)
        return 0

    cdef object refused(self, Py_ssize_t bad, object action):
        # The error for the number of an action, or for -2, an episode that has ended.
        if bad == -2:
            return InvalidStateError("expected reset() first, an episode has ended")
        wanted = f"from 0 to {self.choices - 1}" if self.choices else "finite"
        return InvalidValueError(f"expected actions {wanted}, got {action} at actions[{bad // self.action_dim}]")

    cdef void move(self, const void* actions, float* obs, float* led_to, double* rewards, unsigned char* terminated,
                   unsigned char* truncated, int autoreset) noexcept nogil:
        # One step of all. Those that had ended are moved as well, from where they were, and then begin anew.
        cdef Py_ssize_t i, n = self.num_envs, d = self.obs_dim
        cdef int64_t last = self.max_episode_steps - 1, left = 0
        cdef int64_t* steps = self.steps
        self.advance(actions, rewards, terminated)
        for i in range(n):
            left |= last - 1 - steps[i]
            steps[i] += 1
        if self.drifting:
            for i in range(n):
                if not self.over[i]:
                    self.drift(i, False)
        memset(truncated, 0, n)
        if left < 0:
            for i in range(n):
                truncated[i] = steps[i] > last
        if self.ended:
            for i in range(n):
                if self.over[i]:
                    rewards[i], terminated[i], truncated[i] = 0.0, 0, 0
            self.restart(self.over)
        self.observe(0, n, led_to)
        if obs != led_to:
            memcpy(obs, led_to, n * d * sizeof(float))
        i = next_of(terminated, truncated, n, 0)
        while i < n:
            self.finish(i, obs + i * d, autoreset)
            i = next_of(terminated, truncated, n, i + 1)

    cdef void finish(self, Py_ssize_t i, float* obs, int autoreset) noexcept nogil:
        # The episode of environment i has ended.
        if autoreset == SAME:
            self.renew(i)
            self.observe(i, 1, obs)
        else:
            self.over[i] = 1
            self.ended += 1

    @property
    def states(self):
        """The states, (num_envs, state_dim) float64, a copy."""
        cdef Py_ssize_t i, k
        out = np.empty((self.num_envs, self.state_dim))
        cdef double[:, ::1] to = out
        lock_take_gil(&self.lock)
        for i in range(self.num_envs):
            for k in range(self.state_dim):
                to[i, k] = self.cell(i, k)[0]
        lock_leave(&self.lock)
        return out

    @property
    def episode_steps(self):
        """How many steps the episodes have, (num_envs,) int64, a copy."""
        out = np.empty(self.num_envs, np.int64)
        lock_take_gil(&self.lock)
        memcpy(cnp.PyArray_DATA(out), self.steps, self.num_envs * sizeof(int64_t))
        lock_leave(&self.lock)
        return out

    def set_states(self, states, steps=None):
        """Put environments into states, (num_envs, state_dim) float64, and say how many steps their episodes have."""
        checked = arrays.finite(arrays.floats(states, "states", (self.num_envs, self.state_dim), np.float64), "states")
        cdef const double[:, ::1] given = checked
        counts = np.zeros(self.num_envs, np.int64) if steps is None else np.ascontiguousarray(steps, np.int64)
        if counts.shape != (self.num_envs,) or (counts < 0).any():
            raise ShapeError(f"expected steps of shape ({self.num_envs},), at least 0, got {counts.shape}")
        cdef const int64_t[::1] count = counts
        cdef Py_ssize_t i, k
        lock_take_gil(&self.lock)
        memset(self.over, 0, self.num_envs)
        self.ended = 0
        for i in range(self.num_envs):
            self.steps[i] = count[i]
            for k in range(self.state_dim):
                self.cell(i, k)[0] = given[i, k]
        self.derive(0, self.num_envs)
        lock_leave(&self.lock)

    def state_dict(self):
        """Return all that a run goes on from: states, steps, streams of random numbers and drift, as a dict of arrays."""
        streams = self.streams()
        states, steps = np.empty((self.num_envs, self.state_dim)), np.empty(self.num_envs, np.int64)
        over = np.empty(self.num_envs, np.bool_)
        cdef Parts parts = parts_of(streams)
        cdef double* state = <double*>cnp.PyArray_DATA(states)
        cdef Py_ssize_t i, k
        lock_take_gil(&self.lock)
        for i in range(self.num_envs):
            for k in range(self.state_dim):
                state[i * self.state_dim + k] = self.cell(i, k)[0]
        memcpy(cnp.PyArray_DATA(steps), self.steps, self.num_envs * sizeof(int64_t))
        memcpy(cnp.PyArray_DATA(over), self.over, self.num_envs)
        self.copy_streams(&parts, False)
        lock_leave(&self.lock)
        return {"states": states, "steps": steps, "over": over, **streams}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of such environments gave; on an error nothing changes.

        Raises
        ------
        ConfigError
            It is not the dict of such environments.
        ShapeError, InvalidValueError
            An array has another shape or dtype, or numbers that cannot be.
        """
        cdef Py_ssize_t n = self.num_envs, i
        if not isinstance(state, dict) or set(state) != {"states", "steps", "over", *self.streams()}:
            raise ConfigError(f"expected a dict with states, steps, over, {', '.join(self.streams())}")
        states = part(state, "states", (n, self.state_dim), np.float64)
        steps, over = part(state, "steps", (n,), np.int64), part(state, "over", (n,), np.bool_)
        streams = self.checked_streams(state)
        cdef Parts parts = parts_of(streams)
        cdef const unsigned char* ended = <const unsigned char*>cnp.PyArray_DATA(over)
        self.set_states(states, steps)
        lock_take_gil(&self.lock)
        self.ended = 0
        for i in range(n):
            self.over[i] = ended[i]
            self.ended += ended[i]
        self.copy_streams(&parts, True)
        lock_leave(&self.lock)

    def __reduce__(self):
        options = {name: self.physics_of_all[k * self.physics_stride] for k, name in enumerate(self.physics_names)}
        for k in range(self.drifting):
            options[self.physics_names[self.rules[k].row]] = self.rules[k].start
        return _rebuild, (type(self), self.num_envs, self.max_episode_steps, options, self.ways, self.state_dict())

    def __repr__(self):
        return f"{type(self).__name__}(num_envs={self.num_envs})"


def _rebuild(kind, num_envs, max_episode_steps, options, ways, state):
    made = kind(num_envs, max_episode_steps=max_episode_steps, **options)
    if ways:
        made.set_drift(ways)
    made.load_state_dict(state)
    return made
