"""Rows of a ring buffer: each row holds all columns of one transition side by side, so that a sample is one cache walk."""

cdef extern from "ring.h":
    void prefetch "rfx_prefetch"(const void* p) noexcept nogil
    void copy "rfx_copy"(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil
    void* rfx_rows_alloc(size_t n_bytes) noexcept nogil

cdef enum:
    AHEAD = 8       # rows that are asked for before they are needed
    LINE = 64
    MOST_LINES = 16


cdef void scatter_rows(
        unsigned char* rows, Py_ssize_t stride, Py_ssize_t capacity, Py_ssize_t first, Py_ssize_t n,
        const Slot* slots, const unsigned char** columns, Py_ssize_t n_slots) noexcept nogil:
    # Row i of the columns goes to slot (first + i) mod capacity.
    cdef Py_ssize_t i, k, at = first
    cdef unsigned char* row
    for i in range(n):
        row = rows + at * stride
        for k in range(n_slots):
            copy(row + slots[k].offset, columns[k] + i * slots[k].size, slots[k].size)
        at += 1
        if at == capacity:
            at = 0


cdef void gather_rows(
        const unsigned char* rows, Py_ssize_t stride, const int64_t* index, Py_ssize_t n,
        const Slot* slots, unsigned char** columns, Py_ssize_t n_slots) noexcept nogil:
    # Row index[i] goes to row i of the columns.
    cdef Py_ssize_t i, k, line
    cdef Py_ssize_t lines = stride // LINE if stride // LINE < MOST_LINES else MOST_LINES
    cdef const unsigned char* row
    for i in range(AHEAD if AHEAD < n else n):
        for line in range(lines):
            prefetch(rows + index[i] * stride + line * LINE)
    for i in range(n):
        if i + AHEAD < n:
            row = rows + index[i + AHEAD] * stride
            for line in range(lines):
                prefetch(row + line * LINE)
        row = rows + index[i] * stride
        for k in range(n_slots):
            copy(columns[k] + i * slots[k].size, row + slots[k].offset, slots[k].size)


cdef unsigned char* rows_alloc(size_t n_bytes) noexcept nogil:
    # Memory that is not cleared, on large pages where there are any; NULL if there is none. To be freed by free().
    return <unsigned char*>rfx_rows_alloc(n_bytes)
