"""What is drawn for a walking robot: commands, bodies, starts, pushes; and what becomes of its actions.

Every draw takes the same number of words from the stream whatever the ranges are, so that a range changed to a point leaves
all other draws as they were.
"""

from libc.math cimport cos, floor, sin, sqrt
from libc.stdint cimport int64_t

from rfx.kernels.chacha cimport ChaCha, chacha_below, chacha_unit
from rfx.kernels.ground cimport Ground, ground_centre, ground_top

cdef double PI = 3.141592653589793


cdef inline double between(const double* bounds, ChaCha* rng) noexcept nogil:
    return bounds[0] + (bounds[1] - bounds[0]) * chacha_unit(rng)


cdef inline double around(double width, ChaCha* rng) noexcept nogil:
    return width * (2.0 * chacha_unit(rng) - 1.0)


cdef void draw_command(const TaskModel* task, Robot* robot, ChaCha* rng) noexcept nogil:
    # A new command; slower than the deadband is 0, and some are to stand.
    cdef double x = between(task.forwards, rng), y = between(task.sideways, rng)
    robot.command[2] = between(task.turning, rng)
    robot.heading = between(task.heading, rng)
    robot.follows = task.follow_heading
    if chacha_unit(rng) < task.standing:
        x = y = robot.command[2] = 0.0
        robot.follows = 0
    if sqrt(x * x + y * y) < task.deadband:
        x = y = 0.0
    robot.command[0], robot.command[1] = x, y
    robot.until_command = task.command_steps


cdef void follow_heading(const TaskModel* task, Robot* robot, double yaw) noexcept nogil:
    # c_yaw = clip(gain wrap(heading - yaw), turning) where the robot is to turn to a heading.
    cdef double turn = robot.heading - yaw
    if not robot.follows:
        return
    turn -= 2.0 * PI * floor(turn / (2.0 * PI) + 0.5)
    robot.command[2] = min(max(task.heading_gain * turn, task.turning[0]), task.turning[1])


cdef void draw_level(
        const TaskModel* task, const Ground* ground, Robot* robot, const double* qpos, ChaCha* rng) noexcept nogil:
    # The tile to begin on. With a curriculum, who came further than half a tile goes one level up (from the last one to any),
    # who did not come half as far as commanded one level down.
    cdef int64_t any_level = chacha_below(rng, max(ground.levels, 1)), last = max(ground.levels, 1) - 1
    cdef int64_t first = chacha_below(rng, min(task.start_level, last) + 1), kind = chacha_below(rng, max(ground.kinds, 1))
    cdef double dx = qpos[0] - robot.origin[0], dy = qpos[1] - robot.origin[1], far = sqrt(dx * dx + dy * dy)
    cdef double speed = sqrt(robot.command[0] * robot.command[0] + robot.command[1] * robot.command[1])
    if robot.kind < 0:
        robot.kind, robot.level = kind, first
    elif task.curriculum and robot.steps > 0:
        if far > 0.5 * ground.tile:
            robot.level = robot.level + 1 if robot.level < last else any_level
        elif far < 0.5 * speed * task.episode:
            robot.level = max(robot.level - 1, 0)
    ground_centre(ground, robot.level, robot.kind, &robot.origin[0], &robot.origin[1])


cdef void draw_body(const TaskModel* task, Robot* robot, ChaCha* rng) noexcept nogil:
    # Friction of the feet, mass on the trunk, strength of each motor, and the delay of actions.
    cdef int i
    robot.friction = between(task.friction, rng)
    robot.mass = between(task.mass, rng)
    for i in range(MOTORS):
        robot.strength[i] = between(task.strength, rng)
    robot.delay = task.delay[0] + <int64_t>chacha_below(rng, task.delay[1] - task.delay[0] + 1)


cdef void draw_start(
        const TaskModel* task, const Ground* ground, const double* pose, Robot* robot, double* qpos, double* qvel,
        ChaCha* rng) noexcept nogil:
    # A level trunk just above the ground near the origin of the tile, joints near the pose.
    cdef double x = robot.origin[0] + around(task.place, rng), y = robot.origin[1] + around(task.place, rng)
    cdef double half = 0.5 * around(task.yaw, rng)
    cdef int i
    robot.origin[0], robot.origin[1] = x, y
    qpos[0], qpos[1], qpos[2] = x, y, task.height + ground_top(ground, x, y, 0.3)
    qpos[3], qpos[4], qpos[5], qpos[6] = cos(half), 0.0, 0.0, sin(half)
    for i in range(MOTORS):
        qpos[7 + i] = pose[i] + around(task.joints, rng)
        qvel[6 + i] = 0.0
    for i in range(6):
        qvel[i] = around(task.speed, rng)


cdef void forget(const TaskModel* task, const double* pose, Robot* robot) noexcept nogil:
    # Nothing has been done yet in this episode: actions 0, targets the pose, feet on the ground.
    cdef int i, k
    for i in range(MOTORS):
        robot.action[i] = robot.action_before[i] = robot.dq_before[i] = 0.0
        for k in range(3):
            robot.targets[MOTORS * k + i] = pose[i]
    for i in range(4):
        robot.air_time[i] = robot.contact[i] = 0.0
    robot.steps = robot.ended = 0
    robot.until_push = task.push_steps


cdef void push(const TaskModel* task, double* qvel, ChaCha* rng) noexcept nogil:
    # A blow: velocities change at once, each by a draw in both directions.
    cdef int i
    qvel[0] += around(task.push, rng)
    qvel[1] += around(task.push, rng)
    for i in range(3):
        qvel[3 + i] += around(task.spin, rng)


cdef void take_action(
        Robot* robot, const float* action, double clip, const int64_t* motors, const double* pose, const double* scale,
        const double* lower, const double* upper) noexcept nogil:
    # target = pose + scale clip(action), within the travel of the joint; motors says which motor each number is for.
    cdef int i
    cdef double value
    for i in range(2 * MOTORS - 1, -1, -1):
        robot.targets[MOTORS + i] = robot.targets[i]
    for i in range(MOTORS):
        value = min(max(<double>action[i], -clip), clip)
        robot.action_before[i], robot.action[i] = robot.action[i], value
        value = pose[motors[i]] + scale[motors[i]] * value
        robot.targets[motors[i]] = min(max(value, lower[motors[i]]), upper[motors[i]])


cdef void delayed(const Robot* robot, Py_ssize_t substeps, double* controls) noexcept nogil:
    # controls[s] is the newest target that is `delay` physics steps old at physics step s.
    cdef Py_ssize_t s, back
    cdef int i
    for s in range(substeps):
        back = min((robot.delay - s + substeps - 1) // substeps, 2) if robot.delay > s else 0
        for i in range(MOTORS):
            controls[s * MOTORS + i] = robot.targets[MOTORS * back + i]
