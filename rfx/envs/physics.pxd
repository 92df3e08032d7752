from libc.stdint cimport uint64_t

from rfx.kernels.chacha cimport ChaCha
from rfx.kernels.drift cimport Drifter, DriftRule
from rfx.kernels.lock cimport Lock

cdef enum:
    PHYSICS = 8              # numbers of the physics at most


cdef class Physics:
    cdef readonly Py_ssize_t num_envs
    cdef ChaCha* rngs                # (num_envs,)
    cdef double* physics_of_all      # (PHYSICS, physics_stride)
    cdef Py_ssize_t physics_stride   # 1: the same in all environments; else num_envs
    cdef tuple physics_names
    cdef Py_ssize_t drifting         # how many of them drift
    cdef DriftRule* rules            # (drifting,)
    cdef Drifter* drifters           # (drifting, num_envs)
    cdef ChaCha* drift_rngs          # (num_envs,)
    cdef Lock lock                   # over all of this and what derived classes have; held only around C code

    cdef int add_physics(self, str name, double value) except -1
    cdef void plant(self, Py_ssize_t i, uint64_t seed) noexcept nogil
    cdef void drift(self, Py_ssize_t i, bint per_episode) noexcept nogil
    cdef object may_be(self, str name, double value)
    cdef int widen(self, Py_ssize_t drifting) except -1
    cdef int set_rule(self, Py_ssize_t k, Py_ssize_t row, object way) except -1
