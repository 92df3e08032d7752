"""Where a policy's velocity commands come from: a table, what a Python thread hands over, or the hand controller."""

from libc.math cimport isfinite
from libc.stdint cimport int64_t

from rfx.go2.low_frame cimport low_numbers_t
from rfx.kernels.clock cimport monotonic_ns
from rfx.kernels.handover cimport latch_read, latch_t, latch_write

cimport numpy as cnp

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError
from rfx.go2.policy_record import command_table
from rfx.nn.contract import COMMANDS, PolicyContract

cnp.import_array()

cdef double DEAD_ZONE = 0.05    # of a stick


cdef class CommandSource:
    """Velocity commands for a policy, always within the ranges of its contract.

    Parameters
    ----------
    contract : PolicyContract
    commands : array_like, shape (3,) or (n, 4), or "hand" or "sticks"
        Forward, left (m/s) and yaw (rad/s) for good; rows of seconds since the policy's start and the three from then on,
        zero before the first; ``"hand"`` for what :meth:`hand_over` gives; ``"sticks"`` for what the robot says of its hand
        controller: left stick forwards and sideways, right stick to turn.
    deadman_s : float
        What was handed over counts for so long (s); then the command is zero.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, InvalidValueError
        Not of that form.

    Examples
    --------
    >>> CommandSource(PolicyContract("unitree_rl_lab"), [(0.0, 0.5, 0.0, 0.0), (2.0, 9.0, 0.0, 0.0)]).at(3.0)
    (1.0, 0.0, 0.0)
    """

    def __init__(self, contract, commands=(0.0, 0.0, 0.0), *, deadman_s=0.5):
        if self.kind is not None:
            raise InvalidStateError("a CommandSource is set up once; make another one")
        if not isinstance(contract, PolicyContract):
            raise DTypeError(f"expected contract to be a PolicyContract, got {type(contract).__name__}")
        self.table_ = command_table(commands)
        self.sticks = self.table_ is None and commands == "sticks"
        self.kind = "table" if self.table_ is not None else str(commands)
        self.deadman = <int64_t>(1e9 * <double>arrays.number(deadman_s, "deadman_s", above=0, maximum=1e6))
        if self.table_ is not None:
            self.rows, self.table = len(self.table_), <const double*>cnp.PyArray_DATA(<cnp.ndarray>self.table_)
        for i, name in enumerate(COMMANDS):
            self.ranges[2 * i], self.ranges[2 * i + 1] = contract.command_ranges[name]

    cdef int64_t clock(self) noexcept nogil:
        return self.now if self.own_clock else monotonic_ns()

    # The command t seconds after the policy's start. Within a run t only grows.
    cdef void wish(self, double t, const low_numbers_t* low, double* out) noexcept nogil:
        cdef int64_t stamp
        cdef double share
        cdef Py_ssize_t i
        out[0] = out[1] = out[2] = 0.0
        if self.rows:
            while self.row + 1 < self.rows and self.table[4 * (self.row + 1)] <= t + 1e-6:
                self.row += 1
            if self.table[4 * self.row] <= t + 1e-6:
                for i in range(3):
                    out[i] = self.table[4 * self.row + 1 + i]
        elif self.sticks:
            for i in range(3):  # ly forwards, lx and rx to the right
                share = low.sticks[1] if i == 0 else -low.sticks[0] if i == 1 else -low.sticks[2]
                if isfinite(share) and (share > DEAD_ZONE or share < -DEAD_ZONE):
                    out[i] = min(share, 1.0) * self.ranges[2 * i + 1] if share > 0 else max(share, -1.0) * -self.ranges[2 * i]
        else:
            stamp = latch_read(&self.hand, out, 3)
            if stamp < 0 or self.clock() - stamp > self.deadman:
                self.silent_ += 1
                out[0] = out[1] = out[2] = 0.0
        for i in range(3):
            out[i] = max(self.ranges[2 * i], min(self.ranges[2 * i + 1], out[i]))

    # The base's velocity as it was handed over; False where it is too old.
    cdef bint lin_vel(self, double* out) noexcept nogil:
        cdef int64_t stamp = latch_read(&self.velocity, out, 3)
        return stamp >= 0 and self.clock() - stamp <= self.deadman

    def hand_over(self, vx, vy, vyaw):
        """Give the velocity that is wanted now (m/s, m/s, rad/s); from any thread."""
        self.pass_on(&self.hand, (vx, vy, vyaw), ("vx", "vy", "vyaw"))

    def hand_over_velocity(self, velocity):
        """Give the base's velocity in its own frame (3,), m/s, for observations that have it."""
        self.pass_on(&self.velocity, arrays.floats(velocity, "velocity", (3,)), ("velocity", "velocity", "velocity"))

    cdef int pass_on(self, latch_t* latch, values, names) except -1:
        cdef double[3] numbers
        for i in range(3):
            numbers[i] = arrays.number(values[i], names[i])
        with self.lock:
            latch_write(latch, numbers, 3, self.clock())
        return 0

    def at(self, t):
        """Return the command t seconds after the policy's start, where it does not need a robot."""
        cdef double[3] out
        cdef double when = arrays.number(t, "t", minimum=0)
        cdef low_numbers_t low
        if self.sticks:
            raise ConfigError("expected a table or what was handed over, the sticks are the robot's")
        self.row = 0
        self.wish(when, &low, out)
        return out[0], out[1], out[2]

    @property
    def silent(self):
        """How often a step of the policy found nothing that was handed over in time, and got zero."""
        return self.silent_

    def __reduce__(self):
        raise DTypeError("a CommandSource belongs to a run and cannot be pickled")

    def __repr__(self):
        return f"CommandSource({self.kind}{f', {self.rows} rows' if self.rows else ''})"
