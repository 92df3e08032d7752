"""Which sequence goes to which row, C level only: see packing.pxd."""
