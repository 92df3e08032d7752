from libc.stdint cimport int64_t

from rfx.kernels.chacha cimport ChaCha

cdef enum:
    MOTORS = 12
    FEET = 4
    SENSORS = 39             # forces in the world on: trunk, then thigh, calf and foot of each leg
    SIGNALS = 63             # what an observation can be made of, see fill_signals

# What a robot does at one moment: motors in motor order, legs FR FL RR RL, SI units.
ctypedef struct Motion:
    double[3] linear         # velocity of the trunk in its own frame
    double[3] angular
    double[3] gravity        # unit vector downwards in the frame of the trunk
    double yaw
    double height            # of the trunk over the ground
    double[MOTORS] q
    double[MOTORS] dq
    double[MOTORS] torque
    double[3] trunk_force
    double[FEET][3] thigh_force
    double[FEET][3] calf_force   # without the foot
    double[FEET][3] foot_force

# What one environment remembers. Only numbers of eight bytes: Python sees the same as a structured array.
ctypedef struct Robot:
    double[3] command        # forwards, to the left (m/s), yaw (rad/s)
    double heading           # rad, to be turned to where `follows`
    double[MOTORS] action    # in the order of the layout, clipped
    double[MOTORS] action_before
    double[MOTORS] dq_before
    double[3 * MOTORS] targets   # joint targets of the last three actions, newest first, motor order
    double[FEET] air_time
    double[FEET] contact     # 1 where the foot touched at the last step
    double[2] origin         # where the episode began
    double friction
    double mass              # kg, on top of the trunk's own
    double[MOTORS] strength
    int64_t delay            # physics steps from an action to its effect
    int64_t steps            # of this episode
    int64_t until_command    # steps until a new command is drawn
    int64_t until_push
    int64_t follows
    int64_t ended            # whether the episode is over
    int64_t level
    int64_t kind             # of the tile; -1 before the first episode

# How an observation is assembled from the signals.
ctypedef struct Assembly:
    Py_ssize_t size
    const int64_t* index     # which signal
    const double* noise      # half width of uniform noise, before clipping and scaling
    const double* bound      # of the signal, infinity for none
    const double* scale
    double clip              # of the result

cdef void into_body(const double* quaternion, const double* vector, double* out) noexcept nogil
cdef void read_motion(const double* qpos, const double* qvel, double ground, Motion* motion) noexcept nogil
cdef void read_forces(const double* torque, const double* sensors, Motion* motion) noexcept nogil
cdef void fill_signals(
    const Motion* motion, const Robot* robot, const double* pose, double phase, double* signals) noexcept nogil
cdef void assemble(const Assembly* how, const double* signals, ChaCha* rng, float* obs) noexcept nogil
cdef bint steady(const double* qpos, const double* qvel) noexcept nogil
