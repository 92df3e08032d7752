"""Compiled face of odometry: how fast the trunk of a Go2 moves, from what the robot itself measures."""

from rfx.kernels.odometry cimport OdometryPlan, odometry_tick

import numpy as np

from rfx import arrays
from rfx.errors import InvalidValueError
from rfx.sim import go2_model


cdef class VelocityEstimator:
    """The trunk's velocity in its own frame, from joints, IMU and foot forces.

    See rfx/kernels/odometry.pyx for the formula. It needs nothing that a robot does not publish in LowState, and serves
    controllers and policies that ask for a base velocity. Threads may share one: updates take turns; compiled code calls its
    C method ``tick`` without the GIL.

    Parameters
    ----------
    light, firm : float
        Force on a foot (N) at which its leg begins to be used, and from which it is trusted in full.
    pull : float
        How quickly the legs correct what the accelerometer gave (1/s).
    doubt : float
        Disagreement (m/s) at which a leg is trusted half.

    Raises
    ------
    InvalidValueError, DTypeError
        Not finite numbers above 0, or ``firm`` not above ``light``.
    """

    def __init__(self, *, light=15.0, firm=60.0, pull=20.0, doubt=0.15):
        light, firm = arrays.number(light, "light", minimum=0.0), arrays.number(firm, "firm", above=0.0)
        pull, doubt = arrays.number(pull, "pull", above=0.0), arrays.number(doubt, "doubt", above=0.0)
        if firm <= light:
            raise InvalidValueError(f"expected firm above light, got {firm} and {light}")
        cdef OdometryPlan* p = &self.plan
        p.shape.hip_x, p.shape.hip_y, p.shape.side = go2_model.HIP_X, go2_model.HIP_Y, go2_model.THIGH_Y
        p.shape.thigh, p.shape.calf, p.shape.foot = go2_model.THIGH_LENGTH, go2_model.CALF_LENGTH, go2_model.FOOT_X
        p.radius, p.light, p.firm, p.pull, p.doubt = go2_model.FOOT_RADIUS, light, firm, pull, doubt
        self.reset()

    cdef bint tick(
        self, const double* q, const double* dq, const double* quaternion, const double* gyro, const double* accel,
        const double* force, double dt
    ) noexcept nogil:
        cdef bint good
        with self.lock:
            good = odometry_tick(&self.plan, q, dq, quaternion, gyro, accel, force, dt, self.v, self.used)
        return good

    def reset(self, velocity=(0.0, 0.0, 0.0)):
        """Start again from a known velocity, shape (3,), in the trunk's frame (m/s)."""
        cdef const double[::1] v = arrays.finite(arrays.floats(velocity, "velocity", (3,), np.float64), "velocity")
        cdef int i
        with self.lock:
            for i in range(3):
                self.v[i] = v[i]
            for i in range(4):
                self.used[i] = 0.0

    def update(self, q, dq, quaternion, gyroscope, accelerometer, foot_force, double dt=0.002):
        """Take one measurement and return the velocity after it.

        Parameters
        ----------
        q, dq : array_like, shape (12,)
            Joint positions and velocities in motor order (rad, rad/s).
        quaternion : array_like, shape (4,)
            wxyz, world from trunk; its heading does not matter.
        gyroscope, accelerometer : array_like, shape (3,)
            In the trunk's frame (rad/s, m/s^2); the accelerometer gives +9.81 along z at rest.
        foot_force : array_like, shape (4,)
            On FR, FL, RR, RL (N).
        dt : float
            Since the last measurement (s), above 0 and at most 0.1.

        Returns
        -------
        ndarray, shape (3,), float64
            In the trunk's frame (m/s).

        Raises
        ------
        InvalidValueError, ShapeError, DTypeError
            Not finite numbers of these shapes; the estimate is as it was.
        """
        cdef const double[::1] a = vector(q, "q", 12), b = vector(dq, "dq", 12), c = vector(quaternion, "quaternion", 4)
        cdef const double[::1] d = vector(gyroscope, "gyroscope", 3), e = vector(accelerometer, "accelerometer", 3)
        cdef const double[::1] f = vector(foot_force, "foot_force", 4)
        arrays.number(dt, "dt", above=0.0, maximum=0.1)
        cdef bint good
        with nogil:
            good = self.tick(&a[0], &b[0], &c[0], &d[0], &e[0], &f[0], dt)
        if not good:
            raise InvalidValueError(f"expected what a robot measures, got dq {dq} and accelerometer {accelerometer}")
        return self.velocity

    @property
    def velocity(self):
        """The estimate, shape (3,), in the trunk's frame (m/s); a copy."""
        cdef double x, y, z
        with self.lock:
            x, y, z = self.v[0], self.v[1], self.v[2]
        return np.array([x, y, z])

    @property
    def trust(self):
        """How much each leg FR, FL, RR, RL was used in the last update, shape (4,), 0 to 1; a copy."""
        cdef double x, y, z, w
        with self.lock:
            x, y, z, w = self.used[0], self.used[1], self.used[2], self.used[3]
        return np.array([x, y, z, w])

    def state_dict(self):
        """Everything that decides how it goes on."""
        return {"velocity": self.velocity}

    def load_state_dict(self, state):
        """Go on from what :meth:`state_dict` gave; InvalidValueError for anything else."""
        try:
            velocity = state["velocity"]
        except (KeyError, TypeError) as error:
            raise InvalidValueError(f"expected a velocity, got {state!r}") from error
        self.reset(velocity)

    def __reduce__(self):
        p = &self.plan
        options = {"light": p.light, "firm": p.firm, "pull": p.pull, "doubt": p.doubt}
        return _rebuild, (options, self.state_dict())

    def __repr__(self):
        x, y, z = self.velocity
        return f"VelocityEstimator(vx={x:.3f}, vy={y:.3f}, vz={z:.3f})"


def _rebuild(options, state):
    made = VelocityEstimator(**options)
    made.load_state_dict(state)
    return made


cdef object vector(value, name, size):
    return arrays.finite(arrays.floats(value, name, (size,), np.float64), name)
