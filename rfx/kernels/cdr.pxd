# One move between a C struct and its CDR form: `count` numbers of `size` bytes (1, 2, 4 or 8), side by side in both.
ctypedef struct Move:
    Py_ssize_t offset
    int size
    int count
    bint is_bool

cdef Py_ssize_t cdr_size(const Move* moves, Py_ssize_t n, Py_ssize_t start) noexcept nogil
cdef Py_ssize_t cdr_encode(
    const Move* moves, Py_ssize_t n, const unsigned char* struct_, unsigned char* out, Py_ssize_t start) noexcept nogil
cdef Py_ssize_t cdr_decode(
    const Move* moves, Py_ssize_t n, const unsigned char* data, Py_ssize_t size, Py_ssize_t start, bint swap,
    unsigned char* struct_) noexcept nogil
