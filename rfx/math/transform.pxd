"""The storage of a Transform, for other Cython modules."""

from rfx.kernels.types cimport Pose


cdef class Transform:
    cdef Pose pose
    cdef bint made  # true once the numbers are final


cdef Transform transform_of(Pose pose)
