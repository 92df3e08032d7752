from libc.stdint cimport uint64_t

from rfx.buffers.layout cimport Layout
from rfx.kernels.lock cimport Lock
from rfx.kernels.row_file cimport Found, RowFile

cdef enum Status:
    FINE
    CLOSED
    SHORT
    GONE


cdef class RowStore:
    cdef readonly Layout layout
    cdef readonly str path
    cdef RowFile file
    cdef unsigned char* map
    cdef size_t nbytes
    cdef Py_ssize_t rows_at
    cdef int handle
    cdef uint64_t base           # rows up to this number are forgotten
    cdef uint64_t promised       # rows up to this number are on the disk
    cdef uint64_t generation     # of the state in the file
    cdef Py_ssize_t users        # calls that work on the mapping without the lock
    cdef bint closing
    cdef Lock lock               # over all of the above and the rows; held only around C code
    cdef object __weakref__

    cdef bint find(self, mode) except -1
    cdef int attach(self, bint repair) except -1
    cdef unsigned char* record(self, uint64_t generation) noexcept nogil
    cdef void put_state(self, bint clean) noexcept nogil
    cdef int get_state(self, bint repair) except -1
    cdef int recover(self, bint made, bint check, bint repair) except -1
    cdef uint64_t lowest(self, uint64_t newest) noexcept nogil
    cdef bint search(self, Found* found, bint clean, bint repair) except -1
    cdef int wait(self, size_t nbytes) except -1
    cdef int settle(self, bint clean) except -1
    cdef void release(self, bint unlock) noexcept
    cdef void abandon(self)
    cdef Status state(self) noexcept nogil
    cdef Status arrive(self) noexcept nogil
    cdef int enter(self) except -1
    cdef void depart(self) noexcept nogil
    cdef int refuse(self, Status status) except -1
    cdef uint64_t bad_row(self, uint64_t* at, uint64_t newest, Py_ssize_t* n) noexcept nogil
