"""The storage of a Quaternion, for other Cython modules."""

from rfx.kernels.types cimport Quat


cdef class Quaternion:
    cdef Quat q
    cdef bint made  # true once the components are final


cdef Quaternion quaternion_of(Quat q)
