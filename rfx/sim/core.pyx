"""Compiled faces of the simulation: the motor law, the joint-space plant, and the ray caster behind the pictures."""

import numpy as np

from rfx import arrays
from rfx.errors import InvalidValueError, ShapeError
from rfx.kernels.motor cimport joint_step, motor_law as motor_law_kernel
from rfx.kernels.raycast cimport SHAPE_SIZE, raycast

_ROWS = ("q", "dq", "tau", "kp", "kd")


def motor_law(
    const double[:, ::1] command not None, const unsigned char[::1] enabled not None, double[:, ::1] out not None
):
    """Turn a motor command into the three numbers of each motor's law; see rfx.kernels.motor.

    Parameters
    ----------
    command : ndarray, shape (5, N), float64
        Rows q, dq, tau, kp, kd. q >= 2.146e9 or dq >= 16000 leave their term out.
    enabled : ndarray, shape (N,), uint8 or bool
        A motor that is not enabled gives no torque.
    out : ndarray, shape (N, 3), float64
        offset, kp, kd; untouched when an error is raised.

    Raises
    ------
    InvalidValueError
        A number is not finite, or a gain is negative.
    ShapeError
        The lengths differ.
    """
    cdef Py_ssize_t n = enabled.shape[0], bad = -1
    if command.shape[0] != 5 or command.shape[1] != n or out.shape[0] != n or out.shape[1] != 3:
        raise ShapeError(
            f"expected command (5, {n}) and out ({n}, 3), got ({command.shape[0]}, {command.shape[1]}) "
            f"and ({out.shape[0]}, {out.shape[1]})"
        )
    if n > 0:
        with nogil:
            bad = motor_law_kernel(&command[0, 0], &enabled[0], &out[0, 0], n)
    if bad >= 0:
        what = "at least 0 and finite" if bad >= 3 * n else "finite"
        raise InvalidValueError(f"expected {_ROWS[bad // n]}[{bad % n}] to be {what}, got {command[bad // n, bad % n]}")


def step_joints(
    double[:, ::1] state not None, const double[:, ::1] law not None, const double[:, ::1] plant not None,
    double h, Py_ssize_t steps,
):
    """Step joints that have inertia, friction and limits, each alone, ``steps`` times by ``h`` seconds.

    Parameters
    ----------
    state : ndarray, shape (4, N), float64
        Rows q, dq, ddq, torque; updated in place.
    law : ndarray, shape (N, 3), float64
        From :func:`motor_law`.
    plant : ndarray, shape (N, 6), float64
        Inertia, viscous friction, Coulomb friction, torque limit, lower and upper end of travel.

    Raises
    ------
    ShapeError
        The lengths differ.
    InvalidValueError
        h is not above 0, or an inertia is not.
    """
    cdef Py_ssize_t n = state.shape[1], i, _
    if state.shape[0] != 4 or law.shape[0] != n or law.shape[1] != 3 or plant.shape[0] != n or plant.shape[1] != 6:
        raise ShapeError(f"expected state (4, N), law (N, 3) and plant (N, 6) with one N, got N = {n}")
    if not h > 0.0:
        raise InvalidValueError(f"expected h to be greater than 0, got {h}")
    for i in range(n):
        if not plant[i, 0] > 0.0:
            raise InvalidValueError(f"expected the inertia of joint {i} to be greater than 0, got {plant[i, 0]}")
    if n == 0:
        return
    with nogil:
        for _ in range(steps):
            joint_step(&state[0, 0], &state[1, 0], &state[2, 0], &state[3, 0], &law[0, 0], &plant[0, 0], h, n)


def cast_rays(shapes, origins, directions):
    """Find the nearest shape along each ray; see rfx.kernels.raycast for what a shape is.

    Parameters
    ----------
    shapes : array_like, shape (M, 17), float64
    origins : array_like, shape (3,) or (N, 3), float64
        One start for all rays, or one each.
    directions : array_like, shape (N, 3), float64
        Of length one.

    Returns
    -------
    distance : ndarray, shape (N,), float64
        Infinity where nothing is met.
    index : ndarray, shape (N,), int32
        Row of ``shapes``, or -1.
    normal : ndarray, shape (N, 3), float64
        Outward, in the world; zero where nothing is met.

    Raises
    ------
    ShapeError, DTypeError
        Not arrays of these shapes.
    """
    cdef const double[:, ::1] s = arrays.floats(shapes, "shapes", (None, SHAPE_SIZE), np.float64)
    cdef const double[:, ::1] d = arrays.floats(directions, "directions", (None, 3), np.float64)
    cdef Py_ssize_t n = d.shape[0], m = s.shape[0]
    cdef Py_ssize_t stride = 0 if np.ndim(origins) == 1 else 3
    start = arrays.floats(origins, "origins", [n, 3] if stride else [3], np.float64).reshape(-1, 3)
    cdef const double[:, ::1] o = start
    distance = np.empty(n)
    index = np.empty(n, np.int32)
    normal = np.empty((n, 3))
    cdef double[::1] t = distance
    cdef int[::1] w = index
    cdef double[:, ::1] v = normal
    if n > 0:
        with nogil:
            raycast(&s[0, 0] if m > 0 else NULL, m, &o[0, 0], stride, &d[0, 0], &t[0], &w[0], &v[0, 0], n)
    return distance, index, normal
