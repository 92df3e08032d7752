"""XCDR1 from and to C structs, C level only: see cdr.pxd."""
