"""From measured numbers to a policy's observation, from its action to joint targets. C only: cimport it.

The order of the operations is that of rfx.robots.ObservationLayout.assemble and ActionLayout.targets, in double precision,
so that the results are theirs to the last bit.
"""

from libc.stdint cimport int32_t


cdef inline double bounded(double x, double least, double most) noexcept nogil:
    return least if x < least else most if x > most else x


# The unit vector downwards in the body frame, -R(q)^T e_z, of an attitude in the order wxyz or xyzw.
cdef void gravity_of(const double* quaternion, bint xyzw, double* out) noexcept nogil:
    cdef const double* v = quaternion if xyzw else quaternion + 1
    cdef double w = quaternion[3] if xyzw else quaternion[0]
    out[0] = 2 * (w * v[1] - v[0] * v[2])
    out[1] = -2 * (v[1] * v[2] + w * v[0])
    out[2] = 2 * (v[0] * v[0] + v[1] * v[1]) - 1


# obs[i] = clip(clip(signal[place[i]], bound[i]) * scale[i], clip), rounded to float32 once, at the end. NaN stays NaN.
cdef void observe_terms(
        const double* signals, const int32_t* place, const double* bound, const double* scale, double clip, Py_ssize_t n,
        float* out) noexcept nogil:
    cdef Py_ssize_t i
    cdef double x
    for i in range(n):
        x = bounded(signals[place[i]], -bound[i], bound[i]) * scale[i]
        out[i] = <float>bounded(x, -clip, clip)


# target[i] = pose[i] + scale[i] * clip(action[place[i]], clip); all but the action in motor order.
cdef void joint_targets(
        const float* action, const int32_t* place, const double* pose, const double* scale, double clip, Py_ssize_t n,
        double* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = pose[i] + scale[i] * bounded(<double>action[place[i]], -clip, clip)


# start + s (end - start) with s = 3 u^2 - 2 u^3, u the share of the way: no velocity at either end.
cdef void smooth_move(
        const double* start, const double* end, double share, Py_ssize_t n, double* out) noexcept nogil:
    cdef double u = bounded(share, 0.0, 1.0), s = u * u * (3.0 - 2.0 * u)
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = start[i] + s * (end[i] - start[i])
