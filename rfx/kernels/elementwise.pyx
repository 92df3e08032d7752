"""Arithmetic on arrays, element by element. What can overflow answers whether all results are finite."""

from libc.math cimport sqrt

cdef extern from *:
    """
    #include "blend.h"
    #include "clones.h"
    #define RFX_ELEMENTWISE(REAL, MASK, SUFFIX)                                                                         \\
        RFX_CLONES static int rfx_shape_##SUFFIX(const REAL *restrict r, const REAL *restrict phi,                      \\
                const REAL *restrict next, const unsigned char *restrict ended, REAL gamma, REAL terminal,              \\
                REAL *restrict out, Py_ssize_t n) {                                                                     \\
            MASK bad = 0;                                                                                               \\
            for (Py_ssize_t i = 0; i < n; i++) {                                                                        \\
                REAL go_on = (r[i] + gamma * next[i]) - phi[i], end = r[i] - terminal * phi[i];                         \\
                REAL y = ended[i] ? end : go_on;                                                                        \\
                bad |= y - y == 0 ? 0 : 1;                                                                              \\
                out[i] = y;                                                                                             \\
            }                                                                                                           \\
            return bad == 0;                                                                                            \\
        }                                                                                                               \\
        RFX_CLONES static int rfx_finite_##SUFFIX(const REAL *restrict x, Py_ssize_t n) {                               \\
            MASK bad = 0;                                                                                               \\
            for (Py_ssize_t i = 0; i < n; i++) bad |= x[i] - x[i] == 0 ? 0 : 1;                                         \\
            return bad == 0;                                                                                            \\
        }                                                                                                               \\
        RFX_CLONES static int rfx_toward_finite_##SUFFIX(const REAL *restrict t, const REAL *restrict s, REAL rate,     \\
                Py_ssize_t n) {                                                                                         \\
            MASK bad = 0;                                                                                               \\
            for (Py_ssize_t i = 0; i < n; i++) {                                                                        \\
                REAL y = t[i] + rate * (s[i] - t[i]);                                                                   \\
                bad |= y - y == 0 ? 0 : 1;                                                                              \\
            }                                                                                                           \\
            return bad == 0;                                                                                            \\
        }                                                                                                               \\
        RFX_CLONES static void rfx_add_scaled_##SUFFIX(double *restrict sum, const REAL *restrict x, double weight,     \\
                Py_ssize_t n) {                                                                                         \\
            for (Py_ssize_t i = 0; i < n; i++) sum[i] += weight * x[i];                                                 \\
        }                                                                                                               \\
        RFX_CLONES static int rfx_priorities_##SUFFIX(const REAL *restrict errors, const REAL *restrict losses,         \\
                double eta, double plus, double least, double *restrict out, Py_ssize_t n) {                            \\
            long long bad = 0;                                                                                          \\
            for (Py_ssize_t i = 0; i < n; i++) {                                                                        \\
                double e = errors[i], y = ((e < 0 ? -e : e) + eta * losses[i]) + plus;                                  \\
                bad |= y - y == 0 ? 0 : 1;                                                                              \\
                out[i] = y < least ? least : y;                                                                         \\
            }                                                                                                           \\
            return bad == 0;                                                                                            \\
        }
    RFX_ELEMENTWISE(float, int, f)
    RFX_ELEMENTWISE(double, long long, d)
    """
    bint shape_f "rfx_shape_f"(const float* r, const float* phi, const float* next_, const unsigned char* ended,
                               float gamma, float terminal, float* out, Py_ssize_t n) noexcept nogil
    bint shape_d "rfx_shape_d"(const double* r, const double* phi, const double* next_, const unsigned char* ended,
                               double gamma, double terminal, double* out, Py_ssize_t n) noexcept nogil
    bint finite_f "rfx_finite_f"(const float* x, Py_ssize_t n) noexcept nogil
    bint finite_d "rfx_finite_d"(const double* x, Py_ssize_t n) noexcept nogil
    bint toward_finite_f "rfx_toward_finite_f"(const float* t, const float* s, float rate, Py_ssize_t n) noexcept nogil
    bint toward_finite_d "rfx_toward_finite_d"(const double* t, const double* s, double rate, Py_ssize_t n) noexcept nogil
    bint toward_f "rfx_toward_f"(float* t, const float* s, float rate, Py_ssize_t n) noexcept nogil
    bint toward_d "rfx_toward_d"(double* t, const double* s, double rate, Py_ssize_t n) noexcept nogil
    bint blend_f "rfx_blend_f"(float* t, const float* s, float tau, Py_ssize_t n) noexcept nogil
    bint blend_d "rfx_blend_d"(double* t, const double* s, double tau, Py_ssize_t n) noexcept nogil
    void add_scaled_f "rfx_add_scaled_f"(double* total, const float* x, double weight, Py_ssize_t n) noexcept nogil
    void add_scaled_d "rfx_add_scaled_d"(double* total, const double* x, double weight, Py_ssize_t n) noexcept nogil
    bint priorities_f "rfx_priorities_f"(const float* errors, const float* losses, double eta, double plus,
                                         double least, double* out, Py_ssize_t n) noexcept nogil
    bint priorities_d "rfx_priorities_d"(const double* errors, const double* losses, double eta, double plus,
                                         double least, double* out, Py_ssize_t n) noexcept nogil

