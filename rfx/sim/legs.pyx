"""Compiled face of the legs: where the feet are, how they move, which joints put them somewhere, how they share a load."""

from rfx.kernels.balance cimport share_wrench
from rfx.kernels.leg cimport LegShape, leg_forward, leg_inverse, leg_jacobian

import numpy as np

from rfx import arrays
from rfx.errors import InvalidValueError
from rfx.sim import go2_model

cdef LegShape SHAPE
SHAPE.hip_x, SHAPE.hip_y, SHAPE.side = go2_model.HIP_X, go2_model.HIP_Y, go2_model.THIGH_Y
SHAPE.thigh, SHAPE.calf, SHAPE.foot = go2_model.THIGH_LENGTH, go2_model.CALF_LENGTH, go2_model.FOOT_X


cdef object twelve(value, name):
    return arrays.finite(arrays.floats(value, name, (12,)), name).astype(np.float64, copy=False)


def feet_of(q):
    """Centres of the feet FR, FL, RR, RL in the trunk's frame.

    Parameters
    ----------
    q : array_like, shape (12,)
        Joint positions in motor order (rad).

    Returns
    -------
    ndarray, shape (4, 3), float64
        In metres.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not twelve finite numbers.
    """
    cdef const double[::1] angles = twelve(q, "q")
    feet = np.empty((4, 3))
    cdef double[:, ::1] out = feet
    with nogil:
        leg_forward(&SHAPE, &angles[0], &out[0, 0])
    return feet


def jacobians_of(q):
    """How the feet move with the joints: d foot / d q of each leg, in the trunk's frame.

    Parameters
    ----------
    q : array_like, shape (12,)
        Joint positions in motor order (rad).

    Returns
    -------
    ndarray, shape (4, 3, 3), float64
        [leg, axis, joint], m/rad.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not twelve finite numbers.
    """
    cdef const double[::1] angles = twelve(q, "q")
    jacobian = np.empty((4, 3, 3))
    cdef double[:, :, ::1] out = jacobian
    with nogil:
        leg_jacobian(&SHAPE, &angles[0], &out[0, 0, 0])
    return jacobian


def joints_for(feet):
    """Joint positions that put the feet where they are wanted, knees bent backwards.

    Parameters
    ----------
    feet : array_like, shape (4, 3)
        Centres of the feet FR, FL, RR, RL in the trunk's frame (m), below the hips.

    Returns
    -------
    ndarray, shape (12,), float64
        In motor order (rad). They may lie outside of the joints' travel.

    Raises
    ------
    InvalidValueError
        Not finite, or a leg does not reach so far; the text names the legs.
    ShapeError, DTypeError
        Not four points.
    """
    places = arrays.finite(arrays.floats(feet, "feet", (4, 3)), "feet").astype(np.float64, copy=False)
    cdef const double[:, ::1] p = places
    angles = np.empty(12)
    cdef double[::1] out = angles
    cdef int missed, leg
    with nogil:
        missed = leg_inverse(&SHAPE, &p[0, 0], &out[0])
    if missed or not np.isfinite(angles).all():
        legs = ", ".join([go2_model.LEGS[leg] for leg in range(4) if missed >> leg & 1])
        raise InvalidValueError(f"expected feet within reach, got {places.tolist()}; out of reach: {legs}")
    return angles


def ground_forces(feet, weight, wrench, slack, double friction=0.6, double most=250.0):
    """Share a wrench on the trunk among feet on the floor; see rfx.kernels.balance for what is minimised.

    Parameters
    ----------
    feet : array_like, shape (4, 3)
        From the centre of mass (m).
    weight : array_like, shape (4,)
        How far each foot may be used, at least 0.
    wrench : array_like, shape (6,)
        Force (N) and moment (Nm).
    slack : array_like, shape (6,)
        How little each part of the wrench matters, above 0.
    friction, most : float
        A force stays within 0..most (N) upwards, and sideways within ``friction`` times that.

    Returns
    -------
    ndarray, shape (4, 3), float64
        Forces of the floor on the feet (N).

    Raises
    ------
    InvalidValueError, ShapeError, DTypeError
        Not finite numbers of these shapes, a negative weight, a slack of 0 or less.
    """
    cdef const double[:, ::1] r = arrays.finite(arrays.floats(feet, "feet", (4, 3), np.float64), "feet")
    cdef const double[::1] w = arrays.finite(arrays.floats(weight, "weight", (4,), np.float64), "weight")
    cdef const double[::1] b = arrays.finite(arrays.floats(wrench, "wrench", (6,), np.float64), "wrench")
    cdef const double[::1] s = arrays.finite(arrays.floats(slack, "slack", (6,), np.float64), "slack")
    if np.min(w) < 0.0 or np.min(s) <= 0.0:
        raise InvalidValueError(f"expected weights of at least 0 and slack above 0, got {weight} and {slack}")
    force = np.empty((4, 3))
    cdef double[:, ::1] out = force
    cdef bint good
    with nogil:
        good = share_wrench(&r[0, 0], &w[0], &b[0], &s[0], friction, most, &out[0, 0])
    if not good:
        raise InvalidValueError(f"expected feet of a robot, got {feet}")
    return force
