"""The compiled ground: C functions on pointers and sizes, no Python objects, no GIL.

Every kernel is ``cdef ... noexcept nogil``, allocates nothing, and is defined for n = 0. Other people's Cython may
``cimport`` from here; see docs/extending.md.
"""
