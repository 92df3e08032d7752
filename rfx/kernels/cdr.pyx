"""XCDR1 (OMG DDS-XTypes 1.3, 7.4.3; plain CDR): numbers aligned to their own size, counted from the body's start.

A struct is described by a list of moves. Positions count from the first byte after the encapsulation header, so that
an encoding may go on where another one ended (`start`). Hosts are little endian, as every platform of ours is.
"""

from libc.string cimport memcpy, memset


cdef inline Py_ssize_t aligned(Py_ssize_t position, int size) noexcept nogil:
    return (position + size - 1) & ~(<Py_ssize_t>size - 1)


cdef Py_ssize_t cdr_size(const Move* moves, Py_ssize_t n, Py_ssize_t start) noexcept nogil:
    # Where an encoding that begins at `start` ends.
    cdef Py_ssize_t i, position = start
    for i in range(n):
        position = aligned(position, moves[i].size) + <Py_ssize_t>moves[i].size * moves[i].count
    return position


cdef Py_ssize_t cdr_encode(
        const Move* moves, Py_ssize_t n, const unsigned char* struct_, unsigned char* out, Py_ssize_t start) noexcept nogil:
    # Write the body, padding zeroed; the end position is returned. `out` has room for cdr_size(moves, n, start) bytes.
    cdef Py_ssize_t i, place, length, position = start
    for i in range(n):
        place = aligned(position, moves[i].size)
        if place != position:
            memset(out + position, 0, place - position)
        length = <Py_ssize_t>moves[i].size * moves[i].count
        memcpy(out + place, struct_ + moves[i].offset, length)
        position = place + length
    return position


cdef void copy_swapped(unsigned char* out, const unsigned char* data, int size, int count) noexcept nogil:
    cdef int i, k
    for i in range(count):
        for k in range(size):
            out[i * size + k] = data[i * size + size - 1 - k]


cdef Py_ssize_t cdr_decode(
        const Move* moves, Py_ssize_t n, const unsigned char* data, Py_ssize_t size, Py_ssize_t start, bint swap,
        unsigned char* struct_) noexcept nogil:
    # Read the body; returns the end position, or -1 when `size` is too short, or -2 for a bool that is not 0 or 1.
    cdef Py_ssize_t i, k, place, length, position = start
    for i in range(n):
        place = aligned(position, moves[i].size)
        length = <Py_ssize_t>moves[i].size * moves[i].count
        if place + length > size:
            return -1
        if moves[i].is_bool:
            for k in range(length):
                if data[place + k] > 1:
                    return -2
        if swap and moves[i].size > 1:
            copy_swapped(struct_ + moves[i].offset, data + place, moves[i].size, moves[i].count)
        else:
            memcpy(struct_ + moves[i].offset, data + place, length)
        position = place + length
    return position
