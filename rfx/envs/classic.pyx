"""The classic environments in batches, each with the dynamics of Gymnasium's to the last bit."""

from libc.stdint cimport int64_t
from libc.string cimport memset

import math

import numpy as np

from rfx.kernels.acrobot cimport acrobot_derive, acrobot_observe, acrobot_step
from rfx.kernels.cartpole cimport cartpole_observe, cartpole_step
from rfx.kernels.chacha cimport chacha_unit
from rfx.kernels.mountain_car cimport car_observe, car_step, continuous_car_step
from rfx.kernels.pendulum cimport pendulum_observe, pendulum_step
from rfx.kernels.trig cimport sin_cos_n

from rfx import arrays
from rfx.envs.spaces import Box, Discrete


cdef class CartPoleBatch(BatchedEnv):
    """Poles on carts, with the dynamics of Gymnasium's CartPole-v1. A state: position, speed, angle, rate."""

    def __init__(self, num_envs, *, gravity=9.8, masscart=1.0, masspole=0.1, length=0.5, force_mag=10.0, tau=0.02,
                 max_episode_steps=500):
        most = np.array([2 * 2.4, np.inf, 2 * 12 * 2 * math.pi / 360, np.inf], np.float32)
        self.describe(4, Box(-most, most), Discrete(2), max_episode_steps)
        self.add_physics("gravity", arrays.number(gravity, "gravity"))
        self.add_physics("masscart", arrays.number(masscart, "masscart", above=0.0))
        self.add_physics("masspole", arrays.number(masspole, "masspole", above=0.0))
        self.add_physics("length", arrays.number(length, "length", above=0.0))
        self.add_physics("force_mag", arrays.number(force_mag, "force_mag", minimum=0.0))
        self.add_physics("tau", arrays.number(tau, "tau", above=0.0))

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(4):
            self.state[k * self.num_envs + i] = chacha_unit(self.rngs + i) * (0.05 - -0.05) + -0.05

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef Py_ssize_t i, n = self.num_envs
        cdef double* s = self.state
        cartpole_step(self.physics_of_all, self.physics_stride, s, s + n, s + 2 * n, s + 3 * n, <const int64_t*>actions, n,
                      terminated)
        for i in range(n):
            rewards[i] = 1.0

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        cdef double* s = self.state + first
        cdef Py_ssize_t m = self.num_envs
        cartpole_observe(s, s + m, s + 2 * m, s + 3 * m, n, obs)