cdef enum:
    CHUNK = 512    # sums that stay in the cache


cdef Py_ssize_t return_step(
        const double* rewards, const unsigned char* terminated, const unsigned char* truncated, Py_ssize_t n, double gamma,
        bint drop_terminated, bint skip_after_end, bint clear_at_end, double* returns, unsigned char* ended,
        double* active) noexcept nogil:
    # return = gamma return + reward, in each environment but those that ended at the step before (skip_after_end);
    # gymnasium leaves the old return out where the episode terminates (drop_terminated). The new returns of the
    # environments taken go to active, clear_at_end zeroes those that ended. Returns how many were taken.
    cdef Py_ssize_t i, taken = 0
    for i in range(n):
        if not (skip_after_end and ended[i]):
            returns[i] = rewards[i] + (0.0 if drop_terminated and terminated[i] else gamma * returns[i])
            active[taken] = returns[i]
            taken += 1
        ended[i] = terminated[i] | truncated[i]
        if clear_at_end and ended[i]:
            returns[i] = 0.0
    return taken


cdef bint divide_within(const real* x, double by, double limit, real* out, Py_ssize_t n) noexcept nogil:
    # clip(x / by, -limit, limit); whether all x and all results are finite
    cdef Py_ssize_t i
    cdef double y
    cdef bint good = True
    for i in range(n):
        y = x[i] / by
        y = limit if y > limit else -limit if y < -limit else y
        out[i] = <real>y
        good &= x[i] - x[i] == 0 and out[i] - out[i] == 0
    return good


cdef bint shape_potential(
        const real* rewards, const real* phi, const real* phi_next, const unsigned char* ended, real gamma,
        real terminal_phi, real* out, Py_ssize_t n) noexcept nogil:
    # r + gamma phi' - phi; at an end r - terminal_phi phi, whatever phi' is (Ng, Harada, Russell 1999; Grzes 2017)
    if real is float:
        return shape_f(rewards, phi, phi_next, ended, gamma, terminal_phi, out, n)
    else:
        return shape_d(rewards, phi, phi_next, ended, gamma, terminal_phi, out, n)


cdef bint goal_distances(
        const real* rows, Py_ssize_t n, Py_ssize_t step, const real* goal, Py_ssize_t d, double scale,
        real* out) noexcept nogil:
    # -scale |row - goal|, of the first d numbers of rows that lie `step` apart
    cdef Py_ssize_t i, j
    cdef double square, delta, y
    cdef bint good = True
    for i in range(n):
        square = 0.0
        for j in range(d):
            delta = <double>rows[i * step + j] - goal[j]
            square += delta * delta
        y = 0.0 - scale * sqrt(square)
        out[i] = <real>y
        good &= out[i] - out[i] == 0
    return good


cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    if real is float:
        return finite_f(x, n)
    else:
        return finite_d(x, n)


cdef bint toward_is_finite(const real* target, const real* source, real rate, Py_ssize_t n) noexcept nogil:
    # whether move_toward would give finite numbers
    if real is float:
        return toward_finite_f(target, source, rate, n)
    else:
        return toward_finite_d(target, source, rate, n)


cdef bint move_toward(real* target, const real* source, real rate, Py_ssize_t n) noexcept nogil:
    # target += rate (source - target): Reptile's outer step (Nichol, Achiam, Schulman 2018). See blend
    if real is float:
        return toward_f(target, source, rate, n)
    else:
        return toward_d(target, source, rate, n)


cdef bint blend(real* target, const real* source, real tau, Py_ssize_t n) noexcept nogil:
    # target = tau source + (1 - tau) target (Polyak averaging; Lillicrap et al. 2016), where that is finite, else as it
    # was; whether all are
    if real is float:
        return blend_f(target, source, tau, n)
    else:
        return blend_d(target, source, tau, n)


cdef void mean_of(const real** sources, const double* weights, Py_ssize_t count, real* out, Py_ssize_t n) noexcept nogil:
    # sum of weights[k] sources[k], summed in double and rounded once
    cdef double[CHUNK] total
    cdef Py_ssize_t block, first, size, i, k
    for block in range((n + CHUNK - 1) // CHUNK):
        first = block * CHUNK
        size = CHUNK if n - first > CHUNK else n - first
        for i in range(size):
            total[i] = 0.0
        for k in range(count):
            if real is float:
                add_scaled_f(total, sources[k] + first, weights[k], size)
            else:
                add_scaled_d(total, sources[k] + first, weights[k], size)
        for i in range(size):
            out[first + i] = <real>total[i]


cdef bint priorities_of(
        const real* errors, const real* losses, double eta, double plus, double least, double* out,
        Py_ssize_t n) noexcept nogil:
    # max(|error| + eta loss + plus, least)
    if real is float:
        return priorities_f(errors, losses, eta, plus, least, out, n)
    else:
        return priorities_d(errors, losses, eta, plus, least, out, n)
