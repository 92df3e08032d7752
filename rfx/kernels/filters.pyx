"""One step of each filter over n channels that lie side by side. State comes first, then inputs, then outputs."""


cdef bint within(const double* x, double limit, Py_ssize_t n) noexcept nogil:
    # whether all lie within [-limit, limit]; NaN does not
    cdef Py_ssize_t i
    cdef int good = 1
    for i in range(n):
        good &= (x[i] <= limit) & (x[i] >= -limit)
    return good


cdef void low_pass(double* y, const double* x, double* out, double alpha, Py_ssize_t n) noexcept nogil:
    # y' = alpha x + (1 - alpha) y
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = alpha * x[i] + (1.0 - alpha) * y[i]
        out[i] = y[i]


cdef void moving_average(
        double* ring, double* sums, Py_ssize_t window, Py_ssize_t seen, const double* x, double* out,
        Py_ssize_t n) noexcept nogil:
    # Mean of the last min(seen + 1, window) samples; ring is (window, n), sums (4, n): the sum of the window with what
    # its rounding lost, and the same of the samples since the ring last came round. When it comes round, the second
    # pair is the sum of the window added up afresh and takes the place of the first: no drift, and no slow step.
    cdef Py_ssize_t i, slot = seen % window
    cdef Py_ssize_t count = seen + 1 if seen < window else window
    cdef double* total = sums
    cdef double* lost = sums + n
    cdef double* fresh = sums + 2 * n
    cdef double* fresh_lost = sums + 3 * n
    for i in range(n):
        if seen >= window:
            add(&total[i], &lost[i], -ring[slot * n + i])
        ring[slot * n + i] = x[i]
        add(&total[i], &lost[i], x[i])
        add(&fresh[i], &fresh_lost[i], x[i])
        if slot == window - 1:
            total[i], lost[i] = fresh[i], fresh_lost[i]
            fresh[i] = fresh_lost[i] = 0.0
        out[i] = (total[i] + lost[i]) / count


cdef inline void add(double* total, double* lost, double x) noexcept nogil:
    # Compensated addition, Neumaier 1974
    cdef double t = total[0] + x
    if (total[0] if total[0] >= 0 else -total[0]) >= (x if x >= 0 else -x):
        lost[0] += (total[0] - t) + x
    else:
        lost[0] += (x - t) + total[0]
    total[0] = t


cdef void derivative(
        double* previous, double* y, bint first, const double* x, double* out, double rate, double alpha,
        Py_ssize_t n) noexcept nogil:
    # y' = alpha (x - previous) rate + (1 - alpha) y; 0 at the first sample
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = 0.0 if first else alpha * ((x[i] - previous[i]) * rate) + (1.0 - alpha) * y[i]
        previous[i] = x[i]
        out[i] = y[i]


cdef void biquad(double* s, const double* c, const double* x, double* out, Py_ssize_t n) noexcept nogil:
    # Transposed direct form II: c = (b0, b1, b2, a1, a2), s is (2, n)
    cdef Py_ssize_t i
    cdef double y
    for i in range(n):
        y = c[0] * x[i] + s[i]
        s[i] = c[1] * x[i] - c[3] * y + s[n + i]
        s[n + i] = c[2] * x[i] - c[4] * y
        out[i] = y
