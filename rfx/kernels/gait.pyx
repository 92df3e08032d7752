"""Gaits by velocity command and a stand by posture.

The heading frame has the trunk's origin and heading, and is level. Each leg follows one clock, ahead of it by its offset: it
stands for its duty, then swings. In a trot diagonal pairs take turns; a run is a trot with less than half of the cycle on the
floor, so that the legs that stand carry 1 / (2 duty) times the weight; in a walk one leg swings at a time, and the trunk sways
by  A sin(2 pi phase)  to the side of the legs that stand.

stance
    The feet that stand share the wrench that brings height, attitude and velocity of the trunk to what is wanted
    (rfx.kernels.balance); joint torques are  -J^T f,  with a little joint damping about the wanted motion.
swing
    From where it was lifted a foot goes to  p = p0 + T/2 v_wanted + c (v - v_wanted)  with T the time it stands (Raibert 1986;
    c = T/2 + sqrt(h / g) would step to the capture point, less is calmer), turned by half of what the trunk turns in a
    stance. Joint targets by inverse kinematics.
stand
    All feet stay where they are, the trunk glides to the wanted posture over them, joint targets by inverse kinematics and
    each motor carries its share of the weight. A push that stretches this too far starts the trot, which catches it;
    so does one that is too much for a walk.
"""

from libc.math cimport cos, fabs, floor, sin, sqrt
from libc.stdint cimport int64_t

from rfx.kernels.balance cimport share_wrench
from rfx.kernels.leg cimport leg_forward, leg_inverse, leg_jacobian, leg_rates, leg_torque

cdef double GRAVITY = 9.81
cdef double PI = 3.141592653589793


cdef inline double clamp(double x, double low, double high) noexcept nogil:
    return low if x < low else high if x > high else x


cdef inline double toward(double x, double goal, double most) noexcept nogil:
    return x + clamp(goal - x, -most, most)


# Whether all feet stand.
cdef inline bint all_stand(const GaitState* state) noexcept nogil:
    return state.stands[0] and state.stands[1] and state.stands[2] and state.stands[3]


# out = m v, or m^T v.
cdef inline void rotate(const double* m, const double* v, double* out) noexcept nogil:
    cdef int i
    for i in range(3):
        out[i] = m[3 * i] * v[0] + m[3 * i + 1] * v[1] + m[3 * i + 2] * v[2]


cdef inline void unrotate(const double* m, const double* v, double* out) noexcept nogil:
    cdef int i
    for i in range(3):
        out[i] = m[i] * v[0] + m[3 + i] * v[1] + m[6 + i] * v[2]


# Forget everything; the next tick stands over the feet where they are.
cdef void gait_reset(GaitState* state) noexcept nogil:
    cdef int i
    state.mode = -1
    state.gait = TROT
    state.phase = state.calm = state.rescue = state.lean = state.ground = 0.0
    for i in range(3):
        state.velocity[i] = state.drift[i] = 0.0
    for i in range(6):
        state.posture[i] = 0.0
    for i in range(12):
        state.anchor[i] = state.start[i] = 0.0
    for i in range(4):
        state.stands[i] = 1


# One tick. False when something measured is not finite: the command is not to be used then.
cdef bint gait_tick(
    const GaitPlan* plans, const GaitWish* wish, const GaitSense* sense, GaitState* state, double* command
) noexcept nogil:
    cdef GaitWork work
    cdef const GaitPlan* plan
    cdef double total = 0.0
    cdef int i
    look(plans, sense, state, &work)
    for i in range(12):
        total += fabs(work.feet[i])
    for i in range(3):
        total += fabs(work.velocity[i]) + fabs(work.rates[i])
    if not total < 1e6:
        return False
    change_gait(plans, wish, &work, state)
    plan = &plans[state.gait]
    follow(plan, &plans[wish.gait], wish, state)
    choose(plan, wish, &work, sense, state)
    if state.mode == STEP:
        return step(plan, wish, sense, &work, state, command)
    return stand(plan, wish, sense, &work, state, command)


# Where the feet are, seen from the trunk in the heading frame, and how the trunk moves over the ground under them.
cdef void look(const GaitPlan* plan, const GaitSense* sense, GaitState* state, GaitWork* work) noexcept nogil:
    cdef double[12] feet
    cdef double below = 0.0, count = 0.0
    cdef int leg
    leg_forward(&plan.shape, sense.q, feet)
    leg_jacobian(&plan.shape, sense.q, work.jacobian)
    for leg in range(4):
        rotate(sense.turn, feet + 3 * leg, work.feet + 3 * leg)
        if state.stands[leg]:
            below += work.feet[3 * leg + 2]
            count += 1.0
    if count > 0.0:  # else in the air: the floor is where it was
        state.ground = below / count
    work.ground = state.ground
    work.sway = work.sway_speed = work.sway_pull = 0.0
    rotate(sense.turn, sense.velocity, work.velocity)
    rotate(sense.turn, sense.gyro, work.rates)


