"""C functions for other kernels: ground forces for a wanted wrench (see balance.pxd)."""
