"""Many environments of one kind, stepped together: states side by side, one call without the GIL."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

import math

import numpy as np

from rfx.kernels.cartpole cimport cartpole_observe, cartpole_step
from rfx.kernels.chacha cimport ChaCha, chacha_seed, chacha_unit, mix_seed
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil
from rfx.kernels.pendulum cimport pendulum_observe, pendulum_step

from rfx import arrays
from rfx.envs.spaces import Box, Discrete
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

cnp.import_array()

cdef object LARGEST_SEED = 2**64 - 1


cdef class BatchedEnv:
    """What all kinds have in common; made by :class:`VecEnv` and the single environments."""

    def __cinit__(self, num_envs, *others, **further):
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1, maximum=2**32)
        self.rngs = <ChaCha*>calloc(self.num_envs, sizeof(ChaCha))
        self.state = <double*>calloc(STATE * self.num_envs, sizeof(double))
        self.steps = <int64_t*>calloc(self.num_envs, sizeof(int64_t))
        if self.rngs == NULL or self.state == NULL or self.steps == NULL:
            raise MemoryError(f"{self.num_envs} environments do not fit")

    def __dealloc__(self):
        free(self.rngs)
        free(self.state)
        free(self.steps)

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        # Draw the first state of environment i.
        pass

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        pass

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        pass

    cdef object checked(self, object actions):
        # Actions as an array that `advance` takes; an error names the first that is not in the space.
        pass

    def seed(self, seeds):
        """Give each environment a stream of random numbers from its seed, (num_envs,) of uint64."""
        cdef const uint64_t[::1] given = np.ascontiguousarray(seeds, np.uint64)
        cdef Py_ssize_t i
        if given.shape[0] != self.num_envs:
            raise ShapeError(f"expected {self.num_envs} seeds, got {given.shape[0]}")
        with nogil:
            lock_take(&self.lock)
            for i in range(self.num_envs):
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

    def reset(self, out=None):
        """Begin all episodes anew; returns the observations, (num_envs, obs_dim) float32."""
        obs = arrays.out_array(out, (self.num_envs, self.obs_dim), np.float32)
        cdef float* to = <float*>cnp.PyArray_DATA(obs)
        cdef Py_ssize_t i
        with nogil:
            lock_take(&self.lock)
            for i in range(self.num_envs):
                self.begin(i)
                self.steps[i] = 0
            self.observe(0, self.num_envs, to)
            lock_leave(&self.lock)
        return obs

    def step(self, actions, obs, rewards, terminated, truncated, terminal_obs, bint restart):
        """Take one step of all, into the arrays given; with ``restart``, episodes that end begin anew at once.

        ``terminal_obs`` gets what the step led to, ``obs`` the same or the first observation of the next episode.
        """
        cdef Py_ssize_t i, d = self.obs_dim
        given = self.checked(actions)
        cdef const void* action = cnp.PyArray_DATA(given)
        cdef float* to = <float*>cnp.PyArray_DATA(obs)
        cdef float* led_to = <float*>cnp.PyArray_DATA(terminal_obs)
        cdef double* reward = <double*>cnp.PyArray_DATA(rewards)
        cdef unsigned char* ended = <unsigned char*>cnp.PyArray_DATA(terminated)
        cdef unsigned char* cut = <unsigned char*>cnp.PyArray_DATA(truncated)
        with nogil:
            lock_take(&self.lock)
            self.advance(action, reward, ended)
            self.observe(0, self.num_envs, led_to)
            for i in range(self.num_envs * d):
                to[i] = led_to[i]
            for i in range(self.num_envs):
                self.steps[i] += 1
                cut[i] = self.steps[i] >= self.max_episode_steps
                if restart and (ended[i] or cut[i]):
                    self.begin(i)
                    self.steps[i] = 0
                    self.observe(i, 1, to + i * d)
            lock_leave(&self.lock)

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

    cdef object checked(self, object actions):
        cdef Py_ssize_t i
        array = actions if cnp.PyArray_CheckExact(actions) else np.asarray(actions)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"expected actions to be integers, got {array.dtype}")
        if array.shape != (self.num_envs,):
            raise ShapeError(f"expected actions of shape ({self.num_envs},), got {array.shape}")
        array = np.ascontiguousarray(array, np.int64)
        cdef const int64_t* given = <const int64_t*>cnp.PyArray_DATA(array)
        for i in range(self.num_envs):
            if given[i] != 0 and given[i] != 1:
                raise InvalidValueError(f"expected actions 0 or 1, got {given[i]} at actions[{i}]")
        return array


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

    cdef object checked(self, object actions):
        cdef Py_ssize_t i
        array = np.asarray(actions)
        if array.dtype.kind not in "fiu":
            raise DTypeError(f"expected actions to be numbers, got {array.dtype}")
        if array.shape not in ((self.num_envs, 1), (self.num_envs,)):
            raise ShapeError(f"expected actions of shape ({self.num_envs}, 1), got {array.shape}")
        array = np.ascontiguousarray(array, np.float32).reshape(-1)
        cdef const float* given = <const float*>cnp.PyArray_DATA(array)
        for i in range(self.num_envs):
            if not -3e38 < given[i] < 3e38:
                raise InvalidValueError(f"expected actions to be finite, got {given[i]} at actions[{i}]")
        return array


def batch_of(env_id, num_envs, **options):
    """Return environments of this kind; ConfigError for one that is not known."""
    kinds = {"CartPole-v1": CartPoleBatch, "Pendulum-v1": PendulumBatch}
    name = env_id.removeprefix("rfx/") if isinstance(env_id, str) else env_id
    if name not in kinds:
        raise ConfigError(f"expected one of {', '.join(kinds)}, got {env_id!r}")
    return kinds[name](num_envs, **options)
