from libc.stdint cimport int32_t, int64_t


cdef void sort_descending(
    const int64_t* lengths, Py_ssize_t n, int64_t longest, int64_t* places, int64_t* order) noexcept nogil
cdef Py_ssize_t best_fit(
    const int64_t* lengths, const int64_t* order, Py_ssize_t n, int64_t capacity, unsigned char* tree, Py_ssize_t leaves,
    int64_t* newest, int64_t* below, int64_t* rows) noexcept nogil
cdef Py_ssize_t first_fit(
    const int64_t* lengths, const int64_t* order, Py_ssize_t n, int64_t capacity, int64_t* tree, Py_ssize_t leaves,
    int64_t* rows) noexcept nogil
cdef void by_row(
    const int64_t* lengths, const int64_t* order, const int64_t* rows, Py_ssize_t n, Py_ssize_t n_rows, int64_t* splits,
    int64_t* used, int64_t* pieces, int64_t* columns) noexcept nogil
cdef void copy_pieces(
    const char** sources, const int64_t* from_, const int64_t* to, const int64_t* lengths, Py_ssize_t n, Py_ssize_t itemsize,
    const char* pad, char* out) noexcept nogil
cdef void count_pieces(
    const int64_t* to, const int64_t* lengths, Py_ssize_t n, int32_t* positions, unsigned char* mask) noexcept nogil
