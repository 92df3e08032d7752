"""Shifts, crops and filled boxes of images, by bytes: any dtype, any order of channels."""

from libc.string cimport memcpy, memset

from rfx.kernels.chacha cimport chacha_below


cdef void draw_offsets(
        ChaCha* rng, Py_ssize_t n, Py_ssize_t most_dy, Py_ssize_t most_dx, int64_t* offsets) noexcept nogil:
    # For each image dy within 0..most_dy, then dx within 0..most_dx
    cdef Py_ssize_t i
    for i in range(n):
        offsets[2 * i] = <int64_t>chacha_below(rng, most_dy + 1)
        offsets[2 * i + 1] = <int64_t>chacha_below(rng, most_dx + 1)


cdef void draw_boxes(
        ChaCha* rng, Py_ssize_t n, Py_ssize_t height, Py_ssize_t width, Py_ssize_t least, Py_ssize_t most,
        int64_t* boxes) noexcept nogil:
    # For each image the size of a box, height then width, within least..most, then where it lies, y then x
    cdef Py_ssize_t i
    cdef int64_t h, w
    for i in range(n):
        h = least + <int64_t>chacha_below(rng, most - least + 1)
        w = least + <int64_t>chacha_below(rng, most - least + 1)
        boxes[4 * i], boxes[4 * i + 1] = h, w
        boxes[4 * i + 2] = <int64_t>chacha_below(rng, height - h + 1)
        boxes[4 * i + 3] = <int64_t>chacha_below(rng, width - w + 1)


cdef inline void fill(uint8_t* to, const uint8_t* pixel, Py_ssize_t size, Py_ssize_t count) noexcept nogil:
    # count copies of a pixel, by C types where there is one
    cdef Py_ssize_t i
    if size == 1:
        memset(to, pixel[0], count)
        return
    for i in range(count):
        if size == 4:
            memcpy(to + 4 * i, pixel, 4)
        else:
            memcpy(to + i * size, pixel, size)


cdef inline void blank(uint8_t* to, Py_ssize_t size, Py_ssize_t count) noexcept nogil:
    # count pixels of zeros
    cdef Py_ssize_t i
    for i in range(count):
        if size == 4:
            memset(to + 4 * i, 0, 4)
        elif size == 1:
            to[i] = 0
        else:
            memset(to + i * size, 0, size)


cdef inline void shift_plane(
        const uint8_t* x, uint8_t* out, Layout a, Py_ssize_t dy, Py_ssize_t dx, bint edge) noexcept nogil:
    # out[y, x] = in[y + dy, x + dx], |dy| < height and |dx| < width. The rows that stay are one piece of memory, moved
    # as such; then what came round at the sides is overwritten, and the rows above and below are filled.
    cdef Py_ssize_t first = -dy if dy < 0 else 0, last = a.height - (dy if dy > 0 else 0), y
    cdef Py_ssize_t left = -dx if dx < 0 else 0, right = dx if dx > 0 else 0
    cdef Py_ssize_t row = a.width * a.pixel, start = first * a.width + left, end = last * a.width - right
    cdef uint8_t* line
    memcpy(out + start * a.pixel, x + (start + dy * a.width + dx) * a.pixel, (end - start) * a.pixel)
    if edge:
        for y in range(first, last):
            line = out + y * row
            fill(line, line + left * a.pixel, a.pixel, left)
            fill(line + row - right * a.pixel, line + row - (right + 1) * a.pixel, a.pixel, right)
        for y in range(first):
            memcpy(out + y * row, out + first * row, row)
        for y in range(last, a.height):
            memcpy(out + y * row, out + (last - 1) * row, row)
        return
    if left:
        for y in range(first, last):
            blank(out + y * row, a.pixel, left)
    if right:
        for y in range(first, last):
            blank(out + (y + 1) * row - right * a.pixel, a.pixel, right)
    memset(out, 0, first * row)
    memset(out + last * row, 0, (a.height - last) * row)


cdef inline Py_ssize_t clamp(Py_ssize_t x, Py_ssize_t most) noexcept nogil:
    return most if x > most else -most if x < -most else x


cdef void shift_images(
        const uint8_t* images, uint8_t* out, Py_ssize_t n, Layout a, const int64_t* offsets, Py_ssize_t pad,
        bint edge) noexcept nogil:
    # Each image moved by its offset less pad, in all planes alike. Outside lie zeros, or (edge) the nearest pixel
    cdef Py_ssize_t plane = a.height * a.width * a.pixel, i, k, dy, dx
    if plane == 0:
        return
    for i in range(n):
        dy, dx = offsets[2 * i] - pad, offsets[2 * i + 1] - pad
        if edge:    # beyond the last row all is the last row
            dy, dx = clamp(dy, a.height - 1), clamp(dx, a.width - 1)
        elif clamp(dy, a.height - 1) != dy or clamp(dx, a.width - 1) != dx:
            memset(out + i * a.planes * plane, 0, a.planes * plane)
            continue
        for k in range(i * a.planes, (i + 1) * a.planes):
            shift_plane(images + k * plane, out + k * plane, a, dy, dx, edge)


cdef void crop_images(
        const uint8_t* images, uint8_t* out, Py_ssize_t n, Layout a, Py_ssize_t height, Py_ssize_t width,
        const int64_t* offsets) noexcept nogil:
    # The height x width pixels of each image that begin at its offset
    cdef Py_ssize_t row = a.width * a.pixel, size = width * a.pixel, i, k, y
    cdef const uint8_t* x
    cdef uint8_t* to = out
    for i in range(n):
        for k in range(i * a.planes, (i + 1) * a.planes):
            x = images + (k * a.height + offsets[2 * i]) * row + offsets[2 * i + 1] * a.pixel
            for y in range(height):
                memcpy(to, x + y * row, size)
                to += size


cdef void fill_boxes(uint8_t* images, Py_ssize_t n, Layout a, const int64_t* boxes, const uint8_t* pixel) noexcept nogil:
    # In each image a box (height, width, y, x) of one pixel; `pixel` holds that of every plane
    cdef Py_ssize_t row = a.width * a.pixel, i, k, y
    cdef const int64_t* box
    for i in range(n):
        box = boxes + 4 * i
        for k in range(a.planes):
            for y in range(box[2], box[2] + box[0]):
                fill(images + ((i * a.planes + k) * a.height + y) * row + box[3] * a.pixel, pixel + k * a.pixel, a.pixel, box[1])
