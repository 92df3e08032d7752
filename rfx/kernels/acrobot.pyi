"""The dynamics of two links that are to be swung up; for use from Cython, see acrobot.pxd."""
