"""LowState and LowCmd for compiled code: from CDR bytes to numbers and back, checksums included, without allocation."""

from libc.stdint cimport int16_t, uint16_t, uint32_t
from libc.string cimport memcpy

from rfx.kernels.cdr cimport cdr_decode, cdr_encode
from rfx.kernels.crc cimport crc32_mpeg2_words

from rfx import arrays
from rfx.errors import CodecError
from rfx.go2.messages import LowCmd, LowState, MotorCmd, MotorState
from rfx.go2.octets import as_bytes

cdef enum:
    MOTORS = 12
REFUSALS = ("", "another length", "no CDR header", "a wrong checksum")


cdef inline float float_at(const unsigned char* at) noexcept nogil:
    cdef float x
    memcpy(&x, at, 4)
    return x


cdef class LowFrame:
    """A state that was decoded last and a command that is encoded next.

    Examples
    --------
    >>> frame = LowFrame()
    >>> frame.read(LowState(tick=4).to_cdr())["tick"]
    4
    >>> import numpy as np
    >>> LowCmd.from_cdr(frame.write(np.ones((5, 12)), 7)).reserve
    7
    """

    def __cinit__(self):
        cdef Py_ssize_t size
        cdef bytes idle = LowCmd().struct_bytes()
        self.state_layout, self.command_layout = LowState.LAYOUT, LowCmd.LAYOUT
        if self.state_layout.size > 1280 or self.command_layout.size > 1024:
            raise MemoryError("a message is larger than its room")
        state, motor = LowState.LAYOUT.fields, MotorState.LAYOUT.fields
        imu = state["imu_state"].kind.LAYOUT.fields
        self.motor, self.motor_stride = state["motor_state"].offset, state["motor_state"].stride
        self.q, self.dq, self.tau = motor["q"].offset, motor["dq"].offset, motor["tau_est"].offset
        self.temperature, self.lost = motor["temperature"].offset, motor["lost"].offset
        self.quaternion = state["imu_state"].offset + imu["quaternion"].offset
        self.gyroscope = state["imu_state"].offset + imu["gyroscope"].offset
        self.accelerometer = state["imu_state"].offset + imu["accelerometer"].offset
        self.foot_force = state["foot_force"].offset
        self.tick, self.remote = state["tick"].offset, state["wireless_remote"].offset
        command = LowCmd.LAYOUT.fields
        self.cmd = command["motor_cmd"].offset + MotorCmd.LAYOUT.fields["q"].offset  # q, dq, tau, kp, kd are neighbours
        self.cmd_stride, self.reserve = command["motor_cmd"].stride, command["reserve"].offset
        size = len(idle)
        memcpy(self.command, <const char*>idle, size)

    # Decodes and checks a state; `out` is written only where it is good.
    cdef int decode(self, const unsigned char* data, Py_ssize_t size, low_numbers_t* out) noexcept nogil:
        cdef Py_ssize_t body = self.state_layout.cdr_size, words = self.state_layout.size // 4 - 1, i
        cdef unsigned char* at
        cdef uint16_t keys
        cdef int16_t force
        cdef uint32_t crc
        if size < 4 + body or size >= 4 + body + 4:
            return FRAME_LENGTH
        if data[0] != 0 or data[1] > 1:
            return FRAME_HEADER
        cdr_decode(self.state_layout.moves, self.state_layout.n_moves, data + 4, size - 4, 0, data[1] == 0, self.state)
        memcpy(&crc, self.state + 4 * words, 4)
        if crc != crc32_mpeg2_words(self.state, words, 0xFFFFFFFFU):
            return FRAME_CHECKSUM
        for i in range(MOTORS):
            at = self.state + self.motor + i * self.motor_stride
            out.q[i], out.dq[i] = float_at(at + self.q), float_at(at + self.dq)
            out.tau_est[i], out.temperature[i] = float_at(at + self.tau), at[self.temperature]
            memcpy(&out.lost[i], at + self.lost, 4)
        for i in range(4):
            out.quaternion[i] = float_at(self.state + self.quaternion + 4 * i)
            memcpy(&force, self.state + self.foot_force + 2 * i, 2)
            out.foot_force[i] = force
        for i in range(3):
            out.gyroscope[i] = float_at(self.state + self.gyroscope + 4 * i)
            out.accelerometer[i] = float_at(self.state + self.accelerometer + 4 * i)
        # the hand controller: two octets, keys, then lx, rx, ry, L2, ly
        at = self.state + self.remote
        memcpy(&keys, at + 2, 2)
        out.keys = keys
        out.sticks[0], out.sticks[1] = float_at(at + 4), float_at(at + 20)
        out.sticks[2], out.sticks[3] = float_at(at + 8), float_at(at + 12)
        memcpy(&out.tick, self.state + self.tick, 4)
        return FRAME_GOOD

    # Writes a sealed command of (5, 12) numbers q, dq, tau, kp, kd; returns its length.
    cdef Py_ssize_t encode(self, const double* command, uint32_t reserve, unsigned char* out) noexcept nogil:
        cdef Py_ssize_t words = self.command_layout.size // 4 - 1, i, k
        cdef float number
        cdef uint32_t crc
        for i in range(MOTORS):
            for k in range(5):
                number = <float>command[MOTORS * k + i]
                memcpy(self.command + self.cmd + i * self.cmd_stride + 4 * k, &number, 4)
        memcpy(self.command + self.reserve, &reserve, 4)
        crc = crc32_mpeg2_words(self.command, words, 0xFFFFFFFFU)
        memcpy(self.command + 4 * words, &crc, 4)
        out[0], out[1], out[2], out[3] = 0, 1, 0, 0
        cdr_encode(self.command_layout.moves, self.command_layout.n_moves, self.command, out + 4, 0)
        return 4 + self.command_layout.cdr_size

    def read(self, data):
        """Return the numbers of a LowState in CDR bytes; CodecError where they are not one."""
        cdef const unsigned char[::1] source = as_bytes(data)
        cdef low_numbers_t out
        cdef int answer = FRAME_LENGTH
        if source.shape[0]:
            answer = self.decode(&source[0], source.shape[0], &out)
        if answer != FRAME_GOOD:
            raise CodecError(f"expected a LowState of {4 + self.state_layout.cdr_size} bytes, got {REFUSALS[answer]}")
        return out

    def write(self, command, reserve=0):
        """Return a LowCmd as CDR bytes, of q, dq, tau, kp and kd (5, 12) in motor order."""
        cdef unsigned char[1024] out
        cdef const double[:, ::1] numbers = arrays.floats(command, "command", (5, 12)).astype("float64")
        cdef Py_ssize_t n = self.encode(&numbers[0, 0], arrays.integer(reserve, "reserve", minimum=0, maximum=2**32 - 1), out)
        return (<char*>out)[:n]

    def __reduce__(self):
        return LowFrame, ()

    def __repr__(self):
        return f"LowFrame(state={4 + self.state_layout.cdr_size} bytes, command={4 + self.command_layout.cdr_size} bytes)"
