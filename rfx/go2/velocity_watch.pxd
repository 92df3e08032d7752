from libc.stdint cimport int64_t, uint32_t

from rfx.go2.low_frame cimport low_numbers_t
from rfx.sim.odometry cimport VelocityEstimator

cdef enum:
    ESTIMATE_SIZE = 36      # bytes of a record


cdef class VelocityWatch:
    cdef readonly VelocityEstimator estimator
    cdef double[3] velocity
    cdef double[4] trust, force
    cdef int64_t patience_ms, blind_ms
    cdef uint32_t last_tick
    cdef bint begun, acting
    cdef unsigned char[36] record

    cdef void feel(self, const low_numbers_t* low) noexcept nogil
    cdef bint stands(self) noexcept nogil
    cdef bint lost(self) noexcept nogil
