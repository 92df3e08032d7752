cimport cython
from libc.stdint cimport int64_t

from rfx.kernels.clock cimport hist_t


cdef class Histogram:
    cdef hist_t h
    cdef cython.pymutex _lock

    cdef void add(self, int64_t ns) noexcept nogil
