"""One tick of a policy on a robot, without Python: newest state in, command out.

take -> decode -> estimate -> each k-th tick: observation, network, joint targets -> safety envelope -> encode -> write.
Before the policy the joints move from where they are to its default pose; after it the robot lies down or brakes.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rfx.control.capsule cimport make_tick
from rfx.control.histogram cimport Histogram
from rfx.go2.command_source cimport CommandSource
from rfx.go2.envelope cimport SafetyEnvelope
from rfx.go2.link cimport TAKE_FAILED, Link
from rfx.go2.low_frame cimport FRAME_GOOD, LowFrame
from rfx.go2.policy_side cimport PolicySide
from rfx.go2.record_ring cimport RECORD_COMMAND, RECORD_ESTIMATE, RECORD_POLICY, RECORD_STATE, RecordRing
from rfx.go2.velocity_watch cimport ESTIMATE_SIZE, VelocityWatch
from rfx.kernels.clock cimport monotonic_ns
from rfx.kernels.envelope cimport ENV_DAMP, EnvelopeMeasured
from rfx.kernels.observe cimport smooth_move
from rfx.kernels.seqlock cimport word_load, word_store
from rfx.nn.compiled cimport ACT_BAD_OBSERVATION, ACT_DONE

import time

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError
from rfx.go2.low_frame import REFUSALS
from rfx.go2.messages import NO_POSITION
from rfx.go2.policy_record import ENDS, PHASES, STAGES
from rfx.go2.topics import Key
from rfx.robots.go2 import GO2

cdef enum:
    MOTORS = 12
    REPEATED = 2            # what `take_in` answers beside 0: nothing, 1: a new state
cdef double NOWHERE = NO_POSITION
cdef uint32_t STOP_KEYS = Key.L2 | Key.B


cdef int64_t ns_of(seconds, name) except -1:
    return <int64_t>(1e9 * <double>arrays.number(seconds, name, minimum=0, maximum=1e8))


cdef int tick_c(void* state, uint64_t iteration, int64_t now_ns) noexcept nogil:
    return (<PolicyTick>state).run(now_ns, 0)


cdef class PolicyTick:
    """A policy, a link and a safety envelope as one compiled tick.

    Parameters
    ----------
    side : PolicySide
    link : Link
        To the robot, whose motors are free for low-level commands.
    envelope : SafetyEnvelope
    commands : CommandSource
    ring : RecordRing, optional
        Gets every state, command, estimate and policy step.
    velocity : VelocityWatch, optional
        Estimates the base's velocity at every state. Where the observation has it, a policy does not begin while no leg is
        trusted (``finish`` follows), and ends in damping where none is for the watch's patience.
    lockstep : bool
        The robot is simulated and waits for the answer to each state: time is the robot's.
    seconds : float, optional
        How long the policy acts.
    finish : {"lie", "damp"}
        What follows it. After a fault it is always damping.
    ramp_s, settle_s, lie_s, damp_s : float
        To stand up, go over to the policy's gains, lie down, and brake (s). A pause between ticks counts as 20 ms at most:
        what moves goes on from where it was.
    patience_s : float
        Without a state for so long there is no robot any more (s).
    """

    def __init__(self, side, link, envelope, commands, *, ring=None, velocity=None, lockstep=False, seconds=None,
                 finish="lie", ramp_s=2.0, settle_s=0.5, lie_s=2.0, damp_s=0.5, patience_s=5.0,
                 stand_kp=60.0, stand_kd=4.0):
        cdef plan_t plan
        if self.link is not None:
            raise InvalidStateError("a PolicyTick is set up once; make another one")
        wanted = [(side, PolicySide, "side"), (link, Link, "link"), (envelope, SafetyEnvelope, "envelope")]
        wanted += [(commands, CommandSource, "commands")]
        wanted += [w for w in ((ring, RecordRing, "ring"), (velocity, VelocityWatch, "velocity")) if w[0] is not None]
        for given, kind, name in wanted:
            if not isinstance(given, kind):
                raise DTypeError(f"expected {name} to be a {kind.__name__}, got {type(given).__name__}")
        link.check()
        if side.policy is None or (velocity is not None and velocity.estimator is None):
            raise InvalidStateError("expected a PolicySide with a policy and a VelocityWatch that is set up, got an empty one")
        if finish not in ("lie", "damp"):
            raise ConfigError(f"expected finish to be 'lie' or 'damp', got {finish!r}")
        memset(&plan, 0, sizeof(plan_t))
        plan.policy = -1 if seconds is None else ns_of(seconds, "seconds")
        plan.ramp, plan.settle = ns_of(ramp_s, "ramp_s"), ns_of(settle_s, "settle_s")
        plan.lie, plan.damp, plan.patience = ns_of(lie_s, "lie_s"), ns_of(damp_s, "damp_s"), ns_of(patience_s, "patience_s")
        plan.half_tick = <int64_t>(0.5e9 / <double>side.contract.control_rate_hz)
        plan.longest = max(<int64_t>20_000_000, 4 * plan.half_tick)
        plan.stand_kp = arrays.number(stand_kp, "stand_kp", minimum=0)
        plan.stand_kd = arrays.number(stand_kd, "stand_kd", minimum=0)
        plan.damping_kd = envelope.limits.damping_kd
        plan.lockstep, plan.lie_at_end = bool(lockstep), finish == "lie"
        for i, value in enumerate(GO2.pose("lie")):
            plan.lie_pose[i] = value
        self.side, self.link, self.envelope, self.plan, self.frame = side, link, envelope, plan, LowFrame()
        self.commands, self.commands.own_clock = commands, bool(lockstep)
        self.logging, self.ring, self.estimating, self.velocity = ring is not None, ring, velocity is not None, velocity
        (self.h_take, self.h_decode, self.h_estimate, self.h_observe, self.h_act, self.h_envelope, self.h_encode, self.h_write,
         self.h_log, self.h_total) = [Histogram() for _ in STAGES]
        self.unix_offset = time.time_ns() - time.monotonic_ns()
        self.last_step = -1
        side.reset()

    # -- the tick

    # One tick; 1 when everything is over. In lockstep `now_ns` is not looked at.
    cdef int run(self, int64_t now_ns, int64_t timeout_ns) noexcept nogil:
        cdef int64_t t0 = monotonic_ns(), t1
        cdef int came
        if self.phase_ == DONE:
            return 1
        if self.received == 0:
            self.received = t0  # patience begins
        came = self.take_in(timeout_ns)
        t1 = monotonic_ns()
        if came == REPEATED and self.plan.lockstep:
            return self.answer_again()
        if came == 0 and t1 - self.received > self.plan.patience:
            self.stop_for(END_GONE, DONE)
            return 1
        if not self.have or (self.plan.lockstep and came == 0):
            return self.phase_ == DONE
        self.now = <int64_t>(self.low.tick - self.first_tick) * 1_000_000 if self.plan.lockstep else now_ns
        self.moved += min(self.now - self.last_now, self.plan.longest)  # a pause makes a motion later, not faster
        self.last_now = self.now
        self.decide()
        self.answer()
        self.counters.ticks += 1
        self.h_total.add(monotonic_ns() - (t1 if self.plan.lockstep else t0))
        return self.phase_ == DONE

    # Takes and decodes: 0 nothing that is good, 1 a new state, REPEATED one that was seen before.
    cdef int take_in(self, int64_t timeout_ns) noexcept nogil:
        cdef int64_t t0 = monotonic_ns(), t1
        cdef Py_ssize_t n = self.link.c.take(self.link.c.ctx, self.incoming, sizeof(self.incoming), timeout_ns)
        cdef int refusal
        t1 = monotonic_ns()
        if n == TAKE_FAILED:
            self.stop_for(END_LINK, DONE if self.plan.lockstep else DAMPING)
        if n <= 0:
            return 0
        self.h_take.add(t1 - t0)
        refusal = self.frame.decode(self.incoming, n, &self.low)
        self.h_decode.add(monotonic_ns() - t1)
        if refusal != FRAME_GOOD:
            self.counters.refused += 1
            self.counters.refusal = refusal
            return 0
        if self.have and self.low.tick == self.last_tick:
            self.counters.repeated += 1
            return REPEATED
        if not self.have:
            self.first_tick, self.have = self.low.tick, True
        self.last_tick, self.received = self.low.tick, t1
        self.counters.states += 1
        if self.logging:
            self.ring.put(RECORD_STATE, t1 + self.unix_offset, self.incoming, <uint32_t>n)
        if self.estimating:
            self.estimate()
        return 1

    cdef void estimate(self) noexcept nogil:
        cdef int64_t t0 = monotonic_ns()
        self.velocity.feel(&self.low)
        self.h_estimate.add(monotonic_ns() - t0)
        if self.logging:
            self.ring.put(RECORD_ESTIMATE, t0 + self.unix_offset, self.velocity.record, ESTIMATE_SIZE)

    # A robot in lockstep asks again: the same answer.
    cdef int answer_again(self) noexcept nogil:
        if self.out_size and self.link.c.write(self.link.c.ctx, self.out, self.out_size) == 0:
            self.counters.resent += 1
        return 0

    # Bounds, encodes, sends and records the command.
    cdef void answer(self) noexcept nogil:
        cdef EnvelopeMeasured m
        cdef int64_t t0 = monotonic_ns(), t1, t2, t3
        cdef uint32_t marks
        m.q, m.dq, m.tau_est, m.temperature = self.low.q, self.low.dq, self.low.tau_est, self.low.temperature
        m.losses, m.quaternion = NULL, self.low.quaternion
        m.age_ns = 0 if self.plan.lockstep else max(<int64_t>0, t0 - self.received)
        marks = self.envelope.bound(self.command, &m, self.low.lost, self.low.tick)
        if marks & ENV_DAMP and self.phase_ < DAMPING:
            self.marks = marks
            self.stop_for(END_ENVELOPE, DAMPING)
        t1 = monotonic_ns()
        self.out_size = self.frame.encode(self.command, self.low.tick if self.plan.lockstep else 0, self.out)
        t2 = monotonic_ns()
        if self.link.c.write(self.link.c.ctx, self.out, self.out_size) < 0:
            self.counters.write_errors += 1
            self.stop_for(END_LINK, DAMPING)
        t3 = monotonic_ns()
        self.h_envelope.add(t1 - t0)
        self.h_encode.add(t2 - t1)
        self.h_write.add(t3 - t2)
        if self.logging:
            self.ring.put(RECORD_COMMAND, t3 + self.unix_offset, self.out, <uint32_t>self.out_size)
            self.h_log.add(monotonic_ns() - t3)

    # What the motors are to do now: the phases one after another.
    cdef void decide(self) noexcept nogil:
        cdef Py_ssize_t i
        cdef uint64_t request = word_load(&self.request)
        cdef double share, kp = self.plan.stand_kp, kd = self.plan.stand_kd, one = 1.0, zero = 0.0, s
        cdef double[12] q
        if request == DAMP and self.phase_ < DAMPING:
            self.stop_for(END_ASKED, DAMPING)
        elif request == FINISH and self.phase_ < LYING_DOWN:
            self.stop_for(END_ASKED, LYING_DOWN if self.plan.lie_at_end and self.phase_ != WAITING else DAMPING)
        if self.low.keys & STOP_KEYS == STOP_KEYS and self.phase_ < DAMPING:
            self.stop_for(END_REMOTE, DAMPING)
        if self.phase_ == WAITING:
            self.enter(STANDING_UP)
        if self.phase_ == STANDING_UP and self.moved >= self.plan.ramp:
            self.enter(SETTLING)
        if self.phase_ == SETTLING and self.moved >= self.plan.settle:
            if self.estimating and not self.velocity.stands() and self.side.needs_lin_vel:
                self.stop_for(END_TRUST, LYING_DOWN if self.plan.lie_at_end else DAMPING)
            else:
                self.enter(POLICY)
        if self.phase_ == POLICY and self.plan.policy >= 0 and self.now - self.phase_begun >= self.plan.policy:
            self.stop_for(END_TIME, LYING_DOWN if self.plan.lie_at_end else DAMPING)
        if self.phase_ == POLICY:
            self.follow_policy()    # may end in damping
        if self.phase_ == LYING_DOWN and self.moved >= self.plan.lie:
            self.enter(DAMPING)
        if self.phase_ == DAMPING and self.now - self.phase_begun >= self.plan.damp:
            self.phase_ = DONE
        if self.phase_ == STANDING_UP:
            share = <double>self.moved / max(<int64_t>1, self.plan.ramp)
            smooth_move(&zero, &one, share, 1, &s)
            smooth_move(self.start, self.side.pose, share, MOTORS, q)
            self.hold(q, s * kp, kd)
        elif self.phase_ == SETTLING:
            share = <double>self.moved / max(<int64_t>1, self.plan.settle)
            smooth_move(&zero, &one, share, 1, &s)
            self.hold(self.side.pose, kp, kd)
            for i in range(MOTORS):
                self.command[36 + i] += s * (self.side.kp[i] - kp)
                self.command[48 + i] += s * (self.side.kd[i] - kd)
        elif self.phase_ == LYING_DOWN:
            smooth_move(self.start, self.plan.lie_pose, <double>self.moved / max(<int64_t>1, self.plan.lie), MOTORS, q)
            self.hold(q, kp, kd)
        elif self.phase_ >= DAMPING:
            for i in range(MOTORS):
                q[i] = NOWHERE
            self.hold(q, 0.0, self.plan.damping_kd)

    # The policy's turn: a step when one is due, else the targets of the last one.
    cdef void follow_policy(self) noexcept nogil:
        cdef int64_t step = <int64_t>((self.now - self.phase_begun + self.plan.half_tick) * (self.side.rate * 1e-9)), t0, t1, t2
        cdef int answer
        if self.estimating and self.side.needs_lin_vel and self.velocity.lost():
            self.stop_for(END_TRUST, DAMPING)
            return
        if step > self.last_step:
            self.last_step = self.side.step = step
            t0 = monotonic_ns()
            self.commands.now = self.now
            self.commands.wish(1e-9 * (self.now - self.phase_begun), &self.low, self.wish)
            if self.estimating:
                memcpy(self.lin_vel, self.velocity.velocity, sizeof(self.lin_vel))
            elif self.side.needs_lin_vel and not self.commands.lin_vel(self.lin_vel):
                self.stop_for(END_ESTIMATOR, DAMPING)
                return
            self.side.feel(&self.low, self.wish, self.lin_vel)
            self.side.observe_c()
            t1 = monotonic_ns()
            answer = self.side.act()
            if answer != ACT_DONE:
                self.stop_for(END_OBSERVATION if answer == ACT_BAD_OBSERVATION else END_ACTION, DAMPING)
                return
            self.side.aim(self.targets)
            t2 = monotonic_ns()
            self.h_observe.add(t1 - t0)
            self.h_act.add(t2 - t1)
            self.counters.policy_steps += 1
            if self.logging:
                self.ring.put(RECORD_POLICY, t2 + self.unix_offset, self.record,
                              <uint32_t>self.side.write_step(self.last_step, self.wish, self.targets, self.record))
        self.hold(self.targets, 0.0, 0.0)
        memcpy(self.command + 36, self.side.kp, MOTORS * sizeof(double))
        memcpy(self.command + 48, self.side.kd, MOTORS * sizeof(double))

    cdef void hold(self, const double* q, double kp, double kd) noexcept nogil:
        cdef Py_ssize_t i
        memcpy(self.command, q, MOTORS * sizeof(double))
        memset(self.command + 12, 0, 2 * MOTORS * sizeof(double))
        for i in range(MOTORS):
            self.command[36 + i], self.command[48 + i] = kp, kd

    cdef void enter(self, int phase) noexcept nogil:
        if self.phase_ == POLICY:
            self.policy_ended = self.now
        self.phase_, self.phase_begun, self.moved = phase, self.now, 0
        if phase == POLICY:
            self.policy_begun = self.now
        memcpy(self.start, self.low.q, MOTORS * sizeof(double))

    # The first reason counts. Damping is sent from this tick on.
    cdef void stop_for(self, int reason, int phase) noexcept nogil:
        if self.ended_ == END_NOT:
            self.ended_ = reason
        if phase > self.phase_:
            self.enter(phase)

    # -- Python

    cdef int check(self) except -1:
        if self.link is None:
            raise InvalidStateError("this PolicyTick was never set up")
        return 0

    @property
    def tick(self):
        """The tick for a :class:`rfx.control.ControlLoop` at the contract's control rate; it ends the loop by itself."""
        self.check()
        return make_tick(tick_c, <void*>self, self)

    def step(self, timeout_s=0.05):
        """Wait for a state and answer it; False when everything is over. For a robot in lockstep, and for tests."""
        cdef int64_t timeout = ns_of(timeout_s, "timeout_s")
        cdef int over
        self.check()
        with nogil:
            over = self.run(monotonic_ns(), timeout)
        return not over

    def finish(self):
        """Ask the policy to end: the robot lies down or brakes, as was chosen. From any thread."""
        with self.lock:     # so that no wish for damping is forgotten that comes between
            word_store(&self.request, FINISH if self.request == GO_ON else self.request)

    def damp(self):
        """Ask for damping at once. From any thread."""
        with self.lock:
            word_store(&self.request, DAMP)

    @property
    def phase(self):
        """What goes on: one of ``rfx.go2.policy_record.PHASES``."""
        return PHASES[self.phase_]

    @property
    def ended(self):
        """Why the policy ended, in words; empty while it has not."""
        return ENDS[self.ended_]

    @property
    def policy_steps(self):
        """How many actions the policy has given."""
        return self.counters.policy_steps

    @property
    def policy_s(self):
        """Seconds since the policy began to act, by the clock of the tick; how long it acted when it has ended; 0 before."""
        if self.phase_ < POLICY or (self.phase_ > POLICY and self.policy_ended == 0):
            return 0.0
        return 1e-9 * ((self.now if self.phase_ == POLICY else self.policy_ended) - self.policy_begun)

    @property
    def counts(self):
        """Counters by name."""
        self.check()
        return {**{name: n for name, n in self.counters.items() if name != "refusal"}, "silent": self.commands.silent,
                "dropped_records": self.ring.dropped if self.logging else 0}

    @property
    def last_refusal(self):
        """What was wrong with the last state that was refused; empty if none was."""
        return REFUSALS[self.counters.refusal]

    @property
    def histograms(self):
        """How long each stage took: copies of :class:`rfx.control.Histogram` by the names in STAGES."""
        self.check()
        all = (self.h_take, self.h_decode, self.h_estimate, self.h_observe, self.h_act, self.h_envelope, self.h_encode,
               self.h_write, self.h_log, self.h_total)
        return {name: (<Histogram>histogram).copy() for name, histogram in zip(STAGES, all, strict=True)}

    def __reduce__(self):
        raise DTypeError("a PolicyTick stands on a link that is open in this process and cannot be pickled")

    def __repr__(self):
        if self.link is None:
            return "<PolicyTick that was never set up>"
        return f"PolicyTick({self.side.contract!r}, {self.link!r}, {PHASES[self.phase_]})"
