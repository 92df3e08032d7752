"""Rows that many threads and processes write and read without a lock, C level only: see seqlock.pxd and seqlock.h."""
