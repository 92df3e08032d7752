"""Rows of a ring buffer, C level only: see ring.pxd."""
