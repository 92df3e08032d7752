"""Mean and sum of squared deviations, one number at a time and by rows, C level only: see moments.pxd."""
