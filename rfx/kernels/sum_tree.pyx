"""A tree of sums for draws in proportion to priorities (Schaul et al. 2016, appendix B.2.1), 16 children to a node.

Sums are always computed again from the children, in one fixed order, so that they never drift.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

cdef extern from "ring.h":
    void prefetch "rfx_prefetch"(const void* p) noexcept nogil

cdef extern from "sum_tree.h" nogil:
    void rfx_refresh_level(const double* below, const double* low, double* sums, double* least, const int64_t* index,
                           Py_ssize_t n, int shift, Py_ssize_t nodes) noexcept

cdef enum:
    WIDTH = 16
    BITS = 4
    AHEAD = 12


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    return (n + WIDTH - 1) // WIDTH * WIDTH if n > 0 else WIDTH


cdef Py_ssize_t sum_tree_size(Py_ssize_t n) noexcept nogil:
    # How many doubles a tree over n numbers takes; their memory should begin on a cache line.
    cdef Py_ssize_t length = padded(n), size = length
    while length > WIDTH:
        length = padded(length // WIDTH)
        size += 2 * length
    return size


cdef void sum_tree_init(SumTree* tree, double* memory, Py_ssize_t n) noexcept nogil:
    # All numbers zero.
    cdef Py_ssize_t k, length = padded(n)
    cdef int level = 0
    tree.n, tree.lengths[0], tree.sums[0], tree.least[0] = n, length, memory, NULL
    for k in range(length):
        memory[k] = 0.0
    memory += length
    while length > WIDTH:
        length = padded(length // WIDTH)
        level += 1
        tree.lengths[level], tree.sums[level], tree.least[level] = length, memory, memory + length
        for k in range(length):
            memory[k], memory[length + k] = 0.0, INFINITY
        memory += 2 * length
    tree.levels = level + 1


cdef inline double block_sum(const double* a) noexcept nogil:
    # Sixteen numbers in the order of sum_tree.h.
    cdef double[8] s
    cdef int j
    for j in range(8):
        s[j] = a[j] + a[j + 8]
    for j in range(4):
        s[j] = s[j] + s[j + 4]
    return (s[0] + s[2]) + (s[1] + s[3])


cdef void refresh(SumTree* tree, const int64_t* index, Py_ssize_t n) noexcept nogil:
    # Every node above these leaves, level by level.
    cdef const double* low
    cdef int level
    for level in range(1, tree.levels):
        low = tree.sums[0] if level == 1 else tree.least[level - 1]
        rfx_refresh_level(tree.sums[level - 1], low, tree.sums[level], tree.least[level], index, n, BITS * level,
                          tree.lengths[level - 1] // WIDTH)


cdef void sum_tree_set(SumTree* tree, const int64_t* index, const double* values, Py_ssize_t n, double* former) noexcept nogil:
    # Leaf index[i] becomes values[i], in this order; `former` gets what each was, if it is not NULL.
    cdef Py_ssize_t i
    cdef double* leaves = tree.sums[0]
    cdef double* block
    for i in range(n):
        if i + AHEAD < n:
            block = leaves + (index[i + AHEAD] & ~<int64_t>(WIDTH - 1))
            prefetch(block)
            prefetch(block + WIDTH // 2)
        if former != NULL:
            former[i] = leaves[index[i]]
        leaves[index[i]] = values[i]
    refresh(tree, index, n)


cdef void sum_tree_unset(SumTree* tree, const int64_t* index, Py_ssize_t n, const double* former) noexcept nogil:
    # Undo sum_tree_set.
    cdef Py_ssize_t i
    for i in range(n - 1, -1, -1):
        tree.sums[0][index[i]] = former[i]
    refresh(tree, index, n)


cdef double sum_tree_total(const SumTree* tree) noexcept nogil:
    return block_sum(tree.sums[tree.levels - 1])


cdef double sum_tree_least(const SumTree* tree) noexcept nogil:
    # The smallest positive leaf, infinity where there is none.
    cdef const double* top = tree.sums[0] if tree.levels == 1 else tree.least[tree.levels - 1]
    cdef double least = INFINITY
    cdef int j
    for j in range(WIDTH):
        if 0.0 < top[j] < least:
            least = top[j]
    return least


cdef inline Py_ssize_t child(const double* c, double* target) noexcept nogil:
    # The child whose share of the sum holds the target, which is then counted from that child's beginning. Tables in place
    # of choices: a branch here would be mispredicted every other time.
    cdef double[4] before
    cdef double v = target[0]
    cdef Py_ssize_t k, j
    before[0] = 0.0
    before[1] = (c[0] + c[1]) + (c[2] + c[3])
    before[2] = before[1] + ((c[4] + c[5]) + (c[6] + c[7]))
    before[3] = before[2] + ((c[8] + c[9]) + (c[10] + c[11]))
    k = <Py_ssize_t>(v >= before[1]) + <Py_ssize_t>(v >= before[2]) + <Py_ssize_t>(v >= before[3])
    v -= before[k]
    c += 4 * k
    before[1] = c[0]
    before[2] = before[1] + c[1]
    before[3] = before[2] + c[2]
    j = <Py_ssize_t>(v >= before[1]) + <Py_ssize_t>(v >= before[2]) + <Py_ssize_t>(v >= before[3])
    target[0] = v - before[j]
    return 4 * k + j


cdef inline Py_ssize_t child_with_share(const double* c, double* target) noexcept nogil:
    # As `child`; where rounding led to a child without a share, the nearest one that has one.
    cdef Py_ssize_t j = child(c, target), k
    if c[j] > 0.0:
        return j
    target[0] = 0.0
    for k in range(1, WIDTH):
        if j - k >= 0 and c[j - k] > 0.0:
            return j - k
        if j + k < WIDTH and c[j + k] > 0.0:
            return j + k
    return j


cdef void sum_tree_find(const SumTree* tree, double* targets, int64_t* found, Py_ssize_t n) noexcept nogil:
    # found[i]: the leaf i with sum(leaves before it) <= targets[i] < that + the leaf. `targets` are used up. The total is > 0.
    # All go down one level together: the next blocks are on their way from memory meanwhile.
    cdef Py_ssize_t i
    cdef int level
    cdef const double* below
    for i in range(n):
        found[i] = 0
    for level in range(tree.levels - 1, -1, -1):
        for i in range(n):
            found[i] = found[i] * WIDTH + child_with_share(tree.sums[level] + found[i] * WIDTH, targets + i)
            if level > 0:
                below = tree.sums[level - 1] + found[i] * WIDTH
                prefetch(below)
                prefetch(below + WIDTH // 2)
