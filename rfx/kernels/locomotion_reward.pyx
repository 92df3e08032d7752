"""The terms of the reward of a walking robot, after Rudin, Hoeller, Reist and Hutter 2022 ("Learning to walk in minutes").

Each function writes some of the TERMS numbers; the formula stands above it. v and w are the velocities of the trunk in its own
frame, g the projected gravity, c the command, a the action, F forces in the world.
"""

from libc.math cimport sqrt

cdef extern from "exp.h":
    double rfx_exp(double x) noexcept nogil


cdef inline double square(double x) noexcept nogil:
    return x * x


cdef void body_terms(const RewardModel* model, const Motion* motion, const Robot* robot, double* terms) noexcept nogil:
    # 0 tracking_lin_vel   exp(-|c_xy - v_xy|^2 / sigma)       1 tracking_ang_vel   exp(-(c_yaw - w_z)^2 / sigma)
    # 2 lin_vel_z          v_z^2                               3 ang_vel_xy         w_x^2 + w_y^2
    # 4 orientation        g_x^2 + g_y^2                       5 base_height        (height - target)^2
    cdef double dx = robot.command[0] - motion.linear[0], dy = robot.command[1] - motion.linear[1]
    terms[0] = rfx_exp(-(dx * dx + dy * dy) / model.sigma)
    terms[1] = rfx_exp(-square(robot.command[2] - motion.angular[2]) / model.sigma)
    terms[2] = square(motion.linear[2])
    terms[3] = square(motion.angular[0]) + square(motion.angular[1])
    terms[4] = square(motion.gravity[0]) + square(motion.gravity[1])
    terms[5] = square(motion.height - model.height)


cdef void joint_terms(const RewardModel* model, const Motion* motion, const Robot* robot, double* terms) noexcept nogil:
    # 6 torques  sum torque^2      7 dof_vel  sum dq^2     8 dof_acc  sum ((dq_before - dq) / dt)^2
    # 9 action_rate  sum (a_before - a)^2                 10 stand_still  sum |q - pose| where |c_xy| < deadband, else 0
    cdef int i
    cdef bint still = sqrt(square(robot.command[0]) + square(robot.command[1])) < model.deadband
    for i in range(6, 11):
        terms[i] = 0.0
    for i in range(MOTORS):
        terms[6] += square(motion.torque[i])
        terms[7] += square(motion.dq[i])
        terms[8] += square((robot.dq_before[i] - motion.dq[i]) / model.dt)
        terms[9] += square(robot.action_before[i] - robot.action[i])
        if still:
            terms[10] += abs(motion.q[i] - model.pose[i])


cdef void limit_terms(const RewardModel* model, const Motion* motion, double* terms) noexcept nogil:
    # 11 dof_pos_limits  sum of how far q is beyond its soft limits
    # 12 dof_vel_limits  sum of |dq| beyond its soft limit, at most 1 each
    # 13 torque_limits   sum of |torque| beyond its soft limit
    cdef int i
    terms[11] = terms[12] = terms[13] = 0.0
    for i in range(MOTORS):
        terms[11] += max(model.lower[i] - motion.q[i], 0.0) + max(motion.q[i] - model.upper[i], 0.0)
        terms[12] += min(max(abs(motion.dq[i]) - model.speed[i], 0.0), 1.0)
        terms[13] += max(abs(motion.torque[i]) - model.effort[i], 0.0)


cdef inline double norm(const double* force) noexcept nogil:
    return sqrt(square(force[0]) + square(force[1]) + square(force[2]))


cdef void contact_terms(const RewardModel* model, const Motion* motion, Robot* robot, double* terms) noexcept nogil:
    # 14 collision            how many thighs and calves feel more than 0.1 N
    # 15 feet_air_time        sum over feet that touch down of (time in the air - stride), 0 where |c_xy| < deadband
    # 16 feet_stumble         1 where |F_xy| > 5 |F_z| for a foot
    # 17 feet_contact_forces  sum of max(|F| - most_force, 0)
    # A foot touches where F_z > 1 N, or did a step ago: single gaps in the contact are bridged.
    cdef int i
    cdef bint walks = sqrt(square(robot.command[0]) + square(robot.command[1])) >= model.deadband, now, touches
    cdef const double* force
    for i in range(14, 18):
        terms[i] = 0.0
    for i in range(FEET):
        force = motion.foot_force[i]
        terms[14] += (norm(motion.thigh_force[i]) > 0.1) + (norm(motion.calf_force[i]) > 0.1)
        terms[17] += max(norm(force) - model.most_force, 0.0)
        if sqrt(square(force[0]) + square(force[1])) > 5.0 * abs(force[2]):
            terms[16] = 1.0
        now = force[2] > 1.0
        touches = now or robot.contact[i] != 0.0
        if touches and robot.air_time[i] > 0.0 and walks:
            terms[15] += robot.air_time[i] + model.dt - model.stride
        robot.air_time[i] = 0.0 if touches else robot.air_time[i] + model.dt
        robot.contact[i] = now


cdef double weighted(const double* weights, double* terms, double* sums, bint only_positive) noexcept nogil:
    # sum of weight times term; each product is left in terms and added to its sum. With only_positive all but the last term,
    # the termination, together count at least 0.
    cdef int i
    cdef double total = 0.0
    for i in range(TERMS):
        terms[i] = terms[i] * weights[i] if weights[i] != 0.0 else 0.0
        sums[i] += terms[i]
        if i < TERMS - 1:
            total += terms[i]
    return (max(total, 0.0) if only_positive else total) + terms[TERMS - 1]
