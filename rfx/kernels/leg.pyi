"""C functions for other kernels: forward and inverse kinematics and Jacobians of four legs (see leg.pxd)."""
