"""Mean and sum of squared deviations (m2): pushed, merged, of whole batches, and decaying.

A batch is taken in blocks of rows, each about its own first row. Because that row is one of the block, (k - mean)^2 is
at most m2, so that the cancellation in s2 - s1^2 / n loses no more than a factor of n + 1, and blocks are short.
"""

from libc.string cimport memset

cdef extern from "moments.h" nogil:
    void sums_float "rfx_column_sums_f"(
        const float* x, Py_ssize_t step, Py_ssize_t rows, double* s1, double* s2, Py_ssize_t width)
    void sums_double "rfx_column_sums_d"(
        const double* x, Py_ssize_t step, Py_ssize_t rows, double* s1, double* s2, Py_ssize_t width)
    void add_float "rfx_add_block_f"(
        const float* k, const double* s1, const double* s2, double rows, double count, double* mean, double* m2,
        Py_ssize_t width)
    void add_double "rfx_add_block_d"(
        const double* k, const double* s1, const double* s2, double rows, double count, double* mean, double* m2,
        Py_ssize_t width)
    void ema_row_float "rfx_ema_row_f"(const float* x, double alpha, double* mean, double* var, Py_ssize_t width)
    void ema_row_double "rfx_ema_row_d"(const double* x, double alpha, double* mean, double* var, Py_ssize_t width)
    bint merge_moments "rfx_merge_moments"(
        double share, double both, const double* mean, const double* m2, double* other_mean, double* other_m2,
        Py_ssize_t d)
    bint standardize_float "rfx_standardize_f"(
        const float* x, const double* mean, const double* scale, double limit, float* out, Py_ssize_t width)
    bint standardize_double "rfx_standardize_d"(
        const double* x, const double* mean, const double* scale, double limit, double* out, Py_ssize_t width)

cdef enum:
    ROWS = 256     # of one block
    WIDTH = 256    # columns taken together


cdef void moments_push(double x, double count, double* mean, double* m2) noexcept nogil:
    # Welford 1962; count includes x
    cdef double delta = x - mean[0]
    mean[0] += delta / count
    m2[0] += delta * (x - mean[0])


cdef bint moments_merge(
        double count, const double* mean, const double* m2, double added, double* other_mean, double* other_m2,
        Py_ssize_t d) noexcept nogil:
    # Chan, Golub, LeVeque 1979: the moments of both go to other_*; whether all are finite. count + added > 0.
    cdef double share = added / (count + added)
    return merge_moments(share, count * share, mean, m2, other_mean, other_m2, d)


cdef void moments_of_rows(const real* x, Py_ssize_t n, Py_ssize_t d, double* mean, double* m2) noexcept nogil:
    # Of each column of x (n, d), by blocks; zeros where n = 0
    cdef double[WIDTH] s1
    cdef double[WIDTH] s2
    cdef Py_ssize_t block, strip, first, column, rows, width
    memset(mean, 0, d * sizeof(double))
    memset(m2, 0, d * sizeof(double))
    for block in range((n + ROWS - 1) // ROWS):
        first = block * ROWS
        rows = ROWS if n - first > ROWS else n - first
        for strip in range((d + WIDTH - 1) // WIDTH):
            column = strip * WIDTH
            width = WIDTH if d - column > WIDTH else d - column
            if real is float:
                sums_float(x + first * d + column, d, rows, s1, s2, width)
                add_float(x + first * d + column, s1, s2, rows, first, mean + column, m2 + column, width)
            else:
                sums_double(x + first * d + column, d, rows, s1, s2, width)
                add_double(x + first * d + column, s1, s2, rows, first, mean + column, m2 + column, width)


cdef void moments_of_line(const real* x, Py_ssize_t n, double* mean, double* m2) noexcept nogil:
    # Of n numbers, as LANES columns that are merged at the end and the rest pushed one by one
    cdef double[LANES] lane_mean
    cdef double[LANES] lane_m2
    cdef Py_ssize_t rows = n // LANES, i
    cdef double count = 0.0
    mean[0] = m2[0] = 0.0
    if rows:
        moments_of_rows(x, rows, LANES, lane_mean, lane_m2)
        for i in range(LANES):
            moments_merge(count, mean, m2, rows, &lane_mean[i], &lane_m2[i], 1)
            mean[0], m2[0] = lane_mean[i], lane_m2[i]
            count += rows
    for i in range(rows * LANES, n):
        count += 1.0
        moments_push(x[i], count, mean, m2)


cdef void ema_push(const double* x, Py_ssize_t n, double alpha, bint first, double* mean, double* var) noexcept nogil:
    # Finch 2009: d = x - mean, mean += alpha d, var = (1 - alpha) (var + alpha d^2)
    cdef Py_ssize_t i
    cdef double delta
    for i in range(n):
        if first and i == 0:
            mean[0], var[0] = x[0], 0.0
            continue
        delta = x[i] - mean[0]
        mean[0] += alpha * delta
        var[0] = (1.0 - alpha) * (var[0] + alpha * delta * delta)


cdef void ema_of_rows(
        const real* x, Py_ssize_t n, Py_ssize_t d, double alpha, bint first, double* mean, double* var) noexcept nogil:
    # ema_push for each column of x (n, d), row after row
    cdef Py_ssize_t i, j
    for i in range(n):
        if first and i == 0:
            for j in range(d):
                mean[j], var[j] = x[j], 0.0
        elif real is float:
            ema_row_float(x + i * d, alpha, mean, var, d)
        else:
            ema_row_double(x + i * d, alpha, mean, var, d)


cdef bint standardize_rows(
        const real* x, Py_ssize_t n, Py_ssize_t d, const double* mean, const double* scale, double limit,
        real* out) noexcept nogil:
    # clip((x - mean) scale, -limit, limit) by rows; whether any result before the clip is not finite
    cdef Py_ssize_t i
    cdef bint bad = False
    for i in range(n):
        if real is float:
            bad |= standardize_float(x + i * d, mean, scale, limit, out + i * d, d)
        else:
            bad |= standardize_double(x + i * d, mean, scale, limit, out + i * d, d)
    return bad
