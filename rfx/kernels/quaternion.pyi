"""C functions on unit quaternions (wxyz): product, rotation, exp and log, Euler angles, matrices, slerp, and loops over rows.

Nothing here can be called from Python; ``from rfx.kernels.quaternion cimport ...`` in Cython, see docs/extending.md.
"""
