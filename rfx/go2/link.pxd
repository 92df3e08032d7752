from libc.stdint cimport int64_t

# What a `take` answers beside the number of bytes.
cdef enum:
    TAKE_NOTHING = 0    # nothing came in time
    TAKE_FAILED = -1    # the link is of no use any more: `error` says why
    TAKE_ENDED = -2     # somebody called `wake`

# A way to a robot without Python: the newest message that came, as CDR bytes, and a message to send.
cdef struct link_t:
    void* ctx
    Py_ssize_t (*take)(void* ctx, unsigned char* buf, Py_ssize_t cap, int64_t timeout_ns) noexcept nogil
    int (*write)(void* ctx, const unsigned char* data, Py_ssize_t n) noexcept nogil     # 0, or a code below 0


cdef class Link:
    cdef link_t c                   # filled by the subclass; points into it
    cdef readonly str kind          # "native": no Python anywhere; "python": each call takes the GIL
    cdef readonly str reason        # why it is not native, "" where it is
    cdef object closed
