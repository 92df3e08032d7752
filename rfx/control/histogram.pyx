"""Histogram of durations in nanoseconds: fixed memory, 1.6 % resolution, safe to fill from several threads."""

cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

from rfx.arrays import integer, number
from rfx.errors import CodecError, DTypeError

from rfx.kernels.clock cimport HIST_BUCKETS, hist_add, hist_lower, hist_merge, hist_quantile, hist_t

cdef int64_t LARGEST = 0x7FFFFFFFFFFFFFFF


@cython.final
cdef class Histogram:
    """Durations counted in buckets that are 1/64 of their value wide.

    Quantiles are within 0.8 % of the recorded values; count, least and greatest are exact. Takes 30 kB whatever is
    recorded. Each method may be called from any thread while others record.

    In Cython, ``cimport Histogram`` from here and call ``add(ns)``, which needs no GIL.

    Examples
    --------
    >>> h = Histogram()
    >>> for ns in (100, 200, 300):
    ...     h.record(ns)
    >>> h.count, h.min, h.max, h.mean
    (3, 100, 300, 200.0)
    """

    cdef void add(self, int64_t ns) noexcept nogil:
        with self._lock:
            hist_add(&self.h, ns)

    def record(self, ns):
        """Count one duration.

        Parameters
        ----------
        ns : int
            Nanoseconds, 0 to 2**63 - 1. Others raise InvalidValueError, floats DTypeError.
        """
        cdef int64_t value = integer(ns, "ns", minimum=0, maximum=LARGEST)
        self.add(value)

    def merge(self, other):
        """Add all that ``other`` has counted; ``other`` stays as it is."""
        cdef Histogram source
        cdef hist_t taken
        if not isinstance(other, Histogram):
            raise DTypeError(f"expected other to be a Histogram, got {type(other).__name__}")
        source = other
        with nogil:
            with source._lock:
                taken = source.h
            with self._lock:
                hist_merge(&self.h, &taken)

    def quantile(self, q):
        """Return the value, in ns, that the share ``q`` (0 to 1) of all recorded durations does not exceed.

        Nearest rank, within 0.8 %; exact for 0 and 1. 0 while nothing is recorded.
        """
        cdef double share = number(q, "q", minimum=0.0, maximum=1.0)
        cdef int64_t value
        with nogil, self._lock:
            value = hist_quantile(&self.h, share)
        return value

    def counts(self):
        """Return the buckets in use.

        Returns
        -------
        tuple of ndarray, shape (K,), int64
            Least value in ns, greatest value in ns, and how many durations lay between, both included; ascending.
        """
        cdef hist_t taken
        cdef int i
        with nogil, self._lock:
            taken = self.h
        used = [i for i in range(HIST_BUCKETS) if taken.bucket[i]]
        least = np.array([hist_lower(i) for i in used], np.int64)
        most = np.array([hist_lower(i + 1) - (i + 1 < HIST_BUCKETS) for i in used], np.int64)
        return least, most, np.array([taken.bucket[i] for i in used], np.int64)

    def reset(self):
        """Forget everything."""
        with nogil, self._lock:
            memset(&self.h, 0, sizeof(hist_t))

    def copy(self):
        """Return an independent copy."""
        cdef Histogram new = Histogram()
        with nogil, self._lock:
            new.h = self.h
        return new

    @property
    def count(self):
        """How many durations were recorded."""
        cdef int64_t value
        with nogil, self._lock:
            value = self.h.count
        return value

    @property
    def min(self):
        """Least duration in ns, exact; 0 while empty."""
        return self.quantile(0.0)

    @property
    def max(self):
        """Greatest duration in ns, exact; 0 while empty."""
        return self.quantile(1.0)

    @property
    def mean(self):
        """Mean duration in ns, from the exact sum; 0.0 while empty."""
        cdef double total
        cdef int64_t count
        with nogil, self._lock:
            total = self.h.total
            count = self.h.count
        return total / count if count else 0.0

    @property
    def p50(self):
        """Median in ns."""
        return self.quantile(0.5)

    @property
    def p90(self):
        """90 % of all durations are at most this, in ns."""
        return self.quantile(0.9)

    @property
    def p99(self):
        """99 % of all durations are at most this, in ns."""
        return self.quantile(0.99)

    @property
    def p999(self):
        """99.9 % of all durations are at most this, in ns."""
        return self.quantile(0.999)

    def as_dict(self):
        """Return count, min, mean, p50, p90, p99, p99.9 and max; times in ns."""
        cdef Histogram still = self.copy()
        return {
            "count": still.count, "min_ns": still.min, "mean_ns": still.mean, "p50_ns": still.p50,
            "p90_ns": still.p90, "p99_ns": still.p99, "p99.9_ns": still.p999, "max_ns": still.max,
        }

    def state_dict(self):
        """Return what is recorded as plain values: exact, and only the buckets in use."""
        cdef Histogram still = self.copy()
        cdef int i
        return {
            "count": still.h.count, "least": still.h.least, "most": still.h.most, "total": still.h.total,
            "buckets": {i: still.h.bucket[i] for i in range(HIST_BUCKETS) if still.h.bucket[i]},
        }

    def load_state_dict(self, state):
        """Replace all that is recorded by what :meth:`state_dict` returned; a wrong one raises and changes nothing."""
        cdef hist_t new
        memset(&new, 0, sizeof(hist_t))
        try:
            for index, count in state["buckets"].items():
                new.bucket[integer(index, "bucket", minimum=0, maximum=HIST_BUCKETS - 1)] = integer(
                    count, "count of a bucket", minimum=1, maximum=LARGEST)
            new.count = integer(state["count"], "count", minimum=0, maximum=LARGEST)
            new.least = integer(state["least"], "least", minimum=0, maximum=LARGEST)
            new.most = integer(state["most"], "most", minimum=new.least, maximum=LARGEST)
            new.total = number(state["total"], "total", minimum=0.0)
            whole = new.count == sum(state["buckets"].values())
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise CodecError(f"expected the state of a Histogram: {error}") from error
        if not whole:
            raise CodecError(f"expected buckets that add up to the count {new.count}")
        with nogil, self._lock:
            self.h = new

    def __reduce__(self):
        return _rebuild_histogram, (self.state_dict(),)

    def __repr__(self):
        cdef Histogram still = self.copy()
        return f"Histogram(count={still.count}, p50={still.p50} ns, p99={still.p99} ns, max={still.max} ns)"


def _rebuild_histogram(state):
    histogram = Histogram()
    histogram.load_state_dict(state)
    return histogram
