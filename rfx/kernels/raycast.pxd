cdef enum:
    SHAPE_SIZE = 17
    KIND_SPHERE = 0
    KIND_BOX = 1
    KIND_CYLINDER = 2
    KIND_CAPSULE = 3

cdef void raycast(
    const double* shapes, Py_ssize_t n_shapes, const double* origins, Py_ssize_t origin_stride,
    const double* directions, double* distance, int* which, double* normals, Py_ssize_t n
) noexcept nogil
