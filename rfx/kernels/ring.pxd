from libc.stdint cimport int64_t

# A column's place in a row: `size` bytes at `offset`.
ctypedef struct Slot:
    Py_ssize_t offset
    Py_ssize_t size

cdef void scatter_rows(
    unsigned char* rows, Py_ssize_t stride, Py_ssize_t capacity, Py_ssize_t first, Py_ssize_t n,
    const Slot* slots, const unsigned char** columns, Py_ssize_t n_slots) noexcept nogil
cdef void gather_rows(
    const unsigned char* rows, Py_ssize_t stride, const int64_t* index, Py_ssize_t n,
    const Slot* slots, unsigned char** columns, Py_ssize_t n_slots) noexcept nogil
cdef unsigned char* rows_alloc(size_t n_bytes) noexcept nogil
