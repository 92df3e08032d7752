"""The compiled half of the batched Go2: what each robot remembers and draws, its rewards, ends and observations."""

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import numpy as np

from rfx.kernels.chacha cimport ChaCha, chacha_position, chacha_seed, chacha_seek, mix_seed
from rfx.kernels.ground cimport ground_height, ground_left, ground_mean
from rfx.kernels.locomotion cimport (
    MOTORS, SENSORS, SIGNALS, Motion, Robot, assemble, fill_signals, read_forces, read_motion, steady
)
from rfx.kernels.locomotion_reward cimport TERMS, body_terms, contact_terms, joint_terms, limit_terms, weighted
from rfx.kernels.locomotion_task cimport (
    delayed, draw_body, draw_command, draw_level, draw_start, follow_heading, forget, push, take_action
)
from rfx.sim.go2_numbers cimport Go2Numbers

from rfx import arrays
from rfx.errors import InvalidStateError, InvalidValueError, ShapeError
from rfx.sim.go2_tables import ROBOT

cnp.import_array()

cdef enum:
    GAINS = 10               # numbers of a motor's law in MuJoCo

cdef double REACH = 0.15     # half side of the square whose mean height counts as the ground under the trunk, m
cdef double MARGIN = 1.0     # from the end of the ground, where an episode is cut, m


