"""The robot's side of a policy's contract, compiled: from a state to an observation, through the network, to joint targets.

:class:`rfx.nn.ContractSide` says the same slowly; both give the same bits.
"""

from libc.math cimport cos, sin
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

from rfx.go2.low_frame cimport low_numbers_t
from rfx.kernels.observe cimport gravity_of, joint_targets, observe_terms
from rfx.nn.compiled cimport ACT_BAD_ACTION, ACT_BAD_OBSERVATION, CompiledPolicy

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.nn.contract import COMMANDS, READINGS, robot_of
from rfx.robots.go2 import NUM_MOTORS
from rfx.robots.layouts import JOINT_SIGNALS

cdef enum:
    MOTORS = 12
cdef double PI = 3.141592653589793

PLACES = {
    "base_lin_vel": SIG_LIN_VEL, "base_ang_vel": SIG_ANG_VEL, "projected_gravity": SIG_GRAVITY,
    "velocity_commands": SIG_COMMAND, "joint_pos": SIG_POS, "joint_pos_rel": SIG_POS_REL, "joint_vel": SIG_VEL,
    "last_action": SIG_ACTION, "clock": SIG_CLOCK,
}


cdef class PolicySide:
    """What a robot computes for one policy, as its contract says.

    Parameters
    ----------
    policy : CompiledPolicy
        With a contract. What it remembers of earlier observations is forgotten by :meth:`reset`.

    Attributes
    ----------
    needs_lin_vel : bool
        Whether the observation has the base's velocity, which a robot under low-level control does not measure.

    Raises
    ------
    ConfigError
        The policy has no contract, is of another size than it says, or is for another robot.

    Examples
    --------
    >>> from rfx.nn import CompiledPolicy
    >>> side = PolicySide(CompiledPolicy.load("policy"))  # doctest: +SKIP
    """

    def __init__(self, policy):
        cdef Py_ssize_t i
        if self.policy is not None:
            raise InvalidStateError("a PolicySide is set up once; make another one")
        if not isinstance(policy, CompiledPolicy):
            raise DTypeError(f"expected policy to be a CompiledPolicy, got {type(policy).__name__}")
        contract = policy.contract
        if contract is None:
            raise ConfigError("expected a policy with a contract, this one says nothing about the robot; write_contract adds it")
        layout, robot = contract.layout, robot_of(contract)
        sizes = (layout.observation.size, layout.action.size)
        if (policy.obs_dim, policy.act_dim) != sizes or sizes[1] != NUM_MOTORS:
            raise ConfigError(
                f"the layout {layout.name} has {sizes[0]} -> {sizes[1]} numbers, "
                f"the policy {policy.obs_dim} -> {policy.act_dim}")
        self.policy, self.contract, self.obs_dim = policy, contract, sizes[0]
        self.needs_lin_vel = "base_lin_vel" in layout.observation.slices
        self.xyzw, self.clipped_last = contract.quaternion_order == "xyzw", contract.last_action == "clipped"
        self.rate, self.gait_period = layout.rate_hz, layout.gait_period
        self.clip, self.action_clip = layout.observation.clip, layout.action.clip
        acting, seen = layout.action.joint_names, layout.observation.joint_names
        i = 0
        for term in layout.observation.terms:
            order = range(term.size)
            if term.name == "last_action":
                order = [acting.index(name) for name in seen]
            elif term.name in JOINT_SIGNALS:
                order = [robot.index_of(name) for name in seen]
            for at, scale in zip(order, term.scales, strict=True):
                self.place[i], self.scale[i] = PLACES[term.name] + at, scale
                self.bound[i] = np.inf if term.clip is None else term.clip
                i += 1
        for i, name in enumerate(robot.joint_names):
            self.action_place[i] = acting.index(name)
        pose, scale, kp, kd = (layout.action.in_motor_order(name, robot) for name in ("default_pose", "scale", "kp", "kd"))
        for i in range(MOTORS):
            self.pose[i], self.action_scale[i], self.kp[i], self.kd[i] = pose[i], scale[i], kp[i], kd[i]
        for i, name in enumerate(COMMANDS):
            self.ranges[2 * i], self.ranges[2 * i + 1] = contract.command_ranges[name]
        self.forget()

    # Takes in a state (quaternion wxyz), the commands and the base's velocity, in the signals' own units.
    cdef void feel(self, const low_numbers_t* low, const double* command, const double* lin_vel) noexcept nogil:
        memcpy(self.signals + SIG_LIN_VEL, lin_vel, 3 * sizeof(double))
        memcpy(self.signals + SIG_ANG_VEL, low.gyroscope, 3 * sizeof(double))
        gravity_of(low.quaternion, False, self.signals + SIG_GRAVITY)
        memcpy(self.signals + SIG_COMMAND, command, 3 * sizeof(double))
        memcpy(self.signals + SIG_POS, low.q, MOTORS * sizeof(double))
        memcpy(self.signals + SIG_VEL, low.dq, MOTORS * sizeof(double))

    # Completes the signals and makes the observation of them.
    cdef void observe_c(self) noexcept nogil:
        cdef double bound = self.action_clip, phase = 2 * PI * self.step / (self.rate * self.gait_period), last
        cdef Py_ssize_t i
        for i in range(MOTORS):
            self.signals[SIG_POS_REL + i] = self.signals[SIG_POS + i] - self.pose[i]
            last = self.action[i]
            self.signals[SIG_ACTION + i] = max(-bound, min(bound, last)) if self.clipped_last else last
        self.signals[SIG_CLOCK], self.signals[SIG_CLOCK + 1] = sin(phase), cos(phase)
        self.signals[SIG_CLOCK + 2] = sin(phase / 2)
        observe_terms(self.signals, self.place, self.bound, self.scale, self.clip, self.obs_dim, self.observation)

    # From the observation to the action; what CompiledPolicy.act answers.
    cdef int act(self) noexcept nogil:
        return self.policy.act(self.observation, self.action)

    # From the action to joint targets in motor order (rad); the next step begins.
    cdef void aim(self, double* targets) noexcept nogil:
        joint_targets(self.action, self.action_place, self.pose, self.action_scale, self.action_clip, MOTORS, targets)
        self.step += 1

    # A PolicyStep (rfx/go2/policy_record.py) as CDR: step, commands, observation, action, targets; all of four bytes.
    cdef Py_ssize_t write_step(
        self, int64_t step, const double* command, const double* targets, unsigned char* out
    ) noexcept nogil:
        cdef unsigned char* at = out + 4
        cdef uint32_t number = <uint32_t>step
        cdef float[15] numbers
        cdef Py_ssize_t i, n = self.obs_dim
        out[0], out[1], out[2], out[3] = 0, 1, 0, 0
        for i in range(3):
            numbers[i] = <float>command[i]
        for i in range(MOTORS):
            numbers[3 + i] = <float>targets[i]
        memcpy(at, &number, 4)
        memcpy(at + 4, numbers, 12)
        memcpy(at + 16, self.observation, 4 * n)
        memcpy(at + 16 + 4 * n, self.action, 48)
        memcpy(at + 64 + 4 * n, numbers + 3, 48)
        return 4 + 112 + 4 * n

    cdef void forget(self) noexcept nogil:
        memset(self.action, 0, sizeof(self.action))
        memset(self.signals, 0, sizeof(self.signals))
        self.step = 0

    def reset(self):
        """Start over: no last action, the clock at 0, the policy's memory empty."""
        self.forget()
        self.policy.reset()

    def observe(self, readings):
        """Return the observation (obs_dim,), float32, of the readings (``rfx.nn.contract.READINGS``, each (n,))."""
        cdef double[4] quaternion
        missing = [name for name in READINGS if name not in readings]
        if missing:
            raise ConfigError(f"expected readings {', '.join(READINGS)}, without {', '.join(missing)}")
        for name, n in READINGS.items():
            values = arrays.finite(arrays.floats(readings[name], name, (n,)), name)
            for i in range(n):
                if name == "quaternion":
                    quaternion[i] = values[i]
                else:
                    self.signals[<Py_ssize_t>PLACES[name] + i] = values[i]
        gravity_of(quaternion, self.xyzw, self.signals + SIG_GRAVITY)
        self.observe_c()
        return self.last_observation

    def targets(self, action):
        """Take the network's action (12,) and return the joint targets (12,) in motor order, rad; the next step begins."""
        given = arrays.finite(arrays.floats(action, "action", (MOTORS,)), "action").astype(np.float32)
        out = np.empty(MOTORS)
        cdef double[::1] to = out
        for i in range(MOTORS):
            self.action[i] = given[i]
        self.aim(&to[0])
        return out

    def __call__(self, readings):
        """Take one step of the policy: from readings to joint targets (12,) in motor order, rad.

        Raises
        ------
        InvalidValueError
            The observation or the action is not finite.
        """
        cdef int answer
        out = np.empty(MOTORS)
        cdef double[::1] to = out
        if self.policy is None:
            raise InvalidStateError("this PolicySide is empty: make one with a policy")
        self.observe(readings)
        with nogil:
            answer = self.act()
        if answer == ACT_BAD_OBSERVATION or answer == ACT_BAD_ACTION:
            raise InvalidValueError(f"expected a finite {'observation' if answer == ACT_BAD_OBSERVATION else 'action'}")
        self.aim(&to[0])
        return out

    @property
    def last_observation(self):
        """The observation made last (obs_dim,), float32, a copy."""
        return np.array([self.observation[i] for i in range(self.obs_dim)], np.float32)

    @property
    def last_action(self):
        """The action of the last step (12,), float32, a copy."""
        return np.array([self.action[i] for i in range(MOTORS)], np.float32)

    def __reduce__(self):
        return PolicySide, (self.policy,)

    def __repr__(self):
        return f"PolicySide({self.policy!r}, step={self.step})"
