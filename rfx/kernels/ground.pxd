# A height field over a plane: vertices each `step` metres, rows along y, columns along x, the first at (x0, y0).
# It is a chequer of square tiles inside of a border: levels along x, kinds along y. rows = 0 is a flat plane at 0.
ctypedef struct Ground:
    const double* heights
    Py_ssize_t rows
    Py_ssize_t columns
    double x0
    double y0
    double step
    Py_ssize_t levels
    Py_ssize_t kinds
    double tile
    double border

cdef double ground_height(const Ground* ground, double x, double y) noexcept nogil
cdef double ground_mean(const Ground* ground, double x, double y, double reach) noexcept nogil
cdef double ground_top(const Ground* ground, double x, double y, double reach) noexcept nogil
cdef bint ground_left(const Ground* ground, double x, double y, double margin) noexcept nogil
cdef void ground_centre(const Ground* ground, Py_ssize_t level, Py_ssize_t kind, double* x, double* y) noexcept nogil
