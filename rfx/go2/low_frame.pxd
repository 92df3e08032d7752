from libc.stdint cimport int64_t, uint32_t

from rfx.go2.layout cimport Layout

# What became of the bytes of a state.
cdef enum:
    FRAME_GOOD = 0
    FRAME_LENGTH = 1
    FRAME_HEADER = 2
    FRAME_CHECKSUM = 3

# A state as compiled code wants it; twelve motors in the robot's order.
ctypedef struct low_numbers_t:
    double[12] q
    double[12] dq
    double[12] tau_est
    double[12] temperature
    uint32_t[12] lost
    double[4] quaternion        # wxyz
    double[3] gyroscope
    double[3] accelerometer
    double[4] foot_force        # FR, FL, RR, RL, in the robot's own unit
    double[4] sticks            # lx, ly, rx, ry
    uint32_t keys
    uint32_t tick


cdef class LowFrame:
    cdef Layout state_layout, command_layout
    cdef unsigned char[1280] state          # LowState, LowCmd as C structs
    cdef unsigned char[1024] command
    cdef Py_ssize_t motor, motor_stride, quaternion, gyroscope, accelerometer, foot_force, tick, remote
    cdef Py_ssize_t q, dq, tau, temperature, lost
    cdef Py_ssize_t cmd, cmd_stride, reserve

    cdef int decode(self, const unsigned char* data, Py_ssize_t size, low_numbers_t* out) noexcept nogil
    cdef Py_ssize_t encode(self, const double* command, uint32_t reserve, unsigned char* out) noexcept nogil
