"""Many environments of one kind, stepped together: states side by side, one call without the GIL."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import math

import numpy as np

from rfx.kernels.cartpole cimport cartpole_observe, cartpole_step
from rfx.kernels.chacha cimport ChaCha, chacha_seed, chacha_unit, mix_seed
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil
from rfx.kernels.pendulum cimport pendulum_observe, pendulum_step

from rfx import arrays
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.spaces import Box, Discrete
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError

cnp.import_array()

cdef object LARGEST_SEED = 2**64 - 1
cdef int SAME = SAME_STEP, NEXT = NEXT_STEP


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


cdef object masked(object mask, Py_ssize_t n):
    # A mask of n environments as an array whose bytes can be read.
    array = np.ascontiguousarray(mask)
    if array.dtype != np.bool_:
        raise DTypeError(f"expected mask to hold bools, got {array.dtype}")
    if array.shape != (n,):
        raise ShapeError(f"expected mask of shape ({n},), got {array.shape}")
    return array


cdef class BatchedEnv:
    """What all kinds have in common; made by :class:`VecEnv` and the single environments."""

    def __cinit__(self, num_envs, *others, **further):
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1, maximum=2**32)
        self.rngs = <ChaCha*>calloc(self.num_envs, sizeof(ChaCha))
        self.state = <double*>calloc(STATE * self.num_envs, sizeof(double))
        self.steps = <int64_t*>calloc(self.num_envs, sizeof(int64_t))
        self.over = <unsigned char*>calloc(self.num_envs, 1)
        if self.rngs == NULL or self.state == NULL or self.steps == NULL or self.over == NULL:
            raise MemoryError(f"{self.num_envs} environments do not fit")

    def __dealloc__(self):
        free(self.rngs)
        free(self.state)
        free(self.steps)
        free(self.over)

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        # Draw the first state of environment i.
        pass

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        pass

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        pass

    cdef object taken(self, object actions):
        # Actions as an array that `advance` takes, of the right dtype and shape.
        pass

    cdef Py_ssize_t unfit(self, const void* actions, const unsigned char* skip) noexcept nogil:
        # The first action that is not in the space, -1 if there is none; those of `skip` (or NULL) are not looked at.
        return -1

    cdef object refused(self, object given, Py_ssize_t i):
        # The error for action i.
        return InvalidValueError(f"expected actions in {self.action_space}, got {given[i]} at actions[{i}]")

    def seed(self, seeds, mask=None):
        """Give each environment, or those of ``mask``, a stream of random numbers from its seed, (num_envs,) of uint64."""
        cdef const uint64_t[::1] given = np.ascontiguousarray(seeds, np.uint64)
        cdef const unsigned char* chosen = NULL
        cdef Py_ssize_t i
        if given.shape[0] != self.num_envs:
            raise ShapeError(f"expected {self.num_envs} seeds, got {given.shape[0]}")
        if mask is not None:
            mask = masked(mask, self.num_envs)
            chosen = <const unsigned char*>cnp.PyArray_DATA(mask)
        with nogil:
            lock_take(&self.lock)
            for i in range(self.num_envs):
                if chosen == NULL or chosen[i]:
                    chacha_seed(self.rngs + i, given[i])
            lock_leave(&self.lock)

    def seed_from(self, master):
        """Give environment i the stream of ``derive_seed(master, i)``."""
        cdef uint64_t word = arrays.integer(master, "seed", minimum=0, maximum=LARGEST_SEED)
        cdef Py_ssize_t i
        with nogil:
            lock_take(&self.lock)
            for i in range(self.num_envs):
                chacha_seed(self.rngs + i, mix_seed(word, i))
            lock_leave(&self.lock)

    def reset(self, out=None, mask=None):
        """Begin episodes anew, all or where ``mask`` is true; returns the observations of all, (num_envs, obs_dim) float32.

        Raises
        ------
        ShapeError, DTypeError
            ``mask`` is not (num_envs,) of bool, or ``out`` does not fit.
        """
        obs = arrays.out_array(out, (self.num_envs, self.obs_dim), np.float32)
        cdef const unsigned char* chosen = NULL
        cdef float* to = <float*>cnp.PyArray_DATA(obs)
        if mask is not None:
            mask = masked(mask, self.num_envs)
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
                self.begin(i)
                self.steps[i] = 0
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
        cdef Py_ssize_t n = self.num_envs, d = self.obs_dim, bad
        if autoreset != SAME and autoreset != NEXT and autoreset != DISABLED:
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
        if bad == -2:
            raise InvalidStateError("expected reset() first, an episode has ended")
        if bad >= 0:
            raise self.refused(given, bad)

    cdef void move(self, const void* actions, float* obs, float* led_to, double* rewards, unsigned char* terminated,
                   unsigned char* truncated, int autoreset) noexcept nogil:
        # One step of all. Those that had ended are moved as well, from where they were, and then begin anew.
        cdef Py_ssize_t i, d = self.obs_dim
        self.advance(actions, rewards, terminated)
        for i in range(self.num_envs):
            self.steps[i] += 1
            truncated[i] = self.steps[i] >= self.max_episode_steps
        if self.ended:
            for i in range(self.num_envs):
                if self.over[i]:
                    rewards[i], terminated[i], truncated[i] = 0.0, 0, 0
            self.restart(self.over)
        self.observe(0, self.num_envs, led_to)
        if obs != led_to:
            memcpy(obs, led_to, self.num_envs * d * sizeof(float))
        for i in range(self.num_envs):
            if terminated[i] | truncated[i]:
                if autoreset == SAME:
                    self.begin(i)
                    self.steps[i] = 0
                    self.observe(i, 1, obs + i * d)
                else:
                    self.over[i] = 1
                    self.ended += 1

    @property
    def states(self):
        """The states, (num_envs, STATE) float64, a copy; what a kind does not use is 0."""
        cdef Py_ssize_t i, k
        out = np.empty((self.num_envs, STATE))
        cdef double[:, ::1] to = out
        lock_take_gil(&self.lock)
        for i in range(self.num_envs):
            for k in range(STATE):
                to[i, k] = self.state[k * self.num_envs + i]
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
        """Put environments into states, (num_envs, STATE) float64, and say how many steps their episodes have."""
        checked = arrays.finite(arrays.floats(states, "states", (self.num_envs, STATE), np.float64), "states")
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
            for k in range(STATE):
                self.state[k * self.num_envs + i] = given[i, k]
        lock_leave(&self.lock)


cdef class CartPoleBatch(BatchedEnv):
    """Poles on carts, with the dynamics of Gymnasium's CartPole-v1."""

    def __init__(self, num_envs, *, gravity=9.8, masscart=1.0, masspole=0.1, length=0.5, force_mag=10.0, tau=0.02,
                 max_episode_steps=500):
        cdef double cart = arrays.number(masscart, "masscart", above=0.0)
        self.model.gravity = arrays.number(gravity, "gravity")
        self.model.masspole = arrays.number(masspole, "masspole", above=0.0)
        self.model.length = arrays.number(length, "length", above=0.0)
        self.model.force_mag = arrays.number(force_mag, "force_mag", minimum=0.0)
        self.model.tau = arrays.number(tau, "tau", above=0.0)
        self.model.total_mass = self.model.masspole + cart
        self.model.polemass_length = self.model.masspole * self.model.length
        self.model.x_threshold, self.model.theta_threshold = 2.4, 12 * 2 * math.pi / 360
        self.max_episode_steps = arrays.integer(max_episode_steps, "max_episode_steps", minimum=1, maximum=2**62)
        self.obs_dim = 4
        most = np.array([2 * 2.4, np.inf, 2 * self.model.theta_threshold, np.inf], np.float32)
        self.observation_space, self.action_space = Box(-most, most), Discrete(2)

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(4):
            self.state[k * self.num_envs + i] = chacha_unit(self.rngs + i) * (0.05 - -0.05) + -0.05

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef Py_ssize_t i, n = self.num_envs
        cdef double* s = self.state
        cartpole_step(&self.model, s, s + n, s + 2 * n, s + 3 * n, <const int64_t*>actions, n, terminated)
        for i in range(n):
            rewards[i] = 1.0

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        cdef double* s = self.state + first
        cdef Py_ssize_t m = self.num_envs
        cartpole_observe(s, s + m, s + 2 * m, s + 3 * m, n, obs)

    cdef object taken(self, object actions):
        array = actions if cnp.PyArray_CheckExact(actions) else np.asarray(actions)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"expected actions to be integers, got {array.dtype}")
        if array.shape != (self.num_envs,):
            raise ShapeError(f"expected actions of shape ({self.num_envs},), got {array.shape}")
        return np.ascontiguousarray(array, np.int64)

    cdef Py_ssize_t unfit(self, const void* actions, const unsigned char* skip) noexcept nogil:
        cdef Py_ssize_t i
        cdef const uint64_t* given = <const uint64_t*>actions
        for i in range(self.num_envs):
            if given[i] > 1 and not (skip != NULL and skip[i]):
                return i
        return -1


