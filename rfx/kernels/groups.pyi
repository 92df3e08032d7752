"""Rewards against the mean of their group, C level only: see groups.pxd."""
