"""One step of a PID controller, C level only: see pid.pxd."""
