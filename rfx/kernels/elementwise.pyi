"""Arithmetic on arrays, element by element: shaping, weight updates, priorities. C level only: see elementwise.pxd."""
