cimport cython
from libc.stdint cimport int64_t, uint32_t

from rfx.kernels.handover cimport spsc_t

cdef enum:
    RECORD_STATE = 0
    RECORD_COMMAND = 1
    RECORD_POLICY = 2
    RECORD_ESTIMATE = 3


cdef class RecordRing:
    cdef spsc_t ring
    cdef object block
    cdef cython.pymutex lock        # among readers

    cdef bint put(self, uint32_t kind, int64_t time_ns, const unsigned char* data, uint32_t size) noexcept nogil
