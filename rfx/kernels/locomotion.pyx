"""What a walking robot does and observes, from MuJoCo's state of a free trunk (7 numbers, 6 velocities) and twelve motors.

MuJoCo gives the velocity of a free body in the world and its angular velocity in the body; quaternions are wxyz.
"""

from libc.math cimport atan2, cos, sin

from rfx.kernels.chacha cimport ChaCha, chacha_unit


cdef void into_body(const double* quaternion, const double* vector, double* out) noexcept nogil:
    # R(q)^T v = v - 2 w (u x v) + 2 u x (u x v) for q = (w, u) of length one.
    cdef double w = quaternion[0], x = quaternion[1], y = quaternion[2], z = quaternion[3]
    cdef double a = vector[0], b = vector[1], c = vector[2]
    cdef double tx = 2.0 * (y * c - z * b), ty = 2.0 * (z * a - x * c), tz = 2.0 * (x * b - y * a)
    out[0] = a - w * tx + (y * tz - z * ty)
    out[1] = b - w * ty + (z * tx - x * tz)
    out[2] = c - w * tz + (x * ty - y * tx)


cdef void read_motion(const double* qpos, const double* qvel, double ground, Motion* motion) noexcept nogil:
    # Where the trunk and the joints are and how they move; `ground` is the height of the ground below.
    cdef double w = qpos[3], x = qpos[4], y = qpos[5], z = qpos[6]
    cdef double[3] down
    cdef int i
    down[0], down[1], down[2] = 0.0, 0.0, -1.0
    into_body(qpos + 3, qvel, motion.linear)
    into_body(qpos + 3, down, motion.gravity)
    motion.yaw = atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    motion.height = qpos[2] - ground
    for i in range(3):
        motion.angular[i] = qvel[3 + i]
    for i in range(MOTORS):
        motion.q[i] = qpos[7 + i]
        motion.dq[i] = qvel[6 + i]


cdef void read_forces(const double* torque, const double* sensors, Motion* motion) noexcept nogil:
    # Torques and contact forces. A sensor of the calf counts the foot that is fixed to it: that is taken off.
    cdef int i, k
    cdef const double* leg
    for i in range(MOTORS):
        motion.torque[i] = torque[i]
    for k in range(3):
        motion.trunk_force[k] = -sensors[k]
        for i in range(FEET):
            leg = sensors + 3 + 9 * i
            motion.thigh_force[i][k] = -leg[k]
            motion.calf_force[i][k] = leg[6 + k] - leg[3 + k]
            motion.foot_force[i][k] = -leg[6 + k]


cdef void fill_signals(
        const Motion* motion, const Robot* robot, const double* pose, double phase, double* signals) noexcept nogil:
    # linear 0:3, angular 3:6, gravity 6:9, command 9:12, q 12:24, q - pose 24:36, dq 36:48, action 48:60, clock 60:63.
    cdef int i
    for i in range(3):
        signals[i] = motion.linear[i]
        signals[3 + i] = motion.angular[i]
        signals[6 + i] = motion.gravity[i]
        signals[9 + i] = robot.command[i]
    for i in range(MOTORS):
        signals[12 + i] = motion.q[i]
        signals[24 + i] = motion.q[i] - pose[i]
        signals[36 + i] = motion.dq[i]
        signals[48 + i] = robot.action[i]
    signals[60], signals[61], signals[62] = sin(phase), cos(phase), sin(0.5 * phase)


cdef void assemble(const Assembly* how, const double* signals, ChaCha* rng, float* obs) noexcept nogil:
    # obs[j] = clip(scale clip(signal + noise (2 u - 1), bound), clip); a number is drawn only where there is noise.
    cdef Py_ssize_t j
    cdef double value
    for j in range(how.size):
        value = signals[how.index[j]]
        if how.noise[j] > 0.0:
            value += how.noise[j] * (2.0 * chacha_unit(rng) - 1.0)
        value = how.scale[j] * min(max(value, -how.bound[j]), how.bound[j])
        obs[j] = <float>min(max(value, -how.clip), how.clip)


cdef bint steady(const double* qpos, const double* qvel) noexcept nogil:
    # Whether a state is one to go on from: finite, slower than 1000 m/s or rad/s, within 10 km.
    cdef int i
    for i in range(6 + MOTORS):
        if not -1e3 < qvel[i] < 1e3:
            return False
    for i in range(7 + MOTORS):
        if not -1e4 < qpos[i] < 1e4:
            return False
    return True
