"""A sledge on ice, pushed to the left or to the right: an environment that is not in rfx."""

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport fabs
from libc.stdint cimport int64_t

from rfx.envs.custom cimport EnvSpec, env_spec, spec_capsule
from rfx.kernels.chacha cimport ChaCha, chacha_unit

import numpy as np

from rfx.envs.custom import CustomBatch
from rfx.envs.spaces import Box, Discrete


cdef void begin(double* state, const double* parameters, ChaCha* rng) noexcept nogil:
    state[0], state[1] = chacha_unit(rng) - 0.5, 0.0


cdef bint advance(double* state, const double* parameters, const void* action, double* reward) noexcept nogil:
    cdef int64_t push = (<const int64_t*>action)[0] - 1
    state[1] += push / parameters[0] * 0.1
    state[0] += state[1] * 0.1
    reward[0] = 1.0 - fabs(state[0])
    return fabs(state[0]) > 1.0  # terminated


cdef void observe(const double* state, const double* parameters, float* obs) noexcept nogil:
    obs[0], obs[1] = <float>state[0], <float>state[1]


cdef EnvSpec spec = env_spec(2, begin, advance, observe)  # a state of two numbers
cdef EnvSpec empty = env_spec(2, NULL, NULL, NULL)


def sledges(num_envs, mass=2.0, max_episode_steps=100):
    """Return sledges for VecEnv; actions 0, 1, 2 push to the left, not at all, to the right."""
    most = np.array([2.0, np.inf], np.float32)
    return CustomBatch(
        num_envs, spec_capsule(&spec), observation_space=Box(-most, most), action_space=Discrete(3),
        max_episode_steps=max_episode_steps, parameters={"mass": mass})


def capsule_of_another_kind():
    return PyCapsule_New(&spec, "another.kind", NULL)


def capsule_without_functions():
    return spec_capsule(&empty)
