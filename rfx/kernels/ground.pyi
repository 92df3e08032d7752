"""Heights of uneven ground; for use from Cython, see ground.pxd."""
