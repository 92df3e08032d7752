from rfx.kernels.cdr cimport Move


cdef class Layout:
    cdef readonly dict fields
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t align
    cdef readonly Py_ssize_t cdr_size
    cdef readonly bint has_bool
    cdef Move* moves
    cdef Py_ssize_t n_moves
    cdef int store(self, list moves) except -1
    cdef list as_tuples(self)
