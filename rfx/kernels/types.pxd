"""C types that the kernels share. Importing them needs nothing at run time."""

ctypedef fused real:
    float
    double


cdef struct Vec3:
    double x
    double y
    double z


# A rotation as a unit quaternion, scalar first, Hamilton's product: v_world = q v_body conj(q).
cdef struct Quat:
    double w
    double x
    double y
    double z


# A pose acts as p_world = q p_body conj(q) + p.
cdef struct Pose:
    Vec3 p
    Quat q


# Row-major 3x3 matrix.
cdef struct Mat3:
    double[9] m
