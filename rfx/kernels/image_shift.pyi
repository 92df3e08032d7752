"""Shifts, crops and filled boxes of images, by bytes, C level only: see image_shift.pxd."""
