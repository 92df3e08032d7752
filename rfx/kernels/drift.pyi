"""How numbers of the physics change with time; for use from Cython, see drift.pxd."""
