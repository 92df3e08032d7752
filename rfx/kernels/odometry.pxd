"""How fast a trunk moves, from its inertial unit and the legs that stand."""

from rfx.kernels.leg cimport LegShape

# Radius of a foot (m), forces between which a foot comes to be trusted (N), how quickly legs correct (1/s), and the error at
# which a leg is trusted half (m/s).
cdef struct OdometryPlan:
    LegShape shape
    double radius
    double light
    double firm
    double pull
    double doubt

cdef bint odometry_tick(
    const OdometryPlan* plan, const double* q, const double* dq, const double* quaternion, const double* gyro,
    const double* accel, const double* force, double dt, double* velocity, double* trust
) noexcept nogil
cdef void leg_velocities(
    const OdometryPlan* plan, const double* q, const double* dq, const double* gyro, const double* up, double* velocities
) noexcept nogil
