"""Kernel that finds where rays meet spheres, boxes, cylinders and capsules. Use it by ``cimport``."""