# Another gait begins while all feet stand, or where a cycle begins, and when it is slow enough for it. What a walk is too
# slow to catch, the trot takes over.
cdef void change_gait(const GaitPlan* plans, const GaitWish* wish, const GaitWork* work, GaitState* state) noexcept nogil:
    cdef const GaitPlan* plan = &plans[state.gait]
    cdef double sway = 2.0 * PI / plan.period * state.lean * cos(2.0 * PI * state.phase)
    cdef double x = work.velocity[0] - state.velocity[0], y = work.velocity[1] - state.velocity[1] - sway
    cdef int64_t goal = wish.gait
    cdef bint ready = state.mode != STEP or all_stand(state) or state.phase < plan.dt / plan.period
    cdef int i
    state.rescue = state.rescue - plan.dt if state.rescue > plan.dt else 0.0
    for i in range(3):
        if clamp(state.velocity[i], plans[goal].low[i], plans[goal].high[i]) != state.velocity[i]:
            ready = False
    if state.mode == STEP and state.gait == WALK and x * x + y * y > 0.1:
        state.rescue = 2.0
        ready = True
    if goal == WALK and state.rescue > 0.0:
        goal = TROT
    if goal != state.gait and ready:
        state.gait = goal
        state.phase = state.lean = 0.0


# Follow the wanted velocity at a bounded rate, as far as this gait and the one that is wanted may go.
cdef void follow(const GaitPlan* plan, const GaitPlan* coming, const GaitWish* wish, GaitState* state) noexcept nogil:
    cdef double goal
    cdef int i
    for i in range(3):
        goal = clamp(clamp(wish.velocity[i], plan.low[i], plan.high[i]), coming.low[i], coming.high[i])
        state.velocity[i] = toward(state.velocity[i], goal, (1.2 if i < 2 else 3.0) * plan.dt)


# Choose between standing and walking.
cdef void choose(
    const GaitPlan* plan, const GaitWish* wish, const GaitWork* work, const GaitSense* sense, GaitState* state
) noexcept nogil:
    cdef double asked = 0.0, speed, tilt
    cdef bint moving
    cdef int i
    for i in range(3):
        asked += fabs(wish.velocity[i]) + fabs(state.velocity[i])
    speed = sqrt(work.velocity[0] * work.velocity[0] + work.velocity[1] * work.velocity[1])
    tilt = fabs(work.rates[0]) + fabs(work.rates[1])
    if state.mode < 0:
        plant_feet(plan, work, sense, state)
    if state.mode == STAND:
        if wish.mode == STEP or asked > 0.0 or speed > 0.3 or tilt > 2.5:
            state.mode = STEP
            state.phase = state.calm = 0.0
        return
    moving = wish.mode == STEP or asked > 0.0 or speed > 0.15 or tilt > 1.0
    state.calm = 0.0 if moving else state.calm + plan.dt
    if state.calm > 1.2 * plan.period and (all_stand(state) or state.phase < plan.dt / plan.period):
        plant_feet(plan, work, sense, state)


# Begin to stand: the feet stay where they are, seen from where the trunk is now.
cdef void plant_feet(const GaitPlan* plan, const GaitWork* work, const GaitSense* sense, GaitState* state) noexcept nogil:
    cdef int i
    state.mode = STAND
    for i in range(12):
        state.anchor[i] = work.feet[i]
    for i in range(4):
        state.stands[i] = 1
        state.anchor[3 * i + 2] = 0.0
    state.posture[0] = state.posture[1] = 0.0
    state.posture[2] = -work.ground
    # roll, pitch as they are:  turn = Ry(pitch) Rx(roll)
    state.posture[3] = -sense.turn[5] / (sense.turn[4] if fabs(sense.turn[4]) > 0.2 else 0.2)
    state.posture[4] = -sense.turn[6] / (sense.turn[0] if fabs(sense.turn[0]) > 0.2 else 0.2)
    state.posture[5] = 0.0
    for i in range(3):
        state.drift[i] = 0.0


# Rotation by yaw, pitch, roll about z, y, x:  m = Rz Ry Rx.
cdef void attitude(double roll, double pitch, double yaw, double* m) noexcept nogil:
    cdef double cr = cos(roll), sr = sin(roll), cp = cos(pitch), sp = sin(pitch), cy = cos(yaw), sy = sin(yaw)
    m[0] = cy * cp
    m[1] = cy * sp * sr - sy * cr
    m[2] = cy * sp * cr + sy * sr
    m[3] = sy * cp
    m[4] = sy * sp * sr + cy * cr
    m[5] = sy * sp * cr - cy * sr
    m[6] = -sp
    m[7] = cp * sr
    m[8] = cp * cr


