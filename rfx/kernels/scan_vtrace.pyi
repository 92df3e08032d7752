"""V-trace, C level only: see scan_vtrace.pxd."""
