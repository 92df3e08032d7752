"""Rows of a ring buffer: each row holds all columns of one transition side by side, so that a sample is one cache walk."""

from libc.string cimport memset

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


cdef void scatter_rows_at(
        unsigned char* rows, Py_ssize_t stride, const int64_t* at, Py_ssize_t n,
        const Slot* slots, const unsigned char** columns, Py_ssize_t n_slots) noexcept nogil:
    # Row i of the columns goes to slot at[i].
    cdef Py_ssize_t i, k
    for i in range(n):
        for k in range(n_slots):
            copy(rows + at[i] * stride + slots[k].offset, columns[k] + i * slots[k].size, slots[k].size)


cdef void gather_rows(
        const unsigned char* rows, Py_ssize_t stride, const int64_t* index, Py_ssize_t n,
        const Slot* slots, unsigned char** columns, Py_ssize_t n_slots) noexcept nogil:
    # Row index[i] goes to row i of the columns, -1 gives zeros; a column that is NULL is left out.
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
        if index[i] < 0:
            for k in range(n_slots):
                if columns[k] != NULL:
                    memset(columns[k] + i * slots[k].size, 0, slots[k].size)
            continue
        for k in range(n_slots):
            if columns[k] != NULL:
                copy(columns[k] + i * slots[k].size, row + slots[k].offset, slots[k].size)


cdef void walk_steps(
        const unsigned char* rows, Py_ssize_t stride, const int64_t* index, Py_ssize_t n, const Walk* walk,
        int64_t* last, float* rewards, float* discounts) noexcept nogil:
    # R = sum over k < m of gamma^k r_{t+k} and gamma^m (Sutton and Barto 2018, section 7.1); m is `steps`, or fewer where
    # the episode ends or the newest row comes first. `last` is the row of step m.
    cdef Py_ssize_t i, left
    cdef int64_t at
    cdef const unsigned char* row
    cdef double total, weight
    for i in range(n):
        if i + AHEAD < n:
            prefetch(rows + index[i + AHEAD] * stride + walk.rewards)
        at = index[i]
        left = (walk.cursor - 1 - at) % walk.capacity   # C keeps the sign
        left = (left + walk.capacity if left < 0 else left) // walk.turns
        left = left if left < walk.steps - 1 else walk.steps - 1
        total, weight = 0.0, 1.0
        while True:
            row = rows + at * stride
            total += weight * (<const float*>(row + walk.rewards))[0]
            weight *= walk.gamma
            if left == 0 or row[walk.terminated] or row[walk.truncated]:
                break
            left -= 1
            at = (at + walk.turns) % walk.capacity
        last[i], rewards[i], discounts[i] = at, <float>total, <float>weight


cdef unsigned char* rows_alloc(size_t n_bytes) noexcept nogil:
    # Memory that is not cleared, on large pages where there are any; NULL if there is none. To be freed by free().
    return <unsigned char*>rfx_rows_alloc(n_bytes)