# Stand: glide to the wanted posture over the feet, and carry the weight.
cdef bint stand(
    const GaitPlan* plan, const GaitWish* wish, const GaitSense* sense, const GaitWork* work, GaitState* state,
    double* command
) noexcept nogil:
    cdef double[9] turn
    cdef double[12] feet
    cdef double[3] point
    cdef double[6] goal
    cdef double x = 0.0, y = 0.0
    cdef int i, leg
    for leg in range(4):
        x += 0.25 * state.anchor[3 * leg]
        y += 0.25 * state.anchor[3 * leg + 1]
    goal[0], goal[1], goal[2] = x, y, wish.height - plan.foot_radius
    goal[3], goal[4], goal[5] = wish.roll, wish.pitch, wish.yaw
    for i in range(6):
        state.posture[i] = toward(state.posture[i], goal[i], (0.15 if i < 3 else 0.8) * plan.dt)
    attitude(state.posture[3], state.posture[4], state.posture[5], turn)
    for leg in range(4):
        for i in range(3):
            point[i] = state.anchor[3 * leg + i] - state.posture[i]
        unrotate(turn, point, feet + 3 * leg)
    leg_inverse(&plan.shape, feet, command)
    for i in range(12):
        command[12 + i] = 0.0
        command[36 + i] = 60.0
        command[48 + i] = 4.0
    carry(plan, sense, work, state, command + 24)
    return True


# Joint torques that carry the weight at rest, shared by all feet.
cdef void carry(
    const GaitPlan* plan, const GaitSense* sense, const GaitWork* work, const GaitState* state, double* tau
) noexcept nogil:
    cdef double[6] wrench
    cdef double[6] slack
    cdef double[4] weight
    cdef double[12] force
    cdef int i
    for i in range(6):
        wrench[i] = 0.0
        slack[i] = 1e-3
    for i in range(4):
        weight[i] = 1.0
    wrench[2] = plan.mass * GRAVITY
    share_wrench(work.feet, weight, wrench, slack, plan.friction, 200.0, force)
    torques(sense, work, force, 15, tau)


# tau = -J^T f of the legs whose bits are set; f in the heading frame.
cdef void torques(
    const GaitSense* sense, const GaitWork* work, const double* force, int legs, double* tau
) noexcept nogil:
    cdef double[3] push
    cdef int leg, i
    for leg in range(4):
        if legs >> leg & 1:
            unrotate(sense.turn, force + 3 * leg, push)
            leg_torque(work.jacobian + 9 * leg, push, tau + 3 * leg)
            for i in range(3):
                tau[3 * leg + i] = -tau[3 * leg + i]


# Step: the clock, then each leg's part.
cdef bint step(
    const GaitPlan* plan, const GaitWish* wish, const GaitSense* sense, GaitWork* work, GaitState* state, double* command
) noexcept nogil:
    cdef double[12] force
    cdef double[4] weight
    cdef double rate = 2.0 * PI / plan.period
    cdef double at
    cdef int leg, legs = 0, i
    state.phase += plan.dt / plan.period
    state.phase -= floor(state.phase)
    state.lean = toward(state.lean, plan.sway, 2.0 * plan.sway * plan.dt)
    work.sway = state.lean * sin(2.0 * PI * state.phase)
    work.sway_speed = rate * state.lean * cos(2.0 * PI * state.phase)
    work.sway_pull = -rate * rate * work.sway
    for leg in range(4):
        at = state.phase + plan.offset[leg]
        at -= floor(at)
        weight[leg] = 0.0
        if at < plan.duty:
            legs |= 1 << leg
            weight[leg] = clamp(min(at, plan.duty - at) / 0.04, 0.05, 1.0)
            state.stands[leg] = 1
            push_off(sense, work, state, leg, command)
            continue
        if state.stands[leg]:
            state.stands[leg] = 0
            for i in range(3):
                state.start[3 * leg + i] = work.feet[3 * leg + i]
        swing(plan, wish, sense, work, state, leg, (at - plan.duty) / (1.0 - plan.duty), command)
    if not hold_up(plan, wish, sense, work, state, weight, force):
        return False
    torques(sense, work, force, legs, command + 24)
    return True


# A leg that stands: no stiffness, some damping about the motion that the trunk is to have.
cdef void push_off(
    const GaitSense* sense, const GaitWork* work, const GaitState* state, int leg, double* command
) noexcept nogil:
    cdef double[3] speed
    cdef double[3] own
    cdef const double* p = work.feet + 3 * leg
    cdef int i
    speed[0] = -state.velocity[0] + state.velocity[2] * p[1]
    speed[1] = -state.velocity[1] - work.sway_speed - state.velocity[2] * p[0]
    speed[2] = 0.0
    unrotate(sense.turn, speed, own)
    leg_rates(work.jacobian + 9 * leg, own, command + 12 + 3 * leg)
    for i in range(3 * leg, 3 * leg + 3):
        command[i] = sense.q[i]
        command[36 + i] = 0.0
        command[48 + i] = 0.8


