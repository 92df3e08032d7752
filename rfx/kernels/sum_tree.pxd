from libc.stdint cimport int64_t

cdef enum:
    SUM_TREE_LEVELS = 16

ctypedef double* Doubles

# A tree over n numbers >= 0, 16 children to a node. Level 0 are the numbers themselves; above it lie the sums, and beside
# them the smallest positive number below each (infinity where there is none).
ctypedef struct SumTree:
    Py_ssize_t n
    int levels
    Py_ssize_t[SUM_TREE_LEVELS] lengths      # of each level, multiples of 16
    Doubles[SUM_TREE_LEVELS] sums
    Doubles[SUM_TREE_LEVELS] least           # not for level 0

cdef Py_ssize_t sum_tree_size(Py_ssize_t n) noexcept nogil
cdef void sum_tree_init(SumTree* tree, double* memory, Py_ssize_t n) noexcept nogil
cdef void sum_tree_set(SumTree* tree, const int64_t* index, const double* values, Py_ssize_t n, double* former) noexcept nogil
cdef void sum_tree_unset(SumTree* tree, const int64_t* index, Py_ssize_t n, const double* former) noexcept nogil
cdef double sum_tree_total(const SumTree* tree) noexcept nogil
cdef double sum_tree_least(const SumTree* tree) noexcept nogil
cdef void sum_tree_find(const SumTree* tree, double* targets, int64_t* found, Py_ssize_t n) noexcept nogil
