"""Poses in space: rotation and translation."""

cimport cython
from libc.math cimport fabs, isfinite

from rfx.kernels.pose cimport (
    pose_adjoint,
    pose_apply,
    pose_compose,
    pose_exp,
    pose_inverse,
    pose_log,
    vec3_add,
)
from rfx.kernels.quaternion cimport (
    matrix_error,
    quat_angle,
    quat_from_euler,
    quat_from_matrix,
    quat_make,
    quat_rotate,
    quat_slerp,
    quat_to_euler,
    quat_to_matrix,
    vec3_make,
    vec3_norm,
)
from rfx.kernels.types cimport Mat3, Pose, Quat, Vec3
from rfx.math.quaternion cimport Quaternion, quaternion_of
from rfx.math.vectors cimport affine_rows, make3, make_matrix, read3, real_number, take3

import numpy as np

from rfx.arrays import finite, floats, number
from rfx.errors import DTypeError, InvalidStateError, InvalidValueError


cdef Transform transform_of(Pose pose):
    """Wrap a pose whose quaternion is of unit length; InvalidValueError where a position overflowed."""
    cdef Transform result
    if not (isfinite(pose.p.x) and isfinite(pose.p.y) and isfinite(pose.p.z)):
        raise InvalidValueError("expected a position that stays within the range of a float, got one that overflows")
    result = Transform.__new__(Transform)
    result.pose = pose
    result.made = True
    return result


cdef Transform checked(object other, str name):
    if type(other) is not Transform:
        raise DTypeError(f"expected {name} to be a Transform, got {type(other).__name__}")
    return <Transform>other


cdef object move(Pose pose, object points, object out):
    cdef Vec3 v
    cdef Mat3 m
    if out is None and read3(points, &v):
        return make3(pose_apply(pose, v))
    m = quat_to_matrix(pose.q)
    return affine_rows(m.m, &pose.p.x, points, "point", out)


