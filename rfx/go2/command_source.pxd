cimport cython
from libc.stdint cimport int64_t

from rfx.go2.low_frame cimport low_numbers_t
from rfx.kernels.handover cimport latch_t


cdef class CommandSource:
    cdef latch_t hand, velocity         # what Python hands over: commands, the base's velocity
    cdef cython.pymutex lock            # among those who hand over
    cdef object table_
    cdef const double* table            # (rows, 4); NULL: handed over, or the sticks
    cdef Py_ssize_t rows, row
    cdef bint sticks, own_clock
    cdef int64_t deadman, now
    cdef double[6] ranges               # lowest and highest: forward, left, yaw
    cdef readonly object kind
    cdef int64_t silent_                # how often nothing had been given in time

    cdef void wish(self, double t, const low_numbers_t* low, double* out) noexcept nogil
    cdef bint lin_vel(self, double* out) noexcept nogil
    cdef int64_t clock(self) noexcept nogil
    cdef int pass_on(self, latch_t* latch, values, names) except -1
