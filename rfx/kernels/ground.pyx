"""Heights of a height field between its vertices, cut into triangles as MuJoCo cuts it.

Each square of four vertices is two triangles, which share the edge from its lowest corner in x and y to its highest.
"""

from libc.math cimport floor


cdef double ground_height(const Ground* ground, double x, double y) noexcept nogil:
    # h = h00 + u (h10 - h00) + v (h11 - h10) where u >= v, else h00 + v (h01 - h00) + u (h11 - h01), for the place (u, v)
    # within a square. Beyond the last vertices the ground goes on level.
    cdef double u = (x - ground.x0) / ground.step, v = (y - ground.y0) / ground.step
    cdef Py_ssize_t c, r
    cdef const double* h
    if ground.rows == 0:
        return 0.0
    u = min(max(u, 0.0), <double>(ground.columns - 1))
    v = min(max(v, 0.0), <double>(ground.rows - 1))
    c, r = min(<Py_ssize_t>floor(u), ground.columns - 2), min(<Py_ssize_t>floor(v), ground.rows - 2)
    u, v = u - c, v - r
    h = ground.heights + r * ground.columns + c
    if u >= v:
        return h[0] + u * (h[1] - h[0]) + v * (h[ground.columns + 1] - h[1])
    return h[0] + v * (h[ground.columns] - h[0]) + u * (h[ground.columns + 1] - h[ground.columns])


cdef double ground_mean(const Ground* ground, double x, double y, double reach) noexcept nogil:
    # The mean of nine places in a square of side 2 reach.
    cdef int i, k
    cdef double total = 0.0
    if ground.rows == 0:
        return 0.0
    for i in range(-1, 2):
        for k in range(-1, 2):
            total += ground_height(ground, x + i * reach, y + k * reach)
    return total / 9.0


cdef double ground_top(const Ground* ground, double x, double y, double reach) noexcept nogil:
    # The highest of 81 places in a square of side 2 reach: where a robot can be put without a foot in the ground.
    cdef int i, k
    cdef double top = ground_height(ground, x, y)
    if ground.rows == 0:
        return 0.0
    for i in range(-4, 5):
        for k in range(-4, 5):
            top = max(top, ground_height(ground, x + 0.25 * i * reach, y + 0.25 * k * reach))
    return top


cdef bint ground_left(const Ground* ground, double x, double y, double margin) noexcept nogil:
    # Whether a place is nearer than `margin` to the end of the ground, or beyond it; never on a plane.
    cdef double far_x = ground.x0 + ground.step * (ground.columns - 1), far_y = ground.y0 + ground.step * (ground.rows - 1)
    if ground.rows == 0:
        return False
    return (x < ground.x0 + margin or x > far_x - margin or y < ground.y0 + margin or y > far_y - margin)


cdef void ground_centre(const Ground* ground, Py_ssize_t level, Py_ssize_t kind, double* x, double* y) noexcept nogil:
    # Where the middle of a tile is; the origin on a plane.
    if ground.rows == 0:
        x[0], y[0] = 0.0, 0.0
        return
    x[0] = ground.x0 + ground.border + (level + 0.5) * ground.tile
    y[0] = ground.y0 + ground.border + (kind + 0.5) * ground.tile
