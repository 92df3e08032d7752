"""The safety envelope below every caller: what leaves for the motors is inside of the limits, or is damping.

Compiled code cimports :class:`SafetyEnvelope` and calls ``bound`` (envelope.pxd) without the GIL; Python calls ``apply``.
The rules are in rfx/kernels/envelope.pyx.
"""

cimport cython
from libc.math cimport NAN, cos
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from rfx.go2.safety_account cimport SafetyAccount, tally_t
from rfx.go2.wire cimport Struct
from rfx.kernels.envelope cimport (
    ENV_BOUNDS,
    ENV_DAMP,
    ENV_KINDS,
    ENV_LATCHED,
    ENV_PER_JOINT,
    EnvelopeEvent,
    EnvelopeMeasured,
    envelope_check,
    envelope_clamp,
    envelope_count,
    envelope_damping,
    envelope_joint_event,
    envelope_losses,
    envelope_robot_event,
)
from rfx.kernels.seqlock cimport word_add, word_load, word_store

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError
from rfx.go2.events import KINDS, Verdict, words
from rfx.go2.limits import SafetyLimits
from rfx.go2.messages import SERVO, LowCmd, LowState, MotorCmd, MotorState
from rfx.robots.go2 import MOTOR_NAMES

# Where the numbers lie in the C structs of the messages; q, dq, tau, kp, kd of a command are neighbours.
cdef Py_ssize_t CMD = LowCmd.LAYOUT.fields["motor_cmd"].offset, CMD_STRIDE = MotorCmd.LAYOUT.size
cdef Py_ssize_t CMD_Q = CMD + MotorCmd.LAYOUT.fields["q"].offset
cdef Py_ssize_t CMD_MODE = CMD + MotorCmd.LAYOUT.fields["mode"].offset
cdef Py_ssize_t STATE = LowState.LAYOUT.fields["motor_state"].offset, STATE_STRIDE = MotorState.LAYOUT.size
cdef Py_ssize_t STATE_Q = STATE + MotorState.LAYOUT.fields["q"].offset
cdef Py_ssize_t STATE_DQ = STATE + MotorState.LAYOUT.fields["dq"].offset
cdef Py_ssize_t STATE_TAU = STATE + MotorState.LAYOUT.fields["tau_est"].offset
cdef Py_ssize_t STATE_TEMPERATURE = STATE + MotorState.LAYOUT.fields["temperature"].offset
cdef Py_ssize_t STATE_LOST = STATE + MotorState.LAYOUT.fields["lost"].offset
cdef Py_ssize_t TICK = LowState.LAYOUT.fields["tick"].offset
cdef Py_ssize_t QUATERNION = (
    LowState.LAYOUT.fields["imu_state"].offset
    + LowState.LAYOUT.fields["imu_state"].kind.LAYOUT.fields["quaternion"].offset)
cdef unsigned char SERVO_MODE = SERVO

# A state as the kernel wants it.
ctypedef struct Numbers:
    double[12] q
    double[12] dq
    double[12] tau_est
    double[12] temperature
    uint32_t[12] lost
    double[4] quaternion
    uint32_t tick


cdef void read_state(const unsigned char* low, Numbers* to) noexcept nogil:
    cdef Py_ssize_t i, at
    for i in range(MOTORS):
        at = i * STATE_STRIDE
        to.q[i] = (<const float*>(low + STATE_Q + at))[0]
        to.dq[i] = (<const float*>(low + STATE_DQ + at))[0]
        to.tau_est[i] = (<const float*>(low + STATE_TAU + at))[0]
        to.temperature[i] = low[STATE_TEMPERATURE + at]
        to.lost[i] = (<const uint32_t*>(low + STATE_LOST + at))[0]
    for i in range(4):
        to.quaternion[i] = (<const float*>(low + QUATERNION))[i]
    to.tick = (<const uint32_t*>(low + TICK))[0]


cdef EnvelopeMeasured measured_of(Numbers* numbers, int64_t age_ns) noexcept nogil:
    cdef EnvelopeMeasured m
    m.q = numbers.q
    m.dq = numbers.dq
    m.tau_est = numbers.tau_est
    m.temperature = numbers.temperature
    m.losses = NULL
    m.quaternion = numbers.quaternion
    m.age_ns = age_ns
    return m


