from rfx.go2.layout cimport Layout


cdef class Struct:
    cdef unsigned char* data
    cdef Struct owner
    cdef Layout layout
    cdef bint owned
