"""Backward scans through rollouts, C level only: see scan.pxd."""
