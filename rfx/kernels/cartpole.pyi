"""The dynamics of a pole on a cart; for use from Cython, see cartpole.pxd."""
