"""Quaternions and poses: one, and a million."""

import numpy as np

from rfx import Quaternion, Transform
from rfx.math import quat_rotate

q = Quaternion.from_euler(0.1, 0.2, 0.3)  # roll, pitch, yaw (rad)
print("rotated:", q.rotate_vector([1.0, 0.0, 0.0]).round(5))
print("halfway:", Quaternion.identity().slerp(q, 0.5))

T_world_body = Transform([1.0, 0.0, 0.3], q)
T_body_camera = Transform.from_position(0.3, 0.0, 0.05)
print("camera in the world:", (T_world_body @ T_body_camera).position.round(4))

points = np.random.default_rng(0).normal(size=(1_000_000, 3))
print("a million points:", quat_rotate(q.to_wxyz(), points).shape)
