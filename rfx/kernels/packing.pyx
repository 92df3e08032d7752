"""Which sequence goes to which row, and what is written there."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset


cdef void sort_descending(
        const int64_t* lengths, Py_ssize_t n, int64_t longest, int64_t* places, int64_t* order) noexcept nogil:
    # order[i] = index of the i-th longest, equal ones in their order. By counting: places has longest + 2 entries, 0 at
    # first.
    cdef Py_ssize_t i
    cdef int64_t k
    for i in range(n):
        places[longest - lengths[i] + 1] += 1
    for k in range(longest):
        places[k + 1] += places[k]
    for i in range(n):
        k = longest - lengths[i]
        order[places[k]] = i
        places[k] += 1


cdef Py_ssize_t best_fit(
        const int64_t* lengths, const int64_t* order, Py_ssize_t n, int64_t capacity, unsigned char* tree,
        Py_ssize_t leaves, int64_t* newest, int64_t* below, int64_t* rows) noexcept nogil:
    # Each to the row with the least room that is enough for it (Johnson 1973), of several to the one that came to have
    # that room last. Rows with room r are a pile: newest[r] (-1: none), below[row]. Leaf r of the tree, at leaves + r,
    # says whether there are any; a node above, whether there are in one of its two. tree is 0 and newest -1 at first,
    # leaves a power of two above capacity. Returns the number of rows; rows[i] belongs to order[i].
    cdef Py_ssize_t i, row, count = 0
    cdef int64_t size, room
    for i in range(n):
        size = lengths[order[i]]
        room = roomy(tree, leaves, size)
        if room < 0:
            row, room = count, capacity
            count += 1
        else:
            row = newest[room]
            newest[room] = below[row]
            if newest[room] < 0:
                unmark(tree, leaves + room)
        room -= size
        below[row] = newest[room]
        newest[room] = row
        mark(tree, leaves + room)
        rows[i] = row
    return count


cdef inline int64_t roomy(const unsigned char* tree, Py_ssize_t leaves, int64_t least) noexcept nogil:
    # the smallest marked leaf from `least` on, -1 for none: up until something lies to the right, then down to its left
    cdef Py_ssize_t node = leaves + least
    if tree[node]:
        return least
    while node > 1:
        if not node & 1 and tree[node + 1]:
            node += 1
            while node < leaves:
                node = 2 * node + (not tree[2 * node])
            return node - leaves
        node >>= 1
    return -1


cdef inline void mark(unsigned char* tree, Py_ssize_t node) noexcept nogil:
    while node and not tree[node]:
        tree[node] = 1
        node >>= 1


cdef inline void unmark(unsigned char* tree, Py_ssize_t node) noexcept nogil:
    tree[node] = 0
    while node > 1 and not tree[node ^ 1]:
        node >>= 1
        tree[node] = 0


cdef Py_ssize_t first_fit(
        const int64_t* lengths, const int64_t* order, Py_ssize_t n, int64_t capacity, int64_t* tree, Py_ssize_t leaves,
        int64_t* rows) noexcept nogil:
    # Each to the first row with room for it. Leaf `row` of the tree, at leaves + row, is its room; a node above, the more
    # of its two. All capacity at first, rows nobody has opened too; leaves is a power of two of at least n.
    cdef Py_ssize_t i, node, count = 0
    cdef int64_t size
    for i in range(n):
        size = lengths[order[i]]
        node = 1
        while node < leaves:
            node = 2 * node + (tree[2 * node] < size)
        rows[i] = node - leaves
        if rows[i] >= count:
            count = rows[i] + 1
        tree[node] -= size
        node >>= 1
        while node:
            tree[node] = tree[2 * node] if tree[2 * node] >= tree[2 * node + 1] else tree[2 * node + 1]
            node >>= 1
    return count


cdef void by_row(
        const int64_t* lengths, const int64_t* order, const int64_t* rows, Py_ssize_t n, Py_ssize_t n_rows,
        int64_t* splits, int64_t* used, int64_t* pieces, int64_t* columns) noexcept nogil:
    # Sort order[i] by rows[i] and add up lengths within each row: row r has pieces[splits[r]] .. pieces[splits[r + 1] - 1],
    # which begin at columns. splits has n_rows + 2 entries and used n_rows, 0 at first.
    cdef Py_ssize_t i, row, at
    for i in range(n):
        splits[rows[i] + 2] += 1
    for row in range(n_rows):
        splits[row + 2] += splits[row + 1]
    for i in range(n):
        row = rows[i]
        at = splits[row + 1]
        pieces[at] = order[i]
        columns[at] = used[row]
        used[row] += lengths[order[i]]
        splits[row + 1] += 1


cdef void copy_pieces(
        const char** sources, const int64_t* from_, const int64_t* to, const int64_t* lengths, Py_ssize_t n,
        Py_ssize_t itemsize, const char* pad, char* out) noexcept nogil:
    # out[to[i] + j] = sources[i][from_[i] + j], j below lengths[i], then pad up to to[i + 1]; to has n + 1 entries
    cdef Py_ssize_t i, end
    for i in range(n):
        end = to[i] + lengths[i]
        memcpy(out + to[i] * itemsize, sources[i] + from_[i] * itemsize, lengths[i] * itemsize)
        repeat(out + end * itemsize, (to[i + 1] - end) * itemsize, itemsize, pad)


cdef inline void repeat(char* out, Py_ssize_t size, Py_ssize_t itemsize, const char* item) noexcept nogil:
    # fill size bytes, a multiple of itemsize: one item, then twice as much each time
    cdef Py_ssize_t done = itemsize
    if size:
        memcpy(out, item, itemsize)
    while done < size:
        memcpy(out + done, out, done if done <= size - done else size - done)
        done *= 2


cdef inline void count_up(int32_t* restrict out, int32_t n) noexcept nogil:
    cdef int32_t j
    for j in range(n):
        out[j] = j


cdef void count_pieces(
        const int64_t* to, const int64_t* lengths, Py_ssize_t n, int32_t* positions, unsigned char* mask) noexcept nogil:
    # Positions count from 0 in each piece and go on counting in the padding behind it; mask is 1 in pieces, 0 in padding.
    # to has n + 1 entries.
    cdef Py_ssize_t i
    cdef int32_t size, rest
    for i in range(n):
        size = <int32_t>lengths[i]
        rest = <int32_t>(to[i + 1] - to[i]) - size
        count_up(positions + to[i], size + rest)
        memset(mask + to[i], 1, size)
        memset(mask + to[i] + size, 0, rest)
