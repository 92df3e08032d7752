"""Kernels of a motor with a position loop: the law, and one step of a joint with inertia. Use them by ``cimport``."""
