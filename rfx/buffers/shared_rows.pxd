from libc.stdint cimport int64_t, uint64_t

from rfx.buffers.layout cimport Layout, Source, Target
from rfx.kernels.lock cimport Lock
from rfx.kernels.seqlock cimport Shared

cdef enum:
    OWN = 64           # threads of one process that push at once


cdef class SharedRows:
    cdef readonly Py_ssize_t capacity
    cdef readonly Layout layout
    cdef object segment
    cdef bytes described            # the columns, as they stand in the header
    cdef Py_buffer view
    cdef Shared ring
    cdef bint mapped
    cdef uint64_t opened            # 0: closed, or not made yet
    cdef uint64_t readers           # calls that look at the memory without a lane
    cdef uint64_t n_own
    cdef uint64_t[OWN] taken        # whether a thread uses this lane
    cdef unsigned int[OWN] own
    cdef Lock lock                  # over `own` growing, and `opened` going to 0
    cdef object __weakref__

    cdef int make(self, Layout layout, Py_ssize_t capacity, bint shared, object name) except -1
    cdef int find(self, object name) except -1
    cdef int take_over(self, object segment, Layout layout, bytes described, Py_ssize_t capacity) except -1
    cdef void give_lanes(self) noexcept nogil
    cdef int give_back(self) except -1
    cdef void forked(self) noexcept
    cdef int check(self) except -1
    cdef int enter(self) except -1
    cdef void leave(self) noexcept nogil
    cdef Py_ssize_t hold(self) except -1
    cdef Py_ssize_t put(self, const Source* sources, Py_ssize_t n) except -1
    cdef int put_under(self, Py_ssize_t k, uint64_t ticket, Py_ssize_t first, Py_ssize_t n, const Source* sources) except -1
    cdef int put_waiting(self, Py_ssize_t k, uint64_t slot, uint64_t turn, const uint64_t* words) except -1
    cdef uint64_t begin_turn(self, uint64_t n) noexcept nogil
    cdef int forget(self, Py_ssize_t k, uint64_t ticket) except -1
    cdef Py_ssize_t window(self, object size, Py_ssize_t* newest) except -1
    cdef object listed(self, Py_ssize_t newest, Py_ssize_t window, int least)
    cdef Py_ssize_t read(self, object index, object places, Target* targets, object tickets) except -1
    cdef int state_after(self, Py_ssize_t slot) except -1
