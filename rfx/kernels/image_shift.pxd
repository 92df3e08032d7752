from libc.stdint cimport int64_t, uint8_t

from rfx.kernels.chacha cimport ChaCha

# How images lie in memory: `planes` of `height` rows of `width` pixels of `pixel` bytes each.
# (C, H, W) is C planes of one-number pixels, (H, W, C) is one plane of C-number pixels.
ctypedef struct Layout:
    Py_ssize_t planes
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t pixel

cdef void draw_offsets(
    ChaCha* rng, Py_ssize_t n, Py_ssize_t most_dy, Py_ssize_t most_dx, int64_t* offsets) noexcept nogil
cdef void draw_boxes(
    ChaCha* rng, Py_ssize_t n, Py_ssize_t height, Py_ssize_t width, Py_ssize_t least, Py_ssize_t most,
    int64_t* boxes) noexcept nogil
cdef void shift_images(
    const uint8_t* images, uint8_t* out, Py_ssize_t n, Layout a, const int64_t* offsets, Py_ssize_t pad,
    bint edge) noexcept nogil
cdef void crop_images(
    const uint8_t* images, uint8_t* out, Py_ssize_t n, Layout a, Py_ssize_t height, Py_ssize_t width,
    const int64_t* offsets) noexcept nogil
cdef void fill_boxes(uint8_t* images, Py_ssize_t n, Layout a, const int64_t* boxes, const uint8_t* pixel) noexcept nogil