cdef class Go2Core(Go2Numbers):
    """Made by :class:`rfx.sim.Go2Batch`, which owns the physics and the lock; not to be called from two threads at once.

    Parameters
    ----------
    num_envs : int
    task : Go2Task
    start_height : float
        Of the trunk over the ground, m.
    heights : ndarray, shape (rows, columns), or None
        Of the ground.

    Attributes
    ----------
    robots : ndarray, shape (num_envs,), structured
        What each environment remembers; writing to it changes it.
    terms, sums, finished : ndarray, shape (num_envs, 20), float64
        Weighted terms of the last reward, their sums in this episode, and in the last one that is over.
    finished_steps : ndarray, shape (num_envs,), int64
    last_obs : ndarray, shape (num_envs, obs_dim), float32
    controls : ndarray, shape (num_envs, substeps, 12), float64
        What :meth:`act` wants at each physics step.
    """

    cdef readonly Py_ssize_t num_envs
    cdef readonly object robots, terms, sums, finished, finished_steps, last_obs, controls, bound
    cdef ChaCha* rngs
    cdef Robot* robot
    cdef double* sum
    # rows of the physics, `stride` numbers apart: state, then what a step leaves, then the model's own fields
    cdef double* qpos
    cdef double* qvel
    cdef double* ctrl
    cdef double* warm
    cdef double* clock
    cdef double* torque
    cdef double* sensors
    cdef double* gain
    cdef double* bias
    cdef double* friction
    cdef double* mass
    cdef Py_ssize_t stride, geoms, bodies, trunk
    cdef Py_ssize_t[4] feet
    cdef double trunk_mass

    def __cinit__(self, num_envs, *others, **further):
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1, maximum=2**20)
        self.rngs = <ChaCha*>calloc(self.num_envs, sizeof(ChaCha))
        if self.rngs == NULL:
            raise MemoryError(f"{self.num_envs} environments do not fit")

    def __dealloc__(self):
        free(self.rngs)

    def __init__(self, num_envs, task, start_height, heights):
        cdef Py_ssize_t n = self.num_envs
        if ROBOT.itemsize != sizeof(Robot):
            raise SystemError(f"a robot has {sizeof(Robot)} bytes, its dtype {ROBOT.itemsize}")
        self.robots = np.zeros(n, ROBOT)
        self.robots["kind"], self.robots["ended"] = -1, 1
        self.robot = <Robot*>cnp.PyArray_DATA(self.robots)
        self.terms, self.sums, self.finished = np.zeros((n, TERMS)), np.zeros((n, TERMS)), np.zeros((n, TERMS))
        self.sum, self.finished_steps = <double*>cnp.PyArray_DATA(self.sums), np.zeros(n, np.int64)
        Go2Numbers.__init__(self, task, start_height, heights)
        self.controls = np.zeros((n, self.substeps, MOTORS))
        self.last_obs = np.zeros((n, self.obs_dim), np.float32)

    def __repr__(self):
        return f"Go2Core({self.num_envs})"

    def bind(self, state, outputs, fields, trunk, trunk_mass, feet):
        """Take the arrays of the physics: rows qpos, qvel, ctrl, qacc_warmstart, time of one block; actuator_force, sensordata;
        and gain, bias, friction, mass per simulation or None each. All are kept alive.
        """
        cdef Py_ssize_t i
        widths = (7 + MOTORS, 6 + MOTORS, MOTORS, 6 + MOTORS, 1)
        for array, width in zip(state, widths, strict=True):
            if array.shape != (self.num_envs, width) or array.dtype != np.float64 or (width > 1 and array.strides[1] != 8):
                raise ShapeError(f"expected rows of {width} numbers, got {array.shape} {array.dtype}")
            if self.num_envs > 1 and array.strides[0] != state[0].strides[0]:
                raise ShapeError("expected the state in rows of one length")
        for array, width in zip(outputs, (MOTORS, SENSORS), strict=True):
            if array.shape != (self.num_envs, width) or array.dtype != np.float64 or not array.flags.c_contiguous:
                raise ShapeError(f"expected ({self.num_envs}, {width}) float64, got {array.shape} {array.dtype}")
        self.bound = (state, outputs, fields)
        self.stride = state[0].strides[0] // 8
        self.qpos, self.qvel, self.ctrl, self.warm, self.clock = (
            address(state[0]), address(state[1]), address(state[2]), address(state[3]), address(state[4]))
        self.torque, self.sensors = address(outputs[0]), address(outputs[1])
        self.gain, self.bias, self.friction, self.mass = (
            address(fields[0]), address(fields[1]), address(fields[2]), address(fields[3]))
        self.geoms = 0 if fields[2] is None else fields[2].shape[1]
        self.bodies = 0 if fields[3] is None else fields[3].shape[1]
        self.trunk, self.trunk_mass = trunk, trunk_mass
        for i in range(4):
            self.feet[i] = feet[i]

    cdef check(self, Py_ssize_t rows):
        if self.robot == NULL or self.qpos == NULL:
            raise InvalidStateError("expected bind() before anything else")
        if rows != self.num_envs:
            raise ShapeError(f"expected {self.num_envs} rows, got {rows}")

    # -- one step

    def seed(self, const uint64_t[::1] seeds not None):
        """Give each environment its stream, and let it forget the tile that it was on."""
        cdef Py_ssize_t i
        if seeds.shape[0] != self.num_envs:
            raise ShapeError(f"expected {self.num_envs} seeds, got {seeds.shape[0]}")
        for i in range(self.num_envs):
            chacha_seed(self.rngs + i, seeds[i])
            self.robot[i].kind = -1

    def seed_from(self, uint64_t master):
        """Give environment i the stream of ``derive_seed(master, i)``."""
        cdef Py_ssize_t i
        for i in range(self.num_envs):
            chacha_seed(self.rngs + i, mix_seed(master, i))
            self.robot[i].kind = -1

    def waiting(self):
        """Return how many episodes are over."""
        cdef Py_ssize_t i, count = 0
        self.check(self.num_envs)
        for i in range(self.num_envs):
            count += self.robot[i].ended
        return count

    def ended(self):
        """Which episodes are over, (num_envs,) bool, a copy."""
        return self.robots["ended"] != 0

    @staticmethod
    def first_bad(const float[:, ::1] actions not None):
        """Return the flat index of the first number that is not finite, or -1."""
        cdef Py_ssize_t i, k
        for i in range(actions.shape[0]):
            for k in range(actions.shape[1]):
                if not -INFINITY < actions[i, k] < INFINITY:
                    return i * actions.shape[1] + k
        return -1

    def act(self, const float[:, ::1] actions not None):
        """Take the actions of all whose episode is not over: their joint targets go to the motors."""
        cdef Py_ssize_t i
        cdef double[:, :, ::1] controls = self.controls
        self.check(actions.shape[0])
        if actions.shape[1] != MOTORS:
            raise ShapeError(f"expected actions of {MOTORS} numbers, got {actions.shape[1]}")
        with nogil:
            for i in range(self.num_envs):
                if not self.robot[i].ended:
                    take_action(self.robot + i, &actions[i, 0], self.clip, self.motors, self.pose, self.scale, self.lower,
                                self.upper)
                    delayed(self.robot + i, self.substeps, &controls[i, 0, 0])
                    memcpy(self.ctrl + i * self.stride, &controls[i, self.substeps - 1, 0], MOTORS * sizeof(double))

    cdef void look(self, Py_ssize_t i, Motion* motion) noexcept nogil:
        cdef const double* at = self.qpos + i * self.stride
        read_motion(at, self.qvel + i * self.stride, ground_mean(&self.ground, at[0], at[1], REACH), motion)

    cdef bint fell(self, const Motion* motion) noexcept nogil:
        cdef double* f = <double*>motion.trunk_force
        if self.by_contact and f[0] * f[0] + f[1] * f[1] + f[2] * f[2] > 1.0:
            return True
        return -motion.gravity[2] < self.least_down or motion.height < self.least_height

    cdef double judge(self, Py_ssize_t i, const Motion* motion, double* terms, bint lost) noexcept nogil:
        # The terms of the reward of environment i, weighted, and their sum.
        cdef Robot* robot = self.robot + i
        cdef int k
        for k in range(TERMS):
            terms[k] = 0.0
        if not lost:
            body_terms(&self.reward, motion, robot, terms)
            joint_terms(&self.reward, motion, robot, terms)
            limit_terms(&self.reward, motion, terms)
            contact_terms(&self.reward, motion, robot, terms)
            terms[TERMS - 2] = 1.0
            memcpy(robot.dq_before, motion.dq, sizeof(motion.dq))
        terms[TERMS - 1] = lost or self.fell(motion)
        robot.ended = terms[TERMS - 1] != 0.0
        return weighted(self.weights, terms, self.sum + i * TERMS, self.only_positive)

    cdef void go_on(self, Py_ssize_t i, double yaw) noexcept nogil:
        # New commands and pushes where it is time, after the reward, so that the next observation shows them.
        cdef Robot* robot = self.robot + i
        robot.until_command -= 1
        if robot.until_command <= 0:
            draw_command(&self.task, robot, self.rngs + i)
        follow_heading(&self.task, robot, yaw)
        if self.task.push_steps > 0:
            robot.until_push -= 1
            if robot.until_push <= 0:
                robot.until_push = self.task.push_steps
                push(&self.task, self.qvel + i * self.stride, self.rngs + i)

    def score(self, const unsigned char[::1] active not None, const unsigned char[::1] failed not None,
              double[::1] rewards not None, unsigned char[::1] terminated not None, unsigned char[::1] truncated not None):
        """After the physics: rewards and ends of those that are active, 0 and False for others. ``failed`` is over at once.

        Returns how many episodes of those that were active are over.
        """
        cdef Py_ssize_t i, k, over = 0
        cdef double[:, ::1] terms = self.terms
        cdef Motion motion
        cdef const double* at
        cdef bint lost
        for rows in (active.shape[0], failed.shape[0], rewards.shape[0], terminated.shape[0], truncated.shape[0]):
            self.check(rows)
        with nogil:
            for i in range(self.num_envs):
                rewards[i], terminated[i], truncated[i] = 0.0, False, False
                if not active[i]:
                    for k in range(TERMS):
                        terms[i, k] = 0.0
                    continue
                at = self.qpos + i * self.stride
                lost = failed[i] or not steady(at, self.qvel + i * self.stride)
                if not lost:
                    self.look(i, &motion)
                    read_forces(self.torque + i * MOTORS, self.sensors + i * SENSORS, &motion)
                self.robot[i].steps += 1
                rewards[i] = self.judge(i, &motion, &terms[i, 0], lost)
                terminated[i] = self.robot[i].ended != 0
                truncated[i] = self.robot[i].steps >= self.max_steps or (
                    not lost and ground_left(&self.ground, at[0], at[1], MARGIN))
                self.robot[i].ended = terminated[i] or truncated[i]
                over += self.robot[i].ended
                if not lost:
                    self.go_on(i, motion.yaw)
        return over

    def observe(self, const unsigned char[::1] which not None, float[:, ::1] obs not None):
        """Write the observations of some; where the state is not finite, the last one that was."""
        cdef Py_ssize_t i
        cdef float[:, ::1] last = self.last_obs
        cdef double[SIGNALS] signals
        cdef Motion motion
        cdef double turn = 2.0 * 3.141592653589793 * self.task.dt / self.period
        self.check(which.shape[0])
        self.check(obs.shape[0])
        if obs.shape[1] != self.obs_dim:
            raise ShapeError(f"expected observations of {self.obs_dim} numbers, got {obs.shape[1]}")
        with nogil:
            for i in range(self.num_envs):
                if not which[i]:
                    continue
                if steady(self.qpos + i * self.stride, self.qvel + i * self.stride):
                    self.look(i, &motion)
                    fill_signals(&motion, self.robot + i, self.pose, turn * self.robot[i].steps, signals)
                    assemble(&self.assembly, signals, self.rngs + i, &last[i, 0])
                memcpy(&obs[i, 0], &last[i, 0], self.obs_dim * sizeof(float))

    # -- episodes

    cdef void dress(self, Py_ssize_t i) noexcept nogil:
        # Write what was drawn for the body into the model of simulation i.
        cdef Robot* robot = self.robot + i
        cdef Py_ssize_t k, at
        for k in range(MOTORS):
            at = (i * MOTORS + k) * GAINS
            if self.gain != NULL:
                self.gain[at] = robot.strength[k] * self.kp[k]
                self.bias[at + 1], self.bias[at + 2] = -self.gain[at], -robot.strength[k] * self.kd[k]
        if self.friction != NULL:
            for k in range(4):
                self.friction[(i * self.geoms + self.feet[k]) * 3] = robot.friction
        if self.mass != NULL:
            self.mass[i * self.bodies + self.trunk] = self.trunk_mass + robot.mass

    def dress_all(self):
        """Write into the models what the robots say; for a state that was loaded."""
        cdef Py_ssize_t i
        self.check(self.num_envs)
        for i in range(self.num_envs):
            self.dress(i)

    cdef void begin_one(self, Py_ssize_t i) noexcept nogil:
        cdef Robot* robot = self.robot + i
        cdef ChaCha* rng = self.rngs + i
        cdef double* qpos = self.qpos + i * self.stride
        cdef double* qvel = self.qvel + i * self.stride
        cdef Py_ssize_t k
        draw_level(&self.task, &self.ground, robot, qpos, rng)
        draw_body(&self.task, robot, rng)
        self.dress(i)
        draw_start(&self.task, &self.ground, self.pose, robot, qpos, qvel, rng)
        draw_command(&self.task, robot, rng)
        forget(&self.task, self.pose, robot)
        for k in range(MOTORS):
            self.ctrl[i * self.stride + k] = self.pose[k]
        for k in range(6 + MOTORS):
            self.warm[i * self.stride + k] = 0.0
        self.clock[i * self.stride] = 0.0

    def begin(self, const unsigned char[::1] which not None):
        """Begin the episodes of some anew."""
        cdef Py_ssize_t i, k
        cdef double[:, ::1] sums = self.sums, finished = self.finished
        cdef int64_t[::1] lengths = self.finished_steps
        cdef Motion motion
        self.check(which.shape[0])
        with nogil:
            for i in range(self.num_envs):
                if not which[i]:
                    continue
                if self.robot[i].steps > 0:
                    lengths[i] = self.robot[i].steps
                    memcpy(&finished[i, 0], &sums[i, 0], TERMS * sizeof(double))
                for k in range(TERMS):
                    sums[i, k] = 0.0
                self.begin_one(i)
                self.look(i, &motion)
                follow_heading(&self.task, self.robot + i, motion.yaw)

    def ground_at(self, double x, double y):
        """Return the height of the ground at a place (m)."""
        return ground_height(&self.ground, x, y)

    # -- streams

    def streams(self):
        """Where each stream of random numbers is: keys (num_envs, 8) uint32 and positions (num_envs,) uint64."""
        cdef Py_ssize_t i
        keys, positions = np.empty((self.num_envs, 8), np.uint32), np.empty(self.num_envs, np.uint64)
        cdef uint32_t[:, ::1] key = keys
        cdef uint64_t[::1] position = positions
        for i in range(self.num_envs):
            memcpy(&key[i, 0], self.rngs[i].key, 32)
            position[i] = chacha_position(self.rngs + i)
        return keys, positions

    def set_streams(self, const uint32_t[:, ::1] keys not None, const uint64_t[::1] positions not None):
        """Go on from what :meth:`streams` gave."""
        cdef Py_ssize_t i
        if keys.shape[0] != self.num_envs or keys.shape[1] != 8 or positions.shape[0] != self.num_envs:
            raise ShapeError(f"expected keys ({self.num_envs}, 8) and positions ({self.num_envs},)")
        for i in range(self.num_envs):
            if positions[i] > 2**63:
                raise InvalidValueError(f"expected positions of at most 2**63, got {positions[i]}")
        for i in range(self.num_envs):
            memcpy(self.rngs[i].key, &keys[i, 0], 32)
            chacha_seek(self.rngs + i, positions[i])


cdef double* address(object array):
    return NULL if array is None else <double*>cnp.PyArray_DATA(array)
