"""Monotonic time, absolute deadlines without drift, and histograms of nanoseconds. C only: cimport it."""
