from libc.stdint cimport int64_t

# A column's place in a row: `size` bytes at `offset`.
ctypedef struct Slot:
    Py_ssize_t offset
    Py_ssize_t size

# Where the rows of several environments, pushed in turn, go on: row s is followed by row s + turns.
ctypedef struct Walk:
    Py_ssize_t capacity
    Py_ssize_t cursor        # where the next row goes
    Py_ssize_t turns
    Py_ssize_t rewards       # offsets in a row: float, unsigned char, unsigned char
    Py_ssize_t terminated
    Py_ssize_t truncated
    Py_ssize_t steps         # n of n-step returns
    double gamma

cdef void scatter_rows(
    unsigned char* rows, Py_ssize_t stride, Py_ssize_t capacity, Py_ssize_t first, Py_ssize_t n,
    const Slot* slots, const unsigned char** columns, Py_ssize_t n_slots) noexcept nogil
cdef void scatter_rows_at(
    unsigned char* rows, Py_ssize_t stride, const int64_t* at, Py_ssize_t n,
    const Slot* slots, const unsigned char** columns, Py_ssize_t n_slots) noexcept nogil
cdef void gather_rows(
    const unsigned char* rows, Py_ssize_t stride, const int64_t* index, Py_ssize_t n,
    const Slot* slots, unsigned char** columns, Py_ssize_t n_slots) noexcept nogil
cdef void walk_steps(
    const unsigned char* rows, Py_ssize_t stride, const int64_t* index, Py_ssize_t n, const Walk* walk,
    int64_t* last, float* rewards, float* discounts) noexcept nogil
cdef unsigned char* rows_alloc(size_t n_bytes) noexcept nogil
