"""Gaits by velocity command and a stand by posture, for one tick of a quadruped's twelve motors."""

from libc.stdint cimport int64_t

from rfx.kernels.leg cimport LegShape

cdef enum:
    STAND = 0
    STEP = 1

# Gaits, by their places among the plans.
cdef enum:
    TROT = 0
    RUN = 1
    WALK = 2
    ECONOMIC = 3
    GAITS = 4

# One gait. Lengths in m, times in s, gains in SI units; stance is half a stance's width, offset how far a leg is ahead in the
# cycle, sway how far the trunk leans away from a leg that swings, low and high what may be asked for.
cdef struct GaitPlan:
    LegShape shape
    double dt
    double mass
    double stance_x
    double stance_y
    double foot_radius
    double period
    double duty
    double[4] offset
    double sway
    double lift
    double[3] low
    double[3] high
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
    int64_t gait

# What was measured: joint positions, attitude of the trunk (rotation heading from trunk), its velocities in the trunk.
cdef struct GaitSense:
    const double* q
    double[9] turn
    double[3] gyro
    double[3] velocity

# What the controller remembers; no padding in it, so that its bytes say it all.
cdef struct GaitState:
    int64_t mode
    int64_t gait
    double phase
    double calm
    double rescue
    double lean
    double ground
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
    double sway
    double sway_speed
    double sway_pull

# plans holds GAITS of them. The command: rows q, dq, tau, kp, kd of twelve.
cdef void gait_reset(GaitState* state) noexcept nogil
cdef bint gait_tick(
    const GaitPlan* plans, const GaitWish* wish, const GaitSense* sense, GaitState* state, double* command
) noexcept nogil
