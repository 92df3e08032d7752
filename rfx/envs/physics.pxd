from libc.stdint cimport int64_t, uint32_t, uint64_t

from rfx.kernels.chacha cimport ChaCha
from rfx.kernels.drift cimport Drifter, DriftRule
from rfx.kernels.lock cimport Lock

cdef enum:
    PHYSICS = 8              # numbers of the physics at most


# The arrays of a state dict that streams and drift are in.
ctypedef struct Parts:
    uint32_t* keys
    uint64_t* positions
    uint32_t* drift_keys
    uint64_t* drift_positions
    double* values
    double* middles
    double* phases
    int64_t* ticks


cdef class Physics:
    cdef readonly Py_ssize_t num_envs
    cdef ChaCha* rngs                # (num_envs,)
    cdef double* physics_of_all      # (PHYSICS, physics_stride)
    cdef Py_ssize_t physics_stride   # 1: the same in all environments; else num_envs
    cdef tuple physics_names
    cdef dict ways                   # what drifts how, as given; None without drift
    cdef Py_ssize_t drifting         # how many of them drift
    cdef DriftRule* rules            # (drifting,)
    cdef Drifter* drifters           # (drifting, num_envs)
    cdef ChaCha* drift_rngs          # (num_envs,)
    cdef Lock lock                   # over all of this and what derived classes have; held only around C code

    cdef int add_physics(self, str name, double value) except -1
    cdef void plant(self, Py_ssize_t i, uint64_t seed) noexcept nogil
    cdef void drift(self, Py_ssize_t i, bint per_episode) noexcept nogil
    cdef dict streams(self)
    cdef dict checked_streams(self, dict state)
    cdef void copy_streams(self, Parts* p, bint back) noexcept nogil
    cdef object may_be(self, str name, double value)
    cdef int widen(self, Py_ssize_t drifting) except -1
    cdef int set_rule(self, Py_ssize_t k, Py_ssize_t row, object way) except -1

cdef object part(object state, str name, object shape, object dtype)
cdef Parts parts_of(dict streams)
