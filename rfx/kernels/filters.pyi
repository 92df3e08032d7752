"""One step of the filters over channels, C level only: see filters.pxd."""
