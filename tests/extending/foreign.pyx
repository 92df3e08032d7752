"""A module outside of rfx that works with its kernels and its classes."""

from libc.stdlib cimport free, malloc

from rfx.kernels.pose cimport pose_compose, pose_inverse
from rfx.kernels.quaternion cimport quat_from_euler, quat_mul, quat_rotate, quat_rotate_n, quat_slerp, vec3_make
from rfx.kernels.types cimport Pose, Quat, Vec3
from rfx.math.quaternion cimport Quaternion, quaternion_of


def turned(double roll, double pitch, double yaw, double x, double y, double z):
    """Rotate one vector; no Python object is made on the way."""
    cdef Vec3 v
    with nogil:
        v = quat_rotate(quat_from_euler(roll, pitch, yaw), vec3_make(x, y, z))
    return v.x, v.y, v.z


def many_turned(double yaw, int n):
    """Rotate n unit vectors along x by the array loop, in float32."""
    cdef Quat q = quat_from_euler(0.0, 0.0, yaw)
    cdef float[4] rotation
    cdef float* v = <float*>malloc(6 * n * sizeof(float))
    cdef int i, bad
    rotation[0], rotation[1], rotation[2], rotation[3] = <float>q.w, <float>q.x, <float>q.y, <float>q.z
    for i in range(3 * n):
        v[i] = 1.0 if i % 3 == 0 else 0.0
    bad = quat_rotate_n[float](rotation, 0, v, 3, v + 3 * n, n)
    result = [(v[3 * n + 3 * i], v[3 * n + 3 * i + 1], v[3 * n + 3 * i + 2]) for i in range(n)]
    free(v)
    return bad, result


def back_and_forth(double x, double yaw):
    """Compose a pose with its inverse."""
    cdef Pose a, b
    a.p = vec3_make(x, 0.0, 0.0)
    a.q = quat_from_euler(0.0, 0.0, yaw)
    b = pose_compose(a, pose_inverse(a))
    return b.p.x, b.p.y, b.p.z, b.q.w


def halfway(Quaternion a not None, Quaternion b not None):
    """Take and give the Python class, with its storage in between."""
    return quaternion_of(quat_mul(a.q, quat_slerp(a.q, b.q, 0.5)))
