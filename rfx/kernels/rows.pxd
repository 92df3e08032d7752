# Loops over many environments go by blocks of this many.
cdef enum:
    BLOCK = 64

ctypedef const double* Row


cdef inline Py_ssize_t blocks(Py_ssize_t n) noexcept nogil:
    return (n + BLOCK - 1) // BLOCK


cdef inline void block_rows(
        const double* physics, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t n, double* same,
        Row* p) noexcept nogil:
    # Where each row of physics begins for the environments first .. first + n - 1. With stride 1, which is one number for
    # all, it is spread over a block in `same`, (rows, BLOCK), once.
    cdef Py_ssize_t i, k
    for k in range(rows):
        if stride == 1:
            p[k] = same + k * BLOCK
            if first == 0:
                for i in range(n):
                    same[k * BLOCK + i] = physics[k]
        else:
            p[k] = physics + k * stride + first
