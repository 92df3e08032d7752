"""C functions for other kernels: one tick of a trot or a stand (see gait.pxd)."""
