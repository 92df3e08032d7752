from libc.stdint cimport int64_t, uint64_t

from rfx.envs.physics cimport Physics

cdef enum:
    STATE = 8                # rows of state at most, with what is derived


cdef class BatchedEnv(Physics):
    cdef readonly Py_ssize_t obs_dim
    cdef readonly Py_ssize_t state_dim
    cdef readonly Py_ssize_t max_episode_steps
    cdef readonly object observation_space
    cdef readonly object action_space
    cdef Py_ssize_t action_dim
    cdef uint64_t choices            # how many actions, 0 for arrays of numbers
    cdef double* state               # (STATE, num_envs)
    cdef int64_t* steps
    cdef unsigned char* over         # whether the episode has ended and not begun anew
    cdef Py_ssize_t ended            # how many are over

    cdef int describe(self, Py_ssize_t state_dim, object observation_space, object action_space,
                      object max_episode_steps) except -1
    cdef int made(self) except -1
    cdef double* cell(self, Py_ssize_t i, Py_ssize_t k) noexcept nogil
    cdef void begin(self, Py_ssize_t i) noexcept nogil
    cdef void derive(self, Py_ssize_t first, Py_ssize_t n) noexcept nogil
    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil
    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil
    cdef object taken(self, object actions)
    cdef Py_ssize_t unfit(self, const void* actions, const unsigned char* skip) noexcept nogil
    cdef void renew(self, Py_ssize_t i) noexcept nogil
    cdef void restart(self, const unsigned char* chosen) noexcept nogil
    cdef int take(self, object actions, object obs, object rewards, object terminated, object truncated, object terminal_obs,
                  int autoreset) except -1
    cdef object refused(self, Py_ssize_t bad, object action)
    cdef void move(self, const void* actions, float* obs, float* led_to, double* rewards, unsigned char* terminated,
                   unsigned char* truncated, int autoreset) noexcept nogil
    cdef void finish(self, Py_ssize_t i, float* obs, int autoreset) noexcept nogil
