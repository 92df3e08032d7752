from libc.stdint cimport int64_t, uint32_t, uint64_t

# A few numbers that one thread writes and others read whole, without a lock.
cdef enum:
    LATCH_WORDS = 4

ctypedef struct latch_t:
    uint64_t sequence           # odd while it is written; 0 before the first time
    uint64_t[4] words           # LATCH_WORDS

cdef void latch_write(latch_t* latch, const double* values, Py_ssize_t n, int64_t stamp) noexcept nogil
cdef int64_t latch_read(const latch_t* latch, double* values, Py_ssize_t n) noexcept nogil

# Records on their way from one thread to one other, without a lock.
ctypedef struct spsc_t:
    unsigned char* data
    uint64_t capacity           # bytes, a power of two
    uint64_t head               # bytes ever put; the writer's
    uint64_t tail               # bytes ever got; the reader's
    uint64_t dropped            # records that did not fit; the writer's

# What stands before a record; the record is padded to 8 bytes.
ctypedef struct record_t:
    int64_t time_ns
    uint32_t kind
    uint32_t size

cdef bint spsc_put(
    spsc_t* ring, uint32_t kind, int64_t time_ns, const unsigned char* data, uint32_t size) noexcept nogil
cdef Py_ssize_t spsc_get(spsc_t* ring, record_t* record, unsigned char* out, Py_ssize_t room) noexcept nogil
