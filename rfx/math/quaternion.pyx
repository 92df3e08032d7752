"""Rotations as unit quaternions."""

cimport cython
from libc.math cimport M_PI, fabs, isfinite, sqrt

from rfx.kernels.quaternion cimport (
    matrix_error,
    quat_angle,
    quat_conjugate,
    quat_dot,
    quat_exp,
    quat_from_axis_angle,
    quat_from_euler,
    quat_from_matrix,
    quat_log,
    quat_make,
    quat_mul,
    quat_normalize,
    quat_rotate,
    quat_slerp,
    quat_tidy,
    quat_to_euler,
    quat_to_matrix,
    vec3_make,
    vec3_norm,
)
from rfx.kernels.types cimport Mat3, Quat, Vec3
from rfx.math.vectors cimport affine_rows, make3, make_matrix, read3, real_number, take3

import numpy as np

from rfx.arrays import finite, floats, number
from rfx.errors import DTypeError, InvalidStateError, InvalidValueError, ShapeError


cdef Quaternion quaternion_of(Quat q):
    """Wrap a quaternion that is of unit length already."""
    cdef Quaternion result = Quaternion.__new__(Quaternion)
    result.q = q
    result.made = True
    return result


cdef Quaternion normalized(double w, double x, double y, double z):
    cdef Quat q = quat_make(w, x, y, z)
    if not quat_normalize(&q):
        raise InvalidValueError(f"expected a quaternion that can be normalised, got ({w:g}, {x:g}, {y:g}, {z:g})")
    return quaternion_of(q)


cdef Quaternion checked(object other, str name):
    if type(other) is not Quaternion:
        raise DTypeError(f"expected {name} to be a Quaternion, got {type(other).__name__}")
    return <Quaternion>other


cdef object rotate(Quat q, object vector, object out):
    cdef Vec3 v
    cdef Mat3 m
    cdef double[3] zero
    if out is None and read3(vector, &v):
        return make3(quat_rotate(q, v))
    m = quat_to_matrix(q)
    zero[0] = zero[1] = zero[2] = 0.0
    return affine_rows(m.m, zero, vector, "vector", out)


