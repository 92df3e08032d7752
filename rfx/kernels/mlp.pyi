"""Small networks in C, C level only: see mlp.pxd."""
