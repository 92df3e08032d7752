"""Rows in a file that outlives its process, C level only: see row_file.pxd."""
