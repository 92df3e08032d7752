"""The dynamics of a pendulum that is to be swung up; for use from Cython, see pendulum.pxd."""