cdef class PendulumBatch(BatchedEnv):
    """Pendulums to be swung up, with the dynamics of Gymnasium's Pendulum-v1. A state: angle and rate."""

    def __init__(self, num_envs, *, g=10.0, mass=1.0, length=1.0, max_episode_steps=200):
        most = np.array([1.0, 1.0, 8.0], np.float32)
        self.describe(2, Box(-most, most), Box(-2.0, 2.0, (1,)), max_episode_steps)
        self.add_physics("g", arrays.number(g, "g"))
        self.add_physics("mass", arrays.number(mass, "mass", above=0.0))
        self.add_physics("length", arrays.number(length, "length", above=0.0))

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        self.state[i] = chacha_unit(self.rngs + i) * (2.0 * 3.141592653589793) + -3.141592653589793
        self.state[self.num_envs + i] = chacha_unit(self.rngs + i) * 2.0 + -1.0

    cdef void derive(self, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
        cdef double* s = self.state + first
        sin_cos_n(s, n, s + 2 * self.num_envs, s + 3 * self.num_envs)

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef Py_ssize_t n = self.num_envs
        cdef double* s = self.state
        pendulum_step(self.physics_of_all, self.physics_stride, s, s + n, s + 2 * n, <const float*>actions, n, rewards)
        self.derive(0, n)
        memset(terminated, 0, n)

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        cdef double* s = self.state + first
        cdef Py_ssize_t m = self.num_envs
        pendulum_observe(s + m, s + 2 * m, s + 3 * m, n, obs)


cdef class MountainCarBatch(BatchedEnv):
    """Cars in a valley, with the dynamics of Gymnasium's MountainCar-v0. A state: position and speed."""

    def __init__(self, num_envs, *, force=0.001, gravity=0.0025, goal_velocity=0.0, max_episode_steps=200):
        self.describe(2, CAR_SPACE, Discrete(3), max_episode_steps)
        self.add_physics("force", arrays.number(force, "force", minimum=0.0))
        self.add_physics("gravity", arrays.number(gravity, "gravity"))
        self.add_physics("goal_velocity", arrays.number(goal_velocity, "goal_velocity"))

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        self.state[i] = chacha_unit(self.rngs + i) * (-0.4 - -0.6) + -0.6
        self.state[self.num_envs + i] = 0.0

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef Py_ssize_t i, n = self.num_envs
        car_step(self.physics_of_all, self.physics_stride, self.state, self.state + n, <const int64_t*>actions, n, terminated)
        for i in range(n):
            rewards[i] = -1.0

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        car_observe(self.state + first, self.state + self.num_envs + first, n, obs)


cdef class MountainCarContinuousBatch(BatchedEnv):
    """Cars in a valley, with the dynamics of Gymnasium's MountainCarContinuous-v0. A state: position and speed.

    Gymnasium computes the first step of an episode in float64 and all others in float32; so a state that is set with 0
    steps counts as float64.
    """

    def __init__(self, num_envs, *, power=0.0015, gravity=0.0025, goal_velocity=0.0, max_episode_steps=999):
        self.describe(2, CAR_SPACE, Box(-1.0, 1.0, (1,)), max_episode_steps)
        self.add_physics("power", arrays.number(power, "power", minimum=0.0))
        self.add_physics("gravity", arrays.number(gravity, "gravity"))
        self.add_physics("goal_velocity", arrays.number(goal_velocity, "goal_velocity"))

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        self.state[i] = chacha_unit(self.rngs + i) * (-0.4 - -0.6) + -0.6
        self.state[self.num_envs + i] = 0.0

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef Py_ssize_t n = self.num_envs
        continuous_car_step(self.physics_of_all, self.physics_stride, self.state, self.state + n, self.steps,
                            <const float*>actions, n, rewards, terminated)

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        car_observe(self.state + first, self.state + self.num_envs + first, n, obs)


cdef class AcrobotBatch(BatchedEnv):
    """Two links to be swung up, with the dynamics of Gymnasium's Acrobot-v1. A state: two angles, two rates.

    Gymnasium observes a first state by NumPy's float32 cosine, whose last bit depends on the CPU; ours is that of
    float64, rounded once. All other observations are bit-equal.
    """

    def __init__(self, num_envs, *, link_mass_1=1.0, link_mass_2=1.0, link_length_1=1.0, link_com_pos_1=0.5,
                 link_com_pos_2=0.5, link_moi=1.0, dt=0.2, max_episode_steps=500):
        most = np.array([1.0, 1.0, 1.0, 1.0, 4 * math.pi, 9 * math.pi], np.float32)
        self.describe(4, Box(-most, most), Discrete(3), max_episode_steps)
        self.add_physics("link_mass_1", arrays.number(link_mass_1, "link_mass_1", above=0.0))
        self.add_physics("link_mass_2", arrays.number(link_mass_2, "link_mass_2", above=0.0))
        self.add_physics("link_length_1", arrays.number(link_length_1, "link_length_1", above=0.0))
        self.add_physics("link_com_pos_1", arrays.number(link_com_pos_1, "link_com_pos_1", above=0.0))
        self.add_physics("link_com_pos_2", arrays.number(link_com_pos_2, "link_com_pos_2", above=0.0))
        self.add_physics("link_moi", arrays.number(link_moi, "link_moi", above=0.0))
        self.add_physics("dt", arrays.number(dt, "dt", above=0.0))

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(4):
            self.state[k * self.num_envs + i] = <float>(chacha_unit(self.rngs + i) * (0.1 - -0.1) + -0.1)

    cdef void derive(self, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
        acrobot_derive(self.state + first, self.num_envs, n)

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        acrobot_step(self.physics_of_all, self.physics_stride, self.state, self.num_envs, <const int64_t*>actions,
                     self.num_envs, rewards, terminated)

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        acrobot_observe(self.state + first, self.num_envs, n, obs)


CAR_SPACE = Box(np.array([-1.2, -0.07], np.float32), np.array([0.6, 0.07], np.float32))

KINDS = {
    "CartPole-v1": CartPoleBatch,
    "Pendulum-v1": PendulumBatch,
    "MountainCar-v0": MountainCarBatch,
    "MountainCarContinuous-v0": MountainCarContinuousBatch,
    "Acrobot-v1": AcrobotBatch,
    "Go2-v0": "rfx.sim.go2_env:Go2Batch",  # of a room above: found by its name, like a plug-in, when it is asked for
}
