from libc.stdint cimport int32_t, int64_t, uint32_t

# What the envelope can do or find. The first five change a number of one motor, the next five are one motor's reasons
# for damping all of them, the last two the whole robot's. A mark is 1 << kind.
cdef enum:
    ENV_POSITION = 0        # target outside of the joint's travel: clamped
    ENV_STEP = 1            # target too far from the one sent last: moved towards it
    ENV_VELOCITY = 2        # target velocity too high: clamped
    ENV_TORQUE = 3          # the motor law would give too much: target, feed-forward torque, or gain reduced
    ENV_GAIN = 4            # gain too high, or on a target that stands for none: reduced
    ENV_COMMAND = 5         # not finite, or a negative gain
    ENV_OVERSPEED = 6       # the motor turns too fast
    ENV_TEMPERATURE = 7
    ENV_LOST = 8            # not measured any more
    ENV_MEASURED = 9        # what was measured is not finite
    ENV_TILT = 10           # the trunk leans too far, or has no orientation
    ENV_STALE = 11
    ENV_KINDS = 12
    ENV_PER_JOINT = 10
    ENV_DAMP = 0xFE0        # the marks that mean damping
    ENV_LATCHED = (1 << ENV_TEMPERATURE) | (1 << ENV_LOST) | (1 << ENV_TILT) | (1 << ENV_STALE)
    ENV_BOUNDS = 7          # rows of EnvelopeBounds.joint

ctypedef struct EnvelopeBounds:
    const double* joint     # (7, n): lowest and highest position, velocity, torque, step, kp, kd
    double temperature      # degrees Celsius, from here on too hot
    double cos_tilt         # cosine of the largest angle between the trunk's z axis and the vertical
    int64_t stale_ns
    int32_t losses          # lost in so many states in a row

ctypedef struct EnvelopeMeasured:
    const double* q
    const double* dq
    const double* tau_est
    const double* temperature
    const int32_t* losses       # (n,) in how many states in a row each motor was lost
    const double* quaternion    # wxyz
    int64_t age_ns

# What began: kind of joint (-1 for the robot's own), as asked for or measured, and as sent (NaN where damping came of it).
ctypedef struct EnvelopeEvent:
    uint32_t tick
    int32_t joint
    int32_t kind
    double asked
    double sent

cdef uint32_t envelope_check(
    double* command, const EnvelopeMeasured* measured, const EnvelopeBounds* bounds, uint32_t* marks, Py_ssize_t n
) noexcept nogil
cdef uint32_t envelope_clamp(
    double* command, double* last, const EnvelopeMeasured* measured, const EnvelopeBounds* bounds, uint32_t* marks,
    Py_ssize_t n) noexcept nogil
cdef void envelope_damping(double* command, double* last, double kd, Py_ssize_t n) noexcept nogil
cdef void envelope_losses(int32_t* losses, uint32_t* before, const uint32_t* lost, Py_ssize_t n) noexcept nogil
cdef void envelope_count(int64_t* counts, const uint32_t* marks, uint32_t all, Py_ssize_t n) noexcept nogil
cdef EnvelopeEvent envelope_joint_event(
    const double* asked, const double* sent, const EnvelopeMeasured* m, Py_ssize_t i, Py_ssize_t kind, Py_ssize_t n
) noexcept nogil
cdef EnvelopeEvent envelope_robot_event(const EnvelopeMeasured* m, Py_ssize_t kind) noexcept nogil
