"""sin, cos and squares of arrays, bit for bit what libm returns; how, and why that is certain, is said in trig.h."""

from libc.math cimport cos, pow, sin
from libc.stdint cimport int32_t, int64_t

from rfx.kernels.rows cimport BLOCK, blocks

cdef extern from "<math.h>" nogil:
    float powf(float x, float y)

cdef extern from "trig.h" nogil:
    void sin_cos_block "rfx_sin_cos_block"(const double* x, Py_ssize_t n, double* s, double* c, int64_t* doubt)
    void square_block "rfx_square_block"(const double* x, Py_ssize_t n, double* y, int64_t* doubt)
    void square_float_block "rfx_square_float_block"(const float* x, Py_ssize_t n, float* y, int32_t* doubt)

# Not constants, which a compiler would turn into x * x: pow rounds differently now and then.
cdef double TWO = 2.0
cdef float TWO_SINGLE = 2.0


cdef void sin_cos_n(const double* x, Py_ssize_t n, double* s, double* c) noexcept nogil:
    cdef int64_t[BLOCK] doubt
    cdef int[BLOCK] of_sine, of_cosine
    cdef Py_ssize_t i, m, first, block
    cdef int sines, cosines
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        sin_cos_block(x + first, m, s + first, c + first, doubt)
        sines = cosines = 0
        for i in range(m):
            of_sine[sines] = of_cosine[cosines] = <int>i
            sines += doubt[i] & 1
            cosines += doubt[i] >> 1
        for i in range(sines):
            s[first + of_sine[i]] = sin(x[first + of_sine[i]])
        for i in range(cosines):
            c[first + of_cosine[i]] = cos(x[first + of_cosine[i]])


cdef void square_n(const double* x, Py_ssize_t n, double* out) noexcept nogil:
    cdef int64_t[BLOCK] doubt
    cdef int[BLOCK] of_square
    cdef Py_ssize_t i, m, first, block
    cdef int squares
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        square_block(x + first, m, out + first, doubt)
        squares = 0
        for i in range(m):
            of_square[squares] = <int>i
            squares += <int>doubt[i]
        for i in range(squares):
            out[first + of_square[i]] = pow(x[first + of_square[i]], TWO)


cdef void square_float_n(const float* x, Py_ssize_t n, float* out) noexcept nogil:
    cdef int32_t[BLOCK] doubt
    cdef int[BLOCK] of_square
    cdef Py_ssize_t i, m, first, block
    cdef int squares
    for block in range(blocks(n)):
        first = block * BLOCK
        m = min(n - first, <Py_ssize_t>BLOCK)
        square_float_block(x + first, m, out + first, doubt)
        squares = 0
        for i in range(m):
            of_square[squares] = <int>i
            squares += doubt[i]
        for i in range(squares):
            out[first + of_square[i]] = powf(x[first + of_square[i]], TWO_SINGLE)
