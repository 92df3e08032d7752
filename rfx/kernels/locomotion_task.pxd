from libc.stdint cimport int64_t

from rfx.kernels.chacha cimport ChaCha
from rfx.kernels.ground cimport Ground
from rfx.kernels.locomotion cimport MOTORS, Robot

# What is drawn for a robot, each range as (low, high).
ctypedef struct TaskModel:
    double dt                # between two actions, s
    double[2] forwards       # commands, m/s
    double[2] sideways
    double[2] turning        # rad/s
    double[2] heading        # rad
    bint follow_heading
    double heading_gain      # 1/s
    double deadband          # below which a command of speed becomes 0, m/s
    double standing          # share of commands that are to stand
    int64_t command_steps    # between two commands
    double[2] friction
    double[2] mass           # kg
    double[2] strength
    int64_t[2] delay         # physics steps
    int64_t push_steps       # between two pushes, 0 for none
    double push              # half width of the change of speed in x and y, m/s
    double spin              # half width of the change of each angular velocity, rad/s
    double place             # half widths of the start: m, rad, rad, m/s and rad/s
    double yaw
    double joints
    double speed
    double height            # of the trunk over the ground at the start
    bint curriculum
    int64_t start_level
    double episode           # s

cdef void draw_command(const TaskModel* task, Robot* robot, ChaCha* rng) noexcept nogil
cdef void follow_heading(const TaskModel* task, Robot* robot, double yaw) noexcept nogil
cdef void draw_level(
    const TaskModel* task, const Ground* ground, Robot* robot, const double* qpos, ChaCha* rng) noexcept nogil
cdef void draw_body(const TaskModel* task, Robot* robot, ChaCha* rng) noexcept nogil
cdef void draw_start(
    const TaskModel* task, const Ground* ground, const double* pose, Robot* robot, double* qpos, double* qvel,
    ChaCha* rng) noexcept nogil
cdef void forget(const TaskModel* task, const double* pose, Robot* robot) noexcept nogil
cdef void push(const TaskModel* task, double* qvel, ChaCha* rng) noexcept nogil
cdef void take_action(
    Robot* robot, const float* action, double clip, const int64_t* motors, const double* pose, const double* scale,
    const double* lower, const double* upper) noexcept nogil
cdef void delayed(const Robot* robot, Py_ssize_t substeps, double* controls) noexcept nogil
