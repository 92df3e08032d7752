"""The dynamics of a car that is to get out of a valley; for use from Cython, see mountain_car.pxd."""