cdef class PendulumBatch(BatchedEnv):
    """Pendulums to be swung up, with the dynamics of Gymnasium's Pendulum-v1."""

    def __init__(self, num_envs, *, g=10.0, mass=1.0, length=1.0, max_episode_steps=200):
        self.model.gravity = arrays.number(g, "g")
        self.model.mass = arrays.number(mass, "mass", above=0.0)
        self.model.length = arrays.number(length, "length", above=0.0)
        self.model.max_speed, self.model.max_torque, self.model.dt = 8.0, 2.0, 0.05
        self.max_episode_steps = arrays.integer(max_episode_steps, "max_episode_steps", minimum=1, maximum=2**62)
        self.obs_dim = 3
        most = np.array([1.0, 1.0, 8.0], np.float32)
        self.observation_space, self.action_space = Box(-most, most), Box(-2.0, 2.0, (1,))

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        self.state[i] = chacha_unit(self.rngs + i) * (2.0 * 3.141592653589793) + -3.141592653589793
        self.state[self.num_envs + i] = chacha_unit(self.rngs + i) * 2.0 + -1.0

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef Py_ssize_t i, n = self.num_envs
        pendulum_step(&self.model, self.state, self.state + n, <const float*>actions, n, rewards)
        for i in range(n):
            terminated[i] = 0

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        pendulum_observe(self.state + first, self.state + self.num_envs + first, n, obs)

    cdef object taken(self, object actions):
        array = np.asarray(actions)
        if array.dtype.kind not in "fiu":
            raise DTypeError(f"expected actions to be numbers, got {array.dtype}")
        if array.shape not in ((self.num_envs, 1), (self.num_envs,)):
            raise ShapeError(f"expected actions of shape ({self.num_envs}, 1), got {array.shape}")
        return np.ascontiguousarray(array, np.float32).reshape(-1)

    cdef Py_ssize_t unfit(self, const void* actions, const unsigned char* skip) noexcept nogil:
        cdef Py_ssize_t i
        cdef const float* given = <const float*>actions
        for i in range(self.num_envs):
            if not -3.4028234e38 <= given[i] <= 3.4028234e38 and not (skip != NULL and skip[i]):
                return i
        return -1

    cdef object refused(self, object given, Py_ssize_t i):
        return InvalidValueError(f"expected actions to be finite, got {given[i]} at actions[{i}]")


def batch_of(env_id, num_envs, **options):
    """Return environments of this kind; ConfigError for one that is not known."""
    kinds = {"CartPole-v1": CartPoleBatch, "Pendulum-v1": PendulumBatch}
    name = env_id.removeprefix("rfx/") if isinstance(env_id, str) else env_id
    if name not in kinds:
        raise ConfigError(f"expected one of {', '.join(kinds)}, got {env_id!r}")
    return kinds[name](num_envs, **options)
