"""Hypothesis strategies for rotations and poses: uniform, from the tangent, near identity, pi and gimbal lock."""

import math

import numpy as np
from hypothesis import strategies as st

from rfx.math import Quaternion, Transform

unit = st.floats(-1.0, 1.0, allow_nan=False)
tiny = st.one_of(st.just(0.0), st.floats(1e-12, 1e-3), st.floats(1e-200, 1e-12))


def _direction(values):
    vector = np.array(values)
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-3 else np.eye(len(values))[0]


def directions(n=3):
    """Unit vectors (n,)."""
    return st.tuples(*[unit] * n).map(_direction)


def vectors(limit=1e3):
    """Vectors (3,) of floats; the smallest may be subnormal."""
    return st.tuples(*[st.floats(-limit, limit, allow_nan=False)] * 3).map(np.array)


def uniform():
    return directions(4).map(lambda q: Quaternion(*q))


def from_tangent(largest=math.pi):
    return st.builds(
        lambda axis, angle: Quaternion.from_rotation_vector(axis * angle), directions(), st.floats(0, largest)
    )


def near_identity():
    return st.builds(lambda axis, angle: Quaternion.from_rotation_vector(axis * angle), directions(), tiny)


def near_pi():
    return st.builds(
        lambda axis, gap, sign: Quaternion.from_rotation_vector(axis * (math.pi + sign * gap)),
        directions(),
        tiny,
        st.sampled_from([-1, 1]),
    )


def near_gimbal_lock():
    angle = st.floats(-math.pi, math.pi)
    return st.builds(
        lambda roll, yaw, gap, sign: Quaternion.from_euler(roll, sign * (math.pi / 2 - gap), yaw),
        angle,
        angle,
        tiny,
        st.sampled_from([-1, 1]),
    )


def quaternions():
    """Quaternions of every kind."""
    return st.one_of(uniform(), from_tangent(), near_identity(), near_pi(), near_gimbal_lock())


def transforms(limit=10.0):
    """Poses with every kind of orientation."""
    return st.builds(lambda p, q: Transform(p, q), vectors(limit), quaternions())
