cimport cython
from libc.stdint cimport int32_t, uint32_t

from rfx.go2.safety_account cimport SafetyAccount, tally_t
from rfx.kernels.envelope cimport EnvelopeBounds, EnvelopeMeasured

cdef enum:
    MOTORS = 12


cdef class SafetyEnvelope:
    cdef readonly object limits
    cdef EnvelopeBounds bounds
    cdef double damping_kd
    cdef double[84] rows
    cdef double[12] last
    cdef int32_t[12] losses
    cdef uint32_t[12] lost
    cdef uint32_t[12] before        # marks of the last command
    cdef uint32_t before_all
    cdef uint32_t tick
    cdef bint started
    cdef SafetyAccount account      # what is told; others may write into it, too
    cdef tally_t begun              # the account when this envelope came to it
    cdef cython.pymutex lock        # over the rest that is C and changes; held around C only

    # For code without the GIL. `command` is (5, 12): q, dq, tau, kp, kd; it is brought inside of the bounds, or becomes
    # damping. `measured.losses` is not read: `lost` is the robot's counter. Returns 0 where nothing was done, else marks
    # (1 << ENV_...); damping where any of ENV_DAMP is among them.
    cdef uint32_t bound(
        self, double* command, const EnvelopeMeasured* measured, const uint32_t* lost, uint32_t tick) noexcept nogil
    cdef void observe_c(self, const uint32_t* lost, uint32_t tick) noexcept nogil
    cdef void observe_losses(self, const uint32_t* lost, uint32_t tick) noexcept nogil
    cdef void note(self, const double* asked, const double* sent, const EnvelopeMeasured* m, uint32_t* marks,
                   uint32_t seen) noexcept nogil
    cdef object verdict(self, uint32_t seen, low, double age)