# A leg that swings, s of 0..1 of its way.
cdef void swing(
    const GaitPlan* plan, const GaitWish* wish, const GaitSense* sense, const GaitWork* work, const GaitState* state,
    int leg, double s, double* command
) noexcept nogil:
    cdef double[12] feet
    cdef double[12] angles
    cdef double[3] end
    cdef double[3] place
    cdef double[3] speed
    cdef double span = plan.period * (1.0 - plan.duty)
    cdef double along = s * s * s * (10.0 + s * (6.0 * s - 15.0)), rate = 30.0 * s * s * (1.0 - s) * (1.0 - s) / span
    cdef int i
    foothold(plan, work, state, leg, end)
    for i in range(3):
        place[i] = state.start[3 * leg + i] + along * (end[i] - state.start[3 * leg + i])
        speed[i] = rate * (end[i] - state.start[3 * leg + i])
    place[2] += plan.lift * wish.lift * sin(PI * s) * sin(PI * s)
    speed[2] += plan.lift * wish.lift * PI * sin(2.0 * PI * s) / span
    for i in range(12):
        feet[i] = 0.0
    unrotate(sense.turn, place, feet + 3 * leg)
    leg_inverse(&plan.shape, feet, angles)
    unrotate(sense.turn, speed, place)
    leg_rates(work.jacobian + 9 * leg, place, command + 12 + 3 * leg)
    for i in range(3 * leg, 3 * leg + 3):
        command[12 + i] = clamp(command[12 + i], -15.0, 15.0)
        command[i] = angles[i]
        command[24 + i] = 0.0
        command[36 + i] = 60.0
        command[48 + i] = 1.5


# Where a foot is to come down, in the heading frame seen from the trunk.
cdef void foothold(
    const GaitPlan* plan, const GaitWork* work, const GaitState* state, int leg, double* place
) noexcept nogil:
    cdef double half = 0.5 * plan.period * plan.duty
    cdef double x = plan.stance_x if leg < 2 else -plan.stance_x
    cdef double y = plan.stance_y if leg & 1 else -plan.stance_y
    cdef double angle = half * state.velocity[2]
    cdef double dx = half * state.velocity[0] + plan.capture * (work.velocity[0] - state.velocity[0])
    cdef double dy = half * state.velocity[1] + plan.capture * (work.velocity[1] - work.sway_speed - state.velocity[1])
    place[0] = x * cos(angle) - y * sin(angle) + clamp(dx, -plan.reach, plan.reach)
    place[1] = x * sin(angle) + y * cos(angle) + clamp(dy, -plan.reach, plan.reach) - work.sway
    place[2] = work.ground


# Forces at the feet for the wrench that brings the trunk to height, attitude and velocity.
cdef bint hold_up(
    const GaitPlan* plan, const GaitWish* wish, const GaitSense* sense, const GaitWork* work, GaitState* state,
    const double* weight, double* force
) noexcept nogil:
    cdef double[6] wrench
    cdef double[6] slack
    cdef const double* m = sense.turn
    cdef double roll = m[7], pitch = -m[6], error = 0.0
    cdef double load = 0.5 / plan.duty if plan.duty < 0.5 else 1.0  # what the legs on the floor carry for those in the air
    cdef int i
    for i in range(3):
        error = state.velocity[i] - (work.velocity[i] if i < 2 else work.rates[2]) + (work.sway_speed if i == 1 else 0.0)
        state.drift[i] = clamp(state.drift[i] + error * plan.dt, -0.2, 0.2)
        wrench[i] = plan.mass * (6.0 * error + 12.0 * state.drift[i])
    wrench[1] += plan.mass * work.sway_pull
    wrench[5] = 0.25 * (10.0 * error + 20.0 * state.drift[2])
    wrench[2] = plan.mass * (load * GRAVITY + 150.0 * (wish.height - plan.foot_radius + work.ground) - 18.0 * work.velocity[2])
    wrench[3] = 40.0 * (wish.roll - roll) - 4.0 * work.rates[0]
    wrench[4] = 80.0 * (wish.pitch - pitch) - 8.0 * work.rates[1]
    for i in range(3):
        slack[i] = 0.05 if i < 2 else 0.005
        slack[3 + i] = 0.0005 if i < 2 else 0.005
    return share_wrench(work.feet, weight, wrench, slack, plan.friction, 250.0, force)
