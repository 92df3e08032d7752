cdef class Saved:
    pass
