"""A trot by velocity command and a stand by posture, for one tick of a quadruped's twelve motors."""

from libc.stdint cimport int64_t

from rfx.kernels.leg cimport LegShape

cdef enum:
    STAND = 0
    TROT = 1

# What does not change while walking. Lengths in m, times in s, gains in SI units; stance is half a stance's width.
cdef struct GaitPlan:
    LegShape shape
    double dt
    double mass
    double stance_x
    double stance_y
    double foot_radius
    double period
    double duty
    double capture
    double reach
    double friction

# What the caller wants: velocity of the trunk (m/s, m/s, rad/s) along its heading, and its posture (m, rad).
cdef struct GaitWish:
    double[3] velocity
    double height
    double roll
    double pitch
    double yaw
    double lift
    int64_t mode

# What was measured: joint positions, attitude of the trunk (rotation heading from trunk), its velocities in the trunk.
cdef struct GaitSense:
    const double* q
    double[9] turn
    double[3] gyro
    double[3] velocity

# What the controller remembers; no padding in it, so that its bytes say it all.
cdef struct GaitState:
    int64_t mode
    double phase
    double calm
    double[3] velocity
    double[3] drift
    double[6] posture
    double[12] anchor
    double[12] start
    int64_t[4] stands

# What one tick works with: feet and the trunk's speed in the heading frame, Jacobians in the trunk.
cdef struct GaitWork:
    double[12] feet
    double[36] jacobian
    double[3] velocity
    double[3] rates
    double ground

# The command: rows q, dq, tau, kp, kd of twelve.
cdef void gait_reset(GaitState* state) noexcept nogil
cdef bint gait_tick(
    const GaitPlan* plan, const GaitWish* wish, const GaitSense* sense, GaitState* state, double* command
) noexcept nogil
