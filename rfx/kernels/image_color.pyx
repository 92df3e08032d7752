"""Brightness, contrast and saturation of images, with weights of luma of ITU-R BT.601."""


cdef inline double within(double x, double most) noexcept nogil:
    return 0.0 if x < 0.0 else most if x > most else x


cdef inline double luma(double r, double g, double b) noexcept nogil:
    return (0.299 * r + 0.587 * g) + 0.114 * b


cdef inline void put(channel* to, double x) noexcept nogil:
    # bytes are rounded to the nearest
    if channel is float:
        to[0] = <float>x
    else:
        to[0] = <channel>(x + 0.5)


cdef double mean_luma(const channel* x, Py_ssize_t pixels, Py_ssize_t step, Py_ssize_t apart, double brightness,
                      double most) noexcept nogil:
    # Of one group of colours after the change of brightness
    cdef Py_ssize_t i
    cdef double total = 0.0
    for i in range(pixels):
        total += luma(within(brightness * x[i * step], most), within(brightness * x[i * step + apart], most),
                      within(brightness * x[i * step + 2 * apart], most))
    return total / pixels if pixels else 0.0


cdef void jitter_images(
        const channel* images, channel* out, Py_ssize_t n, Colors a, const double* factors, double most) noexcept nogil:
    # With factors b, c, s of each image, values within 0..most after each step:
    # x = b x, then x = m + c (x - m) with m the mean luma of the image, then x = y + s (x - y) with y the pixel's luma
    cdef Py_ssize_t i, g, p, k, size = a.pixels * 3 * a.groups
    cdef const channel* x
    cdef channel* to
    cdef double b, c, s, middle, gray
    cdef double[3] v
    for i in range(n):
        b, c, s = factors[3 * i], factors[3 * i + 1], factors[3 * i + 2]
        for g in range(a.groups):
            x = images + i * size + g * 3 * a.apart
            to = out + i * size + g * 3 * a.apart
            middle = mean_luma(x, a.pixels, a.step, a.apart, b, most) if c != 1.0 else 0.0
            for p in range(a.pixels):
                for k in range(3):
                    v[k] = within(b * x[p * a.step + k * a.apart], most)
                    v[k] = within(middle + c * (v[k] - middle), most) if c != 1.0 else v[k]
                gray = luma(v[0], v[1], v[2])
                for k in range(3):
                    put(&to[p * a.step + k * a.apart], within(gray + s * (v[k] - gray), most))
