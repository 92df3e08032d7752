"""Returns of rollouts, C level only: see scan_returns.pxd."""
