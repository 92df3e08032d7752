"""C functions on poses (position, then quaternion wxyz): compose, inverse, apply, exp, log, adjoint, and loops over rows.

Nothing here can be called from Python; ``from rfx.kernels.pose cimport ...`` in Cython, see docs/extending.md.
"""
