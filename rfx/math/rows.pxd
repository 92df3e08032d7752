"""What the array faces of this room share: dtype, broadcasting of one against many, and what to say when rows are bad."""

cimport numpy as cnp

ctypedef int (*map_float)(const float*, float*, Py_ssize_t) noexcept nogil
ctypedef int (*map_double)(const double*, double*, Py_ssize_t) noexcept nogil
ctypedef int (*pair_float)(const float*, Py_ssize_t, const float*, Py_ssize_t, float*, Py_ssize_t) noexcept nogil
ctypedef int (*pair_double)(const double*, Py_ssize_t, const double*, Py_ssize_t, double*, Py_ssize_t) noexcept nogil


cdef object common_dtype(tuple values)
cdef cnp.ndarray take_rows(object value, str name, tuple row, object dtype)
cdef Py_ssize_t rows_of(cnp.ndarray array, Py_ssize_t axes) noexcept
cdef Py_ssize_t together(Py_ssize_t a, Py_ssize_t b, str names) except -2
cdef cnp.ndarray result_rows(object out, Py_ssize_t n, tuple row, object dtype, tuple inputs)
cdef int run_map(cnp.ndarray a, cnp.ndarray out, Py_ssize_t n, map_float f, map_double d) noexcept
cdef int run_pair(cnp.ndarray a, Py_ssize_t a_step, cnp.ndarray b, Py_ssize_t b_step, cnp.ndarray out, Py_ssize_t n,
                  pair_float f, pair_double d) noexcept
cdef object check_unit(cnp.ndarray quaternions, str name)
