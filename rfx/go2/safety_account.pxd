cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rfx.kernels.envelope cimport EnvelopeEvent

cdef enum:
    EVENTS = 256

# What was done so far; to subtract one from a later one.
ctypedef struct tally_t:
    int64_t[144] counted        # (ENV_KINDS, 12)
    uint64_t commands
    uint64_t damped
    int64_t events


cdef class SafetyAccount:
    cdef uint64_t commands          # atomic, as the next two
    cdef uint64_t damped
    cdef uint64_t held              # marks of the reasons that hold
    cdef int64_t[144] counted       # this and the rest under the lock
    cdef int64_t events
    cdef uint32_t met               # kinds since the log was last begun anew, and those of them that it was told of
    cdef uint32_t reported
    cdef EnvelopeEvent[256] listed
    cdef object reporter
    cdef cython.pymutex lock        # held around C only

    cdef void add_event(self, EnvelopeEvent event) noexcept nogil
    cdef void read(self, tally_t* to) noexcept nogil
    cdef void put_back(self, const tally_t* tally, uint32_t held, uint32_t met) noexcept nogil
    cdef int begin_anew(self, tally_t* to) except -1
    cdef dict counts_since(self, const tally_t* begun)
    cdef list events_since(self, int64_t first, int64_t* end)
