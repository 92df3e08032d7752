from libc.stdint cimport int64_t

from rfx.kernels.cartpole cimport CartPoleModel
from rfx.kernels.chacha cimport ChaCha
from rfx.kernels.lock cimport Lock
from rfx.kernels.pendulum cimport PendulumModel

cdef enum:
    STATE = 4                # numbers of a state at most


cdef class BatchedEnv:
    cdef readonly Py_ssize_t num_envs
    cdef readonly Py_ssize_t obs_dim
    cdef readonly Py_ssize_t max_episode_steps
    cdef readonly object observation_space
    cdef readonly object action_space
    cdef ChaCha* rngs
    cdef double* state               # (STATE, num_envs)
    cdef int64_t* steps
    cdef Lock lock                   # over all of the above; held only around C code

    cdef void begin(self, Py_ssize_t i) noexcept nogil
    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil
    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil
    cdef object checked(self, object actions)


cdef class CartPoleBatch(BatchedEnv):
    cdef CartPoleModel model


cdef class PendulumBatch(BatchedEnv):
    cdef PendulumModel model
