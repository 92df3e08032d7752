from libc.stdint cimport int32_t, int64_t

from rfx.go2.low_frame cimport low_numbers_t
from rfx.nn.compiled cimport CompiledPolicy

# Where each signal stands among the numbers that an observation is made of.
cdef enum:
    SIG_LIN_VEL = 0
    SIG_ANG_VEL = 3
    SIG_GRAVITY = 6
    SIG_COMMAND = 9
    SIG_POS = 12
    SIG_POS_REL = 24
    SIG_VEL = 36
    SIG_ACTION = 48
    SIG_CLOCK = 60
    SIG_SIZE = 64
    SIDE_TERMS = 64         # numbers of an observation at most: each signal once


cdef class PolicySide:
    cdef readonly CompiledPolicy policy
    cdef readonly object contract
    cdef readonly Py_ssize_t obs_dim
    cdef readonly bint needs_lin_vel
    cdef bint xyzw, clipped_last
    cdef double rate, gait_period, clip, action_clip
    cdef double[64] signals
    cdef int32_t[64] place
    cdef double[64] bound, scale
    cdef int32_t[12] action_place
    cdef double[12] pose, action_scale
    cdef double[12] kp
    cdef double[12] kd
    cdef double[6] ranges           # lowest and highest command: forward, left, yaw
    cdef float[64] observation
    cdef float[12] action
    cdef int64_t step

    cdef void feel(self, const low_numbers_t* low, const double* command, const double* lin_vel) noexcept nogil
    cdef void observe_c(self) noexcept nogil
    cdef int act(self) noexcept nogil
    cdef void aim(self, double* targets) noexcept nogil
    cdef Py_ssize_t write_step(
        self, int64_t step, const double* command, const double* targets, unsigned char* out) noexcept nogil
    cdef void forget(self) noexcept nogil
