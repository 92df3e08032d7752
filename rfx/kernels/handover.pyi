"""Handing numbers and records from thread to thread without a lock. C only: cimport it."""
