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
    cdef unsigned char* over         # whether the episode has ended and not begun anew
    cdef Py_ssize_t ended            # how many are over
    cdef Lock lock                   # over all of the above; held only around C code

    cdef void begin(self, Py_ssize_t i) noexcept nogil
    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil
    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil
    cdef object taken(self, object actions)
    cdef Py_ssize_t unfit(self, const void* actions, const unsigned char* skip) noexcept nogil
    cdef object refused(self, object given, Py_ssize_t i)
    cdef void restart(self, const unsigned char* chosen) noexcept nogil
    cdef void move(self, const void* actions, float* obs, float* led_to, double* rewards, unsigned char* terminated,
                   unsigned char* truncated, int autoreset) noexcept nogil


cdef class CartPoleBatch(BatchedEnv):
    cdef CartPoleModel model


cdef class PendulumBatch(BatchedEnv):
    cdef PendulumModel model
