cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rfx.control.histogram cimport Histogram
from rfx.go2.command_source cimport CommandSource
from rfx.go2.envelope cimport SafetyEnvelope
from rfx.go2.link cimport Link
from rfx.go2.low_frame cimport LowFrame, low_numbers_t
from rfx.go2.policy_side cimport PolicySide
from rfx.go2.record_ring cimport RecordRing
from rfx.go2.velocity_watch cimport VelocityWatch

cdef enum:
    WAITING = 0
    STANDING_UP = 1
    SETTLING = 2
    POLICY = 3
    LYING_DOWN = 4
    DAMPING = 5
    DONE = 6

cdef enum:
    END_NOT = 0
    END_TIME = 1
    END_ASKED = 2
    END_ENVELOPE = 3
    END_LINK = 4
    END_GONE = 5
    END_OBSERVATION = 6
    END_ACTION = 7
    END_ESTIMATOR = 8
    END_REMOTE = 9
    END_TRUST = 10

cdef enum:
    GO_ON = 0
    FINISH = 1
    DAMP = 2

# What was decided before the first tick; times in ns.
ctypedef struct plan_t:
    int64_t ramp, settle, policy, lie, damp     # policy: -1 without an end
    int64_t patience, half_tick, longest
    double stand_kp, stand_kd, damping_kd
    double[12] lie_pose
    bint lockstep, lie_at_end

ctypedef struct counters_t:
    int64_t ticks, states, refused, repeated, resent, policy_steps, write_errors
    int refusal


cdef class PolicyTick:
    cdef readonly Link link
    cdef readonly PolicySide side
    cdef readonly SafetyEnvelope envelope
    cdef readonly RecordRing ring
    cdef readonly CommandSource commands
    cdef readonly VelocityWatch velocity
    cdef LowFrame frame
    cdef plan_t plan
    cdef counters_t counters
    cdef low_numbers_t low
    cdef double[60] command             # (5, 12): q, dq, tau, kp, kd
    cdef double[12] start, targets
    cdef double[3] wish
    cdef double[3] lin_vel
    cdef unsigned char[4096] incoming
    cdef unsigned char[1024] out
    cdef unsigned char[512] record
    cdef Py_ssize_t out_size
    cdef uint64_t request
    cdef cython.pymutex lock            # among those who write the request
    cdef int phase_, ended_
    cdef uint32_t first_tick, last_tick, marks
    cdef bint have, logging, estimating
    cdef int64_t last_now, moved, phase_begun, policy_begun, policy_ended, now, received, unix_offset, last_step
    cdef Histogram h_take, h_decode, h_estimate, h_observe, h_act, h_envelope, h_encode, h_write, h_log, h_total

    cdef int run(self, int64_t now_ns, int64_t timeout_ns) noexcept nogil
    cdef int take_in(self, int64_t timeout_ns) noexcept nogil
    cdef void estimate(self) noexcept nogil
    cdef int answer_again(self) noexcept nogil
    cdef void answer(self) noexcept nogil
    cdef void decide(self) noexcept nogil
    cdef void follow_policy(self) noexcept nogil
    cdef void hold(self, const double* q, double kp, double kd) noexcept nogil
    cdef void enter(self, int phase) noexcept nogil
    cdef void stop_for(self, int reason, int phase) noexcept nogil
    cdef int check(self) except -1