@cython.final
@cython.freelist(64)
cdef class Transform:
    """Move points: ``T_world_body.transform_point(p_body)`` is ``p_world = R p_body + p``.

    ``a * b``, ``a @ b`` and ``a.compose(b)`` are the same: apply b first, then a. Immutable and hashable. Metres and
    radians. A twist is (6,): linear part first, then angular, ``[vx, vy, vz, wx, wy, wz]``, as in pinocchio.

    Parameters
    ----------
    position : array_like, shape (3,), optional
        Position of the body's origin in the world; zero if left out.
    orientation : Quaternion, optional
        Orientation of the body in the world; identity if left out.

    Raises
    ------
    InvalidValueError, ShapeError, DTypeError
        A position that is not three finite numbers; an orientation that is not a Quaternion.
    """

    __array_ufunc__ = None

    def __cinit__(self):
        self.pose.p = vec3_make(0.0, 0.0, 0.0)
        self.pose.q = quat_make(1.0, 0.0, 0.0, 0.0)

    def __init__(self, position=None, orientation=None):
        cdef Pose pose = self.pose
        if self.made:
            raise InvalidStateError("a Transform is immutable: it cannot be initialised again")
        if position is not None:
            take3(position, "position", &pose.p)
        if orientation is not None:
            if type(orientation) is not Quaternion:
                raise DTypeError(f"expected orientation to be a Quaternion, got {type(orientation).__name__}")
            pose.q = (<Quaternion>orientation).q
        self.pose = pose
        self.made = True

    @staticmethod
    def identity():
        """Return the pose that leaves everything in place."""
        return Transform()

    @staticmethod
    def from_position(x, y, z):
        """Return the pose at (x, y, z), not rotated."""
        cdef Pose pose
        pose.p = vec3_make(real_number(x, "x"), real_number(y, "y"), real_number(z, "z"))
        pose.q = quat_make(1.0, 0.0, 0.0, 0.0)
        return transform_of(pose)

    @staticmethod
    def from_euler(position, roll, pitch, yaw):
        """Return the pose at ``position`` (3,), rotated by qz(yaw) qy(pitch) qx(roll)."""
        cdef Pose pose
        take3(position, "position", &pose.p)
        pose.q = quat_from_euler(real_number(roll, "roll"), real_number(pitch, "pitch"), real_number(yaw, "yaw"))
        return transform_of(pose)

    @staticmethod
    def from_matrix(matrix, atol=1e-6):
        """Return the pose of a homogeneous matrix (4, 4).

        Raises
        ------
        InvalidValueError
            The last row is not (0, 0, 0, 1), or an entry of ``R @ R.T - 1`` is larger than ``atol``, or R reflects.
        """
        cdef Pose pose
        cdef double[9] r
        cdef double error, tolerance = number(atol, "atol", minimum=0.0)
        cdef int i, j
        cdef list m = finite(floats(matrix, "matrix", (4, 4), np.float64), "matrix").tolist()
        for i in range(3):
            for j in range(3):
                r[3 * i + j] = m[i][j]
        error = matrix_error(r)
        if not error <= tolerance:
            raise InvalidValueError(f"expected matrix to hold a rotation within {tolerance:g}, got one off by {error:g}")
        for j in range(4):
            if not fabs(<double>m[3][j] - (j == 3)) <= tolerance:
                raise InvalidValueError(f"expected the last row of matrix to be [0, 0, 0, 1], got {m[3]}")
        pose.p = vec3_make(m[0][3], m[1][3], m[2][3])
        pose.q = quat_from_matrix(r)
        return transform_of(pose)

    @staticmethod
    def exp(twist):
        """Return the motion of a constant twist (6,), ``[v, w]``, over unit time: the exponential map of SE(3)."""
        cdef double[6] xi
        cdef int i
        cdef list values = finite(floats(twist, "twist", (6,), np.float64), "twist").tolist()
        for i in range(6):
            xi[i] = values[i]
        if not isfinite(vec3_norm(vec3_make(xi[3], xi[4], xi[5]))):
            raise InvalidValueError("expected the angular part of twist to have a finite length, got one that overflows")
        return transform_of(pose_exp(xi))

    def log(self):
        """Return the twist (6,), ``[v, w]``, whose exponential this is; |w| is at most pi."""
        cdef double[6] xi
        pose_log(self.pose, xi)
        return finite(make_matrix(xi, 0, 6), "the logarithm")

    def adjoint(self):
        """Return the matrix (6, 6) ``[[R, [p] R], [0, R]]`` that moves twists ``[v, w]`` from the body to the world.

        ``T * Transform.exp(twist) == Transform.exp(T.adjoint() @ twist) * T``.
        """
        cdef double[36] m
        pose_adjoint(self.pose, m)
        return finite(make_matrix(m, 6, 6), "the adjoint")

    @property
    def position(self):
        """A new float64 array (3,)."""
        return make3(self.pose.p)

    @property
    def orientation(self):
        """The Quaternion."""
        return quaternion_of(self.pose.q)

    @property
    def x(self):
        """First coordinate of the position."""
        return self.pose.p.x

    @property
    def y(self):
        """Second coordinate of the position."""
        return self.pose.p.y

    @property
    def z(self):
        """Third coordinate of the position."""
        return self.pose.p.z

    @property
    def roll(self):
        """Rotation about x, in (-pi, pi]; see Quaternion.to_euler."""
        return quat_to_euler(self.pose.q).x

    @property
    def pitch(self):
        """Rotation about y, in [-pi/2, pi/2]; see Quaternion.to_euler."""
        return quat_to_euler(self.pose.q).y

    @property
    def yaw(self):
        """Rotation about z, in (-pi, pi]; see Quaternion.to_euler."""
        return quat_to_euler(self.pose.q).z

    def to_matrix(self):
        """Return the homogeneous float64 matrix (4, 4)."""
        cdef Mat3 r = quat_to_matrix(self.pose.q)
        cdef double* p = &self.pose.p.x
        cdef double[16] m
        cdef int i, j
        for i in range(3):
            for j in range(3):
                m[4 * i + j] = r.m[3 * i + j]
            m[4 * i + 3] = p[i]
            m[12 + i] = 0.0
        m[15] = 1.0
        return make_matrix(m, 4, 4)

    def compose(self, other):
        """Return the pose that applies ``other`` first, then self."""
        return transform_of(pose_compose(self.pose, checked(other, "other").pose))

    def __mul__(self, other):
        if type(other) is Transform:
            return transform_of(pose_compose(self.pose, (<Transform>other).pose))
        if isinstance(other, (np.ndarray, list, tuple)):
            return move(self.pose, other, None)
        return NotImplemented

    def __matmul__(self, other):
        if type(other) is Transform:
            return transform_of(pose_compose(self.pose, (<Transform>other).pose))
        if isinstance(other, (np.ndarray, list, tuple)):
            return move(self.pose, other, None)
        return NotImplemented

    def inverse(self):
        """Return the pose back: (-R^T p, R^T)."""
        return transform_of(pose_inverse(self.pose))

    def transform_point(self, point, out=None):
        """Return R point + p.

        Parameters
        ----------
        point : array_like, shape (3,) or (N, 3)
            Finite numbers. Rows of float32 are computed in double and returned as float32.
        out : ndarray, optional
            C-contiguous, of the shape and dtype of the result, not overlapping ``point``; returned. After an error its
            content is undefined.

        Returns
        -------
        ndarray
            One point gives float64 of shape (3,), rows give (N, 3) in their own dtype.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Other shapes; not real numbers; not finite, or too large to be moved.
        """
        return move(self.pose, point, out)

    def transform_vector(self, vector, out=None):
        """Return R vector: directions and velocities are rotated, not moved. As transform_point otherwise."""
        cdef Vec3 v
        cdef Mat3 m
        cdef double[3] zero
        if out is None and read3(vector, &v):
            return make3(quat_rotate(self.pose.q, v))
        m = quat_to_matrix(self.pose.q)
        zero[0] = zero[1] = zero[2] = 0.0
        return affine_rows(m.m, zero, vector, "vector", out)

    def lerp(self, other, t):
        """Interpolate: the position along the straight line, the orientation by slerp.

        ``t`` = 0 gives self, 1 gives ``other`` (its quaternion up to sign). Not clamped.
        """
        cdef Pose a = self.pose, b = checked(other, "other").pose, r
        cdef double s = real_number(t, "t")
        if not fabs(s) <= 1e300:
            number(t, "t", minimum=-1e300, maximum=1e300)
        if s == 1.0:
            r.p = b.p
        else:
            r.p = vec3_add(a.p, vec3_make(s * (b.p.x - a.p.x), s * (b.p.y - a.p.y), s * (b.p.z - a.p.z)))
        r.q = quat_slerp(a.q, b.q, s)
        return transform_of(r)

    def is_close(self, other, atol=1e-9):
        """Return whether each coordinate differs by at most ``atol`` metres and the rotation by ``atol`` radians."""
        cdef Pose a = self.pose, b = checked(other, "other").pose
        cdef double limit = number(atol, "atol", minimum=0.0)
        cdef bint near = (
            fabs(a.p.x - b.p.x) <= limit and fabs(a.p.y - b.p.y) <= limit and fabs(a.p.z - b.p.z) <= limit
        )
        return near and quat_angle(a.q, b.q) <= limit

    def __eq__(self, other):
        if type(other) is not Transform:
            return NotImplemented
        cdef Vec3 p = self.pose.p, r = (<Transform>other).pose.p
        cdef Quat a = self.pose.q, b = (<Transform>other).pose.q
        return (p.x == r.x and p.y == r.y and p.z == r.z) and (a.w == b.w and a.x == b.x and a.y == b.y and a.z == b.z)

    def __hash__(self):
        cdef Pose a = self.pose
        return hash((a.p.x, a.p.y, a.p.z, a.q.w, a.q.x, a.q.y, a.q.z))

    def __repr__(self):
        cdef Vec3 p = self.pose.p, e = quat_to_euler(self.pose.q)
        return f"Transform(pos=[{p.x:.3f}, {p.y:.3f}, {p.z:.3f}], rpy=[{e.x:.3f}, {e.y:.3f}, {e.z:.3f}])"

    def __reduce__(self):
        return Transform, ((self.pose.p.x, self.pose.p.y, self.pose.p.z), quaternion_of(self.pose.q))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self
