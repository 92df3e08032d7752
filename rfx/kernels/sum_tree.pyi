"""A tree of sums for draws in proportion to priorities; for use from Cython, see sum_tree.pxd."""