cdef tuple names_of(uint32_t marks):
    return tuple([KINDS[k] for k in range(ENV_KINDS) if (marks >> k) & 1])


cdef object NOTHING = Verdict()


@cython.final
cdef class SafetyEnvelope:
    """Keep the commands of one robot within limits, and damp where nothing else is safe.

    A number of a command that is out of bounds is changed (targets and speeds clamped, steps shortened, torque held down by
    moving the target towards the measured position). Damping takes the place of the whole command for NaN, infinity or a
    negative gain anywhere, a joint that turns too fast, and for reasons that **hold until** :meth:`reset`: a trunk that leans
    too far, a motor too hot or not measured any more, a stale state. The next command after damping starts from
    the measured posture. A command inside of the bounds is not changed in a single bit.

    Targets of 2.146e9 (position) and 16000 (velocity) stand for none and pass; a gain on one of them is set to zero.
    Bounds hold for the floats on the wire: positions, velocities and gains are compared with the bound rounded to float32.

    Safe to use from several threads. A pickled copy has limits, counts and what holds; its next step starts from the measured
    posture.

    Parameters
    ----------
    limits : SafetyLimits, optional

    Attributes
    ----------
    limits : SafetyLimits

    Examples
    --------
    >>> from rfx.go2.messages import LowCmd, LowState
    >>> low, cmd = LowState(), LowCmd()
    >>> low.imu_state.quaternion = (1.0, 0.0, 0.0, 0.0)
    >>> low.set_motors(q=[0.0, 0.8, -1.6] * 4)
    >>> cmd.set_motors(q=[0.0, 0.8, -1.6] * 4, dq=0.0, tau=0.0, kp=20.0, kd=0.5)
    >>> envelope = SafetyEnvelope()
    >>> envelope.apply(cmd, low, 0.0)
    Verdict(sent: nothing to do)
    >>> cmd.set_motors(tau=99.0)
    >>> envelope.apply(cmd, low, 0.0).joints("torque")[:2]
    ('FR_hip', 'FR_thigh')
    """

    def __cinit__(self, limits=None):
        self.account = SafetyAccount()
        memset(&self.begun, 0, sizeof(tally_t))

    def __init__(self, limits=None):
        limits = SafetyLimits() if limits is None else limits
        if not isinstance(limits, SafetyLimits):
            raise DTypeError(f"expected limits to be a SafetyLimits, got {type(limits).__name__}")
        cdef Py_ssize_t i, k
        cdef double[:, ::1] rows = np.array(
            [[p[0] for p in limits.position], [p[1] for p in limits.position], limits.velocity, limits.torque, limits.step,
             limits.kp, limits.kd])
        self.limits = limits
        for k in range(ENV_BOUNDS):
            for i in range(MOTORS):
                self.rows[MOTORS * k + i] = rows[k, i] if k == 3 or k == 4 else <float>rows[k, i]
        self.bounds.joint = self.rows
        self.bounds.temperature = limits.temperature
        self.bounds.cos_tilt = -2.0 if limits.tilt >= 3.14159 else cos(limits.tilt)
        self.bounds.stale_ns = <int64_t>(1e9 * <double>limits.stale_s)
        self.bounds.losses = limits.lost_states
        self.damping_kd = <float><double>limits.damping_kd
        self.started = False
        self.reset()

    # -- compiled callers

    cdef uint32_t bound(
            self, double* command, const EnvelopeMeasured* measured, const uint32_t* lost, uint32_t tick) noexcept nogil:
        cdef EnvelopeMeasured m = measured[0]
        cdef double[60] asked
        cdef uint32_t[12] marks
        cdef uint32_t seen, held
        memcpy(asked, command, sizeof(asked))
        with self.lock:
            self.observe_losses(lost, tick)
            m.losses = self.losses
            seen = envelope_check(command, &m, &self.bounds, marks, MOTORS)
            held = <uint32_t>word_load(&self.account.held) | (seen & ENV_LATCHED)
            if seen & ENV_DAMP or held:
                envelope_damping(command, self.last, self.damping_kd, MOTORS)
                word_add(&self.account.damped, 1)
            else:
                seen |= envelope_clamp(command, self.last, &m, &self.bounds, marks, MOTORS)
            word_add(&self.account.commands, 1)
            if seen:
                self.note(asked, command, &m, marks, seen)
            memcpy(self.before, marks, sizeof(marks))
            self.before_all = seen
            return seen | held

    cdef void observe_c(self, const uint32_t* lost, uint32_t tick) noexcept nogil:
        with self.lock:
            self.observe_losses(lost, tick)

    cdef void observe_losses(self, const uint32_t* lost, uint32_t tick) noexcept nogil:
        # The lock is held. A state that was seen before tells nothing.
        if self.started and tick != self.tick:
            envelope_losses(self.losses, self.lost, lost, MOTORS)
        elif not self.started:
            memcpy(self.lost, lost, sizeof(self.lost))
        self.started = True
        self.tick = tick

    cdef void note(self, const double* asked, const double* sent, const EnvelopeMeasured* m, uint32_t* marks,
                   uint32_t seen) noexcept nogil:
        # Count all of it, and list what began with this command, not what went on from the one before.
        cdef EnvelopeEvent event
        cdef Py_ssize_t i, k
        cdef uint32_t new = seen & ~self.before_all
        with self.account.lock:
            self.account.met |= seen
            word_store(&self.account.held, word_load(&self.account.held) | (seen & ENV_LATCHED))
            envelope_count(self.account.counted, marks, seen, MOTORS)
            for k in range(ENV_PER_JOINT, ENV_KINDS):
                if (new >> k) & 1:
                    event = envelope_robot_event(m, k)
                    event.tick = self.tick
                    self.account.add_event(event)
            for i in range(MOTORS):
                new = marks[i] & ~self.before[i]
                for k in range(ENV_PER_JOINT):
                    if (new >> k) & 1:
                        event = envelope_joint_event(asked, sent, m, i, k, MOTORS)
                        event.tick = self.tick
                        self.account.add_event(event)

    # -- Python

    def apply(self, cmd, low, age_s, *, report=True):
        """Bring a command inside of the limits, in place, or make it damping.

        Parameters
        ----------
        cmd : LowCmd
            Its twelve motors are changed, nothing else; damping sets their modes to servo.
        low : LowState
            The newest state.
        age_s : float
            How old it is (s), at least 0.
        report : bool
            Log what is new; False for who has a lock that nobody should wait for because of a log.

        Returns
        -------
        Verdict

        Raises
        ------
        DTypeError, InvalidValueError
            Of the wrong type, or an age that is no number: the command is as it was.
        """
        cdef Struct to, source
        cdef Numbers numbers
        cdef EnvelopeMeasured m
        cdef double[60] command
        cdef uint32_t seen
        cdef Py_ssize_t i, k
        cdef double age
        if type(cmd) is not LowCmd or type(low) is not LowState:
            raise DTypeError(f"expected a LowCmd and a LowState, got {type(cmd).__name__} and {type(low).__name__}")
        age = arrays.number(age_s, "age_s", minimum=0)
        to, source = cmd, low
        read_state(source.data, &numbers)
        m = measured_of(&numbers, <int64_t>(1e9 * age) if age < 1e9 else <int64_t>1e18)
        for i in range(MOTORS):
            for k in range(5):
                command[12 * k + i] = (<float*>(to.data + CMD_Q + i * CMD_STRIDE))[k]
        with nogil:
            seen = self.bound(command, &m, numbers.lost, numbers.tick)
        if seen == 0:
            return NOTHING
        for i in range(MOTORS):
            for k in range(5):
                (<float*>(to.data + CMD_Q + i * CMD_STRIDE))[k] = <float>command[12 * k + i]
            if seen & ENV_DAMP:
                to.data[CMD_MODE + i * CMD_STRIDE] = SERVO_MODE
        if report:
            self.report()
        return self.verdict(seen, low, age)

    cdef object verdict(self, uint32_t seen, low, double age):
        cdef uint32_t latched, now
        cdef uint32_t[12] marks
        latched = <uint32_t>word_load(&self.account.held)
        with self.lock:
            now = self.before_all
            memcpy(marks, self.before, sizeof(marks))
        joints = {
            KINDS[k]: tuple([MOTOR_NAMES[i] for i in range(MOTORS) if (marks[i] >> k) & 1]) if k < ENV_PER_JOINT else ()
            for k in range(ENV_KINDS) if (now >> k) & 1}
        v = Verdict((seen & ENV_DAMP) != 0, tuple(joints), names_of(latched), joints)
        return v._replace(reason=words(v, self.limits, low, age)) if v.damping else v

    def observe(self, low):
        """Look at a state that came, so that a motor that is lost is noticed even where nothing is sent."""
        cdef Struct source
        cdef Numbers numbers
        if type(low) is not LowState:
            raise DTypeError(f"expected a LowState, got {type(low).__name__}")
        source = low
        read_state(source.data, &numbers)
        with nogil:
            self.observe_c(numbers.lost, numbers.tick)

    def restart(self):
        """Take the next command's first step from the measured posture, not from the command sent last."""
        cdef Py_ssize_t i
        with self.lock:
            for i in range(MOTORS):
                self.last[i] = NAN

    def reset(self):
        """Let commands through again after a reason that holds; one that is still there comes back at once."""
        cdef Py_ssize_t i
        with self.lock:
            self.before_all = 0
            for i in range(MOTORS):
                self.last[i] = NAN
                self.losses[i] = 0
                self.before[i] = 0
        with self.account.lock:
            word_store(&self.account.held, 0)

    def beside(self, limits=None):
        """Return an envelope for another path of commands to the same robot, with one account of what both do.

        What the new one does is in the ``counts``, ``events``, ``latched`` and log of this one at once; itself it shows what
        came to the account since it was made. Steps and lost motors are each one's own.

        Parameters
        ----------
        limits : SafetyLimits, optional
            By default this one's.
        """
        cdef SafetyEnvelope made = SafetyEnvelope(self.limits if limits is None else limits)
        made.account = self.account
        self.account.begin_anew(&made.begun)
        return made

    def report(self, final=False):
        """Log what is new: the first event of a kind at once, then a summary now and then, never a line for each command.

        Called by :meth:`apply`; whoever lets compiled code call the envelope calls it from Python once in a while.
        """
        self.account.report(final)

    @property
    def latched(self):
        """Reasons for damping that hold until :meth:`reset`, a tuple of names."""
        return names_of(<uint32_t>word_load(&self.account.held))

    @property
    def lost_motors(self):
        """Names of the motors that the robot does not measure any more, a tuple."""
        cdef int32_t[12] losses
        with self.lock:
            memcpy(losses, self.losses, sizeof(losses))
        return tuple([MOTOR_NAMES[i] for i in range(MOTORS) if losses[i] >= self.bounds.losses])

    @property
    def counts(self):
        """How often each kind was met, by kind and joint (``"robot"`` for its own), those that were."""
        return self.account.counts_since(&self.begun)

    @property
    def n_commands(self):
        """How many commands were looked at."""
        return word_load(&self.account.commands) - self.begun.commands

    @property
    def n_damped(self):
        """How many of them became damping."""
        return word_load(&self.account.damped) - self.begun.damped

    @property
    def events(self):
        """The last 256 events, oldest first: one when something begins, none while it goes on."""
        cdef int64_t end
        return self.account.events_since(self.begun.events, &end)

    def __reduce__(self):
        cdef tally_t now
        self.account.read(&now)
        counted = [now.counted[i] - self.begun.counted[i] for i in range(ENV_KINDS * MOTORS)]
        held = <uint32_t>word_load(&self.account.held)
        return SafetyEnvelope, (self.limits,), (counted, self.n_commands, self.n_damped, held, self.account.met)

    def __setstate__(self, state):
        cdef tally_t tally
        counted, tally.commands, tally.damped, held, met = state
        for i in range(ENV_KINDS * MOTORS):
            tally.counted[i] = counted[i]
        self.account.put_back(&tally, held, met)

    def __repr__(self):
        met = {kind: sum(row.values()) for kind, row in self.counts.items()}
        held = f", latched={self.latched}" if self.latched else ""
        return f"SafetyEnvelope(commands={self.n_commands}, damped={self.n_damped}, met={met}{held})"
