cimport cython

from rfx.kernels.odometry cimport OdometryPlan


cdef class VelocityEstimator:
    cdef OdometryPlan plan
    cdef double[3] v
    cdef double[4] used
    cdef cython.pymutex lock
    cdef bint tick(
        self, const double* q, const double* dq, const double* quaternion, const double* gyro, const double* accel,
        const double* force, double dt
    ) noexcept nogil
