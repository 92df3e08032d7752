from libc.stdint cimport int64_t, uint64_t

from rfx.buffers.layout cimport Layout, Source, Target
from rfx.buffers.saved cimport Saved
from rfx.kernels.lock cimport Lock


cdef class ReplayBuffer(Saved):
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t num_envs
    cdef readonly Py_ssize_t n_step
    cdef readonly double gamma
    cdef readonly Layout layout
    cdef unsigned char* rows
    cdef Py_ssize_t count
    cdef Py_ssize_t cursor
    cdef uint64_t pushed            # since the last clear
    cdef uint64_t changes
    cdef Lock lock                  # over all of the above; held only around C code

    cdef Py_ssize_t put(self, const Source* sources, Py_ssize_t n) noexcept nogil
    cdef Py_ssize_t window(self, Py_ssize_t n, size) except -1
    cdef object slots(self, Py_ssize_t n, Py_ssize_t window, seed)
    cdef tuple further(self)
    cdef dict taken(self, object index, object out, bint raw)
    cdef void collect(self, const int64_t* index, Py_ssize_t n, Target* targets, int64_t* last, float* discounts) noexcept nogil
    cdef dict snapshot(self)
