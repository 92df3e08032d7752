"""ChaCha8 random numbers, C level only: see chacha.pxd."""
