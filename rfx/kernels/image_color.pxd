cimport cython
from libc.stdint cimport uint8_t

ctypedef fused channel:
    uint8_t
    float

# Where the numbers of one image lie: `pixels` of them, `step` apart, in `groups` of three colours `apart` from each other.
ctypedef struct Colors:
    Py_ssize_t pixels
    Py_ssize_t step
    Py_ssize_t groups
    Py_ssize_t apart

cdef void jitter_images(
    const channel* images, channel* out, Py_ssize_t n, Colors a, const double* factors, double most) noexcept nogil