@cython.final
@cython.freelist(64)
cdef class Quaternion:
    """Rotate vectors: a unit quaternion ``w + x i + y j + z k``, scalar first, Hamilton's product.

    ``q.rotate_vector(v)`` is q v q*; ``(a * b)`` rotates by b first, then by a. Immutable and hashable. Angles are in
    radians. ``q`` and ``-q`` are the same rotation but compare unequal; ``is_close`` takes them for equal.

    Parameters
    ----------
    w, x, y, z : float
        Finite numbers, normalised here. Products and inverses stay of unit length within 2e-15.

    Raises
    ------
    InvalidValueError
        A component is not finite, or all are zero or subnormal.
    DTypeError
        A component is not a real number.

    Examples
    --------
    >>> Quaternion.from_euler(0.1, 0.2, 0.3).rotate_vector([1, 0, 0]).round(5).tolist()
    [0.93629, 0.28963, -0.19867]
    """

    __array_ufunc__ = None  # so that `array * q` is a TypeError instead of a product of numbers

    def __cinit__(self):
        self.q = quat_make(1.0, 0.0, 0.0, 0.0)

    def __init__(self, w=1.0, x=0.0, y=0.0, z=0.0):
        if self.made:
            raise InvalidStateError("a Quaternion is immutable: it cannot be initialised again")
        cdef Quat q = quat_make(real_number(w, "w"), real_number(x, "x"), real_number(y, "y"), real_number(z, "z"))
        if not quat_normalize(&q):
            raise InvalidValueError(f"expected a quaternion that can be normalised, got ({w}, {x}, {y}, {z})")
        self.q = q
        self.made = True

    @staticmethod
    def identity():
        """Return the rotation that leaves everything in place."""
        return quaternion_of(quat_make(1.0, 0.0, 0.0, 0.0))

    @staticmethod
    def from_wxyz(values):
        """Return the quaternion of four numbers, scalar first, normalised."""
        cdef double w, x, y, z
        w, x, y, z = finite(floats(values, "values", (4,), np.float64), "values").tolist()
        return normalized(w, x, y, z)

    @staticmethod
    def from_xyzw(values):
        """Return the quaternion of four numbers, scalar last (ROS, scipy), normalised."""
        cdef double w, x, y, z
        x, y, z, w = finite(floats(values, "values", (4,), np.float64), "values").tolist()
        return normalized(w, x, y, z)

    @staticmethod
    def from_euler(roll, pitch, yaw):
        """Return qz(yaw) qy(pitch) qx(roll): intrinsic Z-Y-X, which is extrinsic x-y-z."""
        return quaternion_of(
            quat_from_euler(real_number(roll, "roll"), real_number(pitch, "pitch"), real_number(yaw, "yaw"))
        )

    @staticmethod
    def from_axis_angle(axis, angle):
        """Return the right-handed rotation by ``angle`` about ``axis`` (3,), which need not be of unit length."""
        cdef Vec3 v
        cdef double a = real_number(angle, "angle")
        take3(axis, "axis", &v)
        if max(fabs(v.x), fabs(v.y), fabs(v.z)) < 2.2250738585072014e-308:
            raise InvalidValueError(f"expected axis to have a direction, got ({v.x:g}, {v.y:g}, {v.z:g})")
        return quaternion_of(quat_from_axis_angle(v, a))

    @staticmethod
    def from_rotation_vector(vector):
        """Return the rotation about ``vector`` (3,) by its length: the exponential map of SO(3)."""
        cdef Vec3 v
        take3(vector, "vector", &v)
        if not isfinite(vec3_norm(v)):
            raise InvalidValueError("expected vector to have a finite length, got one that overflows")
        return quaternion_of(quat_exp(v))

    @staticmethod
    def exp(vector):
        """Return the exponential of a rotation vector; another name of from_rotation_vector."""
        return Quaternion.from_rotation_vector(vector)

    @staticmethod
    def from_rotation_matrix(matrix, atol=1e-6):
        """Return the rotation of a (3, 3) matrix; the largest component comes out positive.

        Raises
        ------
        InvalidValueError
            An entry of ``matrix @ matrix.T - 1`` is larger than ``atol``, or the determinant is negative.
        """
        cdef Quat q
        cdef double[9] m
        cdef double tolerance = number(atol, "atol", minimum=0.0), error
        cdef int i
        cdef list entries = finite(floats(matrix, "matrix", (3, 3), np.float64), "matrix").ravel().tolist()
        for i in range(9):
            m[i] = entries[i]
        error = matrix_error(m)
        if not error <= tolerance:
            raise InvalidValueError(f"expected matrix to be a rotation within {tolerance:g}, got one off by {error:g}")
        q = quat_from_matrix(m)
        return quaternion_of(q)

    @staticmethod
    def from_scipy(rotation):
        """Return the quaternion of one scipy.spatial.transform.Rotation."""
        from scipy.spatial.transform import Rotation

        if not isinstance(rotation, Rotation):
            raise DTypeError(f"expected rotation to be a scipy Rotation, got {type(rotation).__name__}")
        values = rotation.as_quat()
        if values.shape != (4,):
            raise ShapeError(f"expected a single rotation, got quaternions of shape {values.shape}")
        return Quaternion.from_xyzw(values)

    @property
    def w(self):
        """Scalar part: the cosine of half the angle."""
        return self.q.w

    @property
    def x(self):
        """First component of the vector part."""
        return self.q.x

    @property
    def y(self):
        """Second component of the vector part."""
        return self.q.y

    @property
    def z(self):
        """Third component of the vector part."""
        return self.q.z

    @property
    def roll(self):
        """Rotation about x, in (-pi, pi]; see to_euler."""
        return quat_to_euler(self.q).x

    @property
    def pitch(self):
        """Rotation about y, in [-pi/2, pi/2]; see to_euler."""
        return quat_to_euler(self.q).y

    @property
    def yaw(self):
        """Rotation about z, in (-pi, pi]; see to_euler."""
        return quat_to_euler(self.q).z

    def to_wxyz(self):
        """Return a float64 array (4,), scalar first."""
        return make_matrix(&self.q.w, 0, 4)

    def to_xyzw(self):
        """Return a float64 array (4,), scalar last (ROS, scipy)."""
        cdef Quat q = quat_make(self.q.x, self.q.y, self.q.z, self.q.w)
        return make_matrix(&q.w, 0, 4)

    def to_euler(self):
        """Return (roll, pitch, yaw) of ``qz(yaw) qy(pitch) qx(roll)``; roll and yaw in (-pi, pi], pitch in [-pi/2, pi/2].

        At gimbal lock (pitch within 1e-14 of +-pi/2) only one of roll and yaw is defined: yaw is 0, roll has it all.
        """
        cdef Vec3 e = quat_to_euler(self.q)
        return (e.x, e.y, e.z)

    def to_axis_angle(self):
        """Return (axis, angle): a unit vector (3,) and an angle in [0, pi]. The identity has axis (0, 0, 1)."""
        cdef Vec3 v = vec3_make(self.q.x, self.q.y, self.q.z)
        cdef double angle = vec3_norm(quat_log(self.q))
        cdef Quat unit = quat_make(0.0, v.x, v.y, v.z)
        if not quat_normalize(&unit):
            return make3(vec3_make(0.0, 0.0, 1.0)), 0.0
        if self.q.w < 0.0:
            unit = quat_make(0.0, -unit.x, -unit.y, -unit.z)
        return make3(vec3_make(unit.x, unit.y, unit.z)), min(angle, M_PI)

    def to_rotation_vector(self):
        """Return axis times angle (3,), of length at most pi: the logarithm of SO(3)."""
        return make3(quat_log(self.q))

    def log(self):
        """Return the logarithm as a rotation vector (3,); another name of to_rotation_vector."""
        return make3(quat_log(self.q))

    def to_rotation_matrix(self):
        """Return the float64 matrix (3, 3) with ``matrix @ v == q.rotate_vector(v)``."""
        cdef Mat3 r = quat_to_matrix(self.q)
        return make_matrix(r.m, 3, 3)

    def to_scipy(self):
        """Return a scipy.spatial.transform.Rotation."""
        from scipy.spatial.transform import Rotation

        return Rotation.from_quat(self.to_xyzw())

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("a Quaternion is not an array: it cannot be one without a copy")
        return self.to_wxyz() if dtype is None else self.to_wxyz().astype(dtype)

    def __mul__(self, other):
        if type(other) is Quaternion:
            return quaternion_of(quat_tidy(quat_mul(self.q, (<Quaternion>other).q)))
        if isinstance(other, (np.ndarray, list, tuple)):
            return rotate(self.q, other, None)
        return NotImplemented

    def rotate_vector(self, vector, out=None):
        """Return q v q*.

        Parameters
        ----------
        vector : array_like, shape (3,) or (N, 3)
            Finite numbers. Rows of float32 are computed in double and returned as float32.
        out : ndarray, optional
            C-contiguous, of the shape and dtype of the result, not overlapping ``vector``; returned. After an error its
            content is undefined.

        Returns
        -------
        ndarray
            One vector gives float64 of shape (3,), rows give (N, 3) in their own dtype.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Other shapes; not real numbers; not finite, or too large to be rotated.
        """
        return rotate(self.q, vector, out)

    def inverse(self):
        """Return the rotation back: the conjugate, as the length is 1."""
        return quaternion_of(quat_conjugate(self.q))

    def conjugate(self):
        """Return (w, -x, -y, -z)."""
        return quaternion_of(quat_conjugate(self.q))

    def norm(self):
        """Return the length, which is 1 within 2e-15."""
        return sqrt(quat_dot(self.q, self.q))

    def dot(self, other):
        """Return the scalar product of the four components: the cosine of half the angle between, up to sign."""
        return quat_dot(self.q, checked(other, "other").q)

    def angular_distance(self, other):
        """Return the angle of the rotation from one to the other, in [0, pi]; accurate also for tiny angles."""
        return min(quat_angle(self.q, checked(other, "other").q), M_PI)

    def slerp(self, other, t):
        """Interpolate along the shorter great circle, at constant angular velocity.

        Parameters
        ----------
        other : Quaternion
            Reached, up to sign, at t = 1.
        t : float
            0 gives self exactly. Not clamped: below 0 and above 1 the rotation goes on around the same axis.
        """
        cdef double s = real_number(t, "t")
        if not fabs(s) <= 1e300:
            number(t, "t", minimum=-1e300, maximum=1e300)
        return quaternion_of(quat_slerp(self.q, checked(other, "other").q, s))

    def is_close(self, other, atol=1e-9):
        """Return whether the rotations differ by at most ``atol`` radians; so up to the sign of the quaternion."""
        return quat_angle(self.q, checked(other, "other").q) <= number(atol, "atol", minimum=0.0)

    def __eq__(self, other):
        if type(other) is not Quaternion:
            return NotImplemented
        cdef Quat p = self.q, r = (<Quaternion>other).q
        return p.w == r.w and p.x == r.x and p.y == r.y and p.z == r.z

    def __hash__(self):
        return hash((self.q.w, self.q.x, self.q.y, self.q.z))

    def __repr__(self):
        return f"Quaternion(w={self.q.w:.4f}, x={self.q.x:.4f}, y={self.q.y:.4f}, z={self.q.z:.4f})"

    def __reduce__(self):
        return Quaternion, (self.q.w, self.q.x, self.q.y, self.q.z)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self
