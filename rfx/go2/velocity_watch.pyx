"""The trunk's velocity during a run: an estimator that takes each state, and for how long no leg could be trusted.

Time is the robot's, by the tick of its states (ms), so that a recorded run is repeated bit for bit.
"""

from libc.string cimport memcpy, memset

from rfx.go2.low_frame cimport low_numbers_t
from rfx.sim.odometry cimport VelocityEstimator

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError, InvalidStateError

cdef enum:
    FIRST_MS = 2        # before the first state
    LONGEST_MS = 100    # what an estimator takes at once
    STEADY_MS = 100     # without trust for less than that a robot counts as standing
cdef double LEAST = 0.2  # of four: below that no leg is trusted


cdef class VelocityWatch:
    """An estimator of the trunk's velocity for one run of a policy.

    While the policy does not act, a robot whose legs have not been trusted for ``patience_s`` is taken to lie still: the
    estimate starts again from zero. While it acts, the same ends the run, see :class:`rfx.go2.policy_tick.PolicyTick`.

    Parameters
    ----------
    estimator : VelocityEstimator
        Starts from zero, and is used by nobody else during the run.
    patience_s : float
        For how long the velocity may be integrated from the accelerometer alone (s).

    Raises
    ------
    DTypeError, InvalidValueError
        Not an estimator, not a time above 0.
    """

    def __init__(self, estimator, *, patience_s=0.5):
        if self.estimator is not None:
            raise InvalidStateError("a VelocityWatch is set up once; make another one")
        if not isinstance(estimator, VelocityEstimator):
            raise DTypeError(f"expected estimator to be a VelocityEstimator, got {type(estimator).__name__}")
        self.patience_ms = round(1e3 * arrays.number(patience_s, "patience_s", above=0, maximum=1e6))
        self.blind_ms = STEADY_MS
        self.record[1] = 1
        estimator.reset()
        self.estimator = estimator

    # Takes a new state: velocity, trust, the time without trust, and the record of it.
    cdef void feel(self, const low_numbers_t* low) noexcept nogil:
        cdef uint32_t gap = low.tick - self.last_tick if self.begun else FIRST_MS
        cdef float[7] numbers
        cdef double total = 0.0
        cdef int i
        self.begun, self.last_tick = True, low.tick
        if self.estimator.tick(low.q, low.dq, low.quaternion, low.gyroscope, low.accelerometer, low.foot_force,
                               1e-3 * min(gap, <uint32_t>LONGEST_MS)):
            with self.estimator.lock:
                memcpy(self.velocity, self.estimator.v, sizeof(self.velocity))
                memcpy(self.trust, self.estimator.used, sizeof(self.trust))
        else:
            memset(self.trust, 0, sizeof(self.trust))
        for i in range(4):
            self.force[i] = low.foot_force[i]
            total += self.trust[i]
        self.blind_ms = 0 if total >= LEAST else self.blind_ms + gap
        if self.blind_ms > self.patience_ms and not self.acting:
            memset(self.velocity, 0, sizeof(self.velocity))
            with self.estimator.lock:
                memcpy(self.estimator.v, self.velocity, sizeof(self.velocity))
        for i in range(3):
            numbers[i] = <float>self.velocity[i]
        for i in range(4):
            numbers[3 + i] = <float>self.trust[i]
        memcpy(self.record + 4, &low.tick, 4)
        memcpy(self.record + 8, numbers, sizeof(numbers))

    # Whether a policy may begin to act by the estimate; from now on it does.
    cdef bint stands(self) noexcept nogil:
        self.acting = self.blind_ms < STEADY_MS
        return self.acting

    # Whether a policy may no longer act by it.
    cdef bint lost(self) noexcept nogil:
        return self.blind_ms > self.patience_ms

    @property
    def blind_s(self):
        """For how long no leg has been trusted, by the robot's own clock (s)."""
        return 1e-3 * self.blind_ms

    @property
    def last(self):
        """The estimate after the last state, (3,), m/s in the trunk's frame; a copy."""
        return np.array([self.velocity[i] for i in range(3)])

    @property
    def foot_force(self):
        """The foot forces FR, FL, RR, RL of the last state, (4,), in the robot's own unit; a copy."""
        return np.array([self.force[i] for i in range(4)])

    def __reduce__(self):
        raise DTypeError("a VelocityWatch belongs to a run and cannot be pickled")

    def __repr__(self):
        return f"VelocityWatch({self.estimator!r}, blind_s={self.blind_s:g})"
