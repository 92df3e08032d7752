"""sin, cos and squares of arrays as libm rounds them; for use from Cython, see trig.pxd."""
