"""Vectors in and out of the faces of this room."""

from rfx.kernels.types cimport Vec3


cdef double real_number(object value, str name) except? -1.0
cdef bint read3(object value, Vec3* out) noexcept
cdef int take3(object value, str name, Vec3* out) except -1
cdef object make3(Vec3 v)
cdef object make_matrix(const double* m, Py_ssize_t rows, Py_ssize_t columns)
cdef object affine_rows(const double* m, const double* t, object vectors, str name, object out)
