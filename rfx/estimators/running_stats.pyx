"""Mean and variance of numbers that arrive one by one or in batches, each exact however many there are.

A sample that is not finite, or so large that the squares overflow, raises InvalidValueError and changes nothing.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport isfinite, sqrt

from rfx.kernels.moments cimport ema_push, moments_merge, moments_of_line, moments_push

import math

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, InvalidValueError

cnp.import_array()

cdef double LEAST_STD = 1e-8
cdef double MOST_SAMPLES = 2.0**53


@cython.final
cdef class RunningStats:
    """Mean and variance of numbers, in one pass.

    Notes
    -----
    Welford 1962 for single numbers, Chan, Golub and LeVeque 1979 for batches and for :meth:`merge`: no cancellation,
    however far the mean is from 0. Without samples mean, variance and standard deviation are 0. Safe under threads.

    Examples
    --------
    >>> stats = RunningStats()
    >>> stats.batch_update([1.0, 2.0, 3.0])
    >>> stats.mean(), stats.var(), stats.var(ddof=1), stats.count()
    (2.0, 0.6666666666666666, 1.0, 3)
    """

    cdef double _count, _mean, _m2
    cdef cython.pymutex lock

    def update(self, x):
        """Add one number.

        Raises
        ------
        DTypeError, InvalidValueError
            Not a real number; not finite, or too large.
        """
        cdef double value = x if type(x) is float else arrays.number(x, "x")
        cdef double mean, m2
        cdef bint good
        with self.lock:
            mean, m2 = self._mean, self._m2
            moments_push(value, self._count + 1.0, &mean, &m2)
            good = isfinite(mean) and isfinite(m2)
            if good:
                self._count += 1.0
                self._mean, self._m2 = mean, m2
        if not good:
            arrays.number(value, "x")
            raise too_large("x")

    def batch_update(self, values):
        """Add all numbers of an array of any shape, float32 or float64, or of a list; see :meth:`update`."""
        cdef cnp.ndarray x = plain(values)
        cdef double mean, m2, n = cnp.PyArray_SIZE(x)
        cdef Py_ssize_t size = cnp.PyArray_SIZE(x)
        cdef void* data = cnp.PyArray_DATA(x)
        cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT, good
        if size == 0:
            return
        with nogil:
            if single:
                moments_of_line(<const float*>data, size, &mean, &m2)
            else:
                moments_of_line(<const double*>data, size, &mean, &m2)
            with self.lock:
                good = self.add(n, mean, m2)
        if not good:
            arrays.finite(x, "values")
            raise too_large("values")

    cdef bint add(self, double n, double mean, double m2) noexcept nogil:
        # under the lock; whether it could be done
        if n > 0.0 and moments_merge(self._count, &self._mean, &self._m2, n, &mean, &m2, 1):
            self._count += n
            self._mean, self._m2 = mean, m2
            return True
        return n == 0.0

    def merge(self, RunningStats other not None):
        """Add all that ``other`` has seen, as if it had been seen here."""
        cdef double n, mean, m2
        cdef bint good
        with nogil:
            with other.lock:
                n, mean, m2 = other._count, other._mean, other._m2
            with self.lock:
                good = self.add(n, mean, m2)
        if not good:
            raise too_large("other")

    cdef tuple now(self):
        cdef double n, mean, m2
        with nogil, self.lock:
            n, mean, m2 = self._count, self._mean, self._m2
        return n, mean, m2

    def count(self):
        """Return how many numbers there were, int."""
        return int(self._count)

    def mean(self):
        """Return the mean."""
        return self._mean

    def var(self, ddof=0):
        """Return the variance, ``m2 / (count - ddof)``; 0 where there are no more samples than ``ddof``."""
        cdef double n, m2, less = arrays.integer(ddof, "ddof", minimum=0)
        n, _, m2 = self.now()
        return m2 / (n - less) if n > less else 0.0

    def std(self, ddof=0):
        """Return the root of :meth:`var`."""
        return sqrt(self.var(ddof))

    def normalize(self, x):
        """Return ``(x - mean) / std``, 0 where std is below 1e-8.

        Raises
        ------
        DTypeError, InvalidValueError
            Not a real number; not finite, or a result that overflows.
        """
        cdef double value = arrays.number(x, "x"), n, mean, m2, std, y
        n, mean, m2 = self.now()
        std = sqrt(m2 / n) if n else 0.0
        if std < LEAST_STD:
            return 0.0
        y = (value - mean) / std
        if not isfinite(y):
            raise too_large("x")
        return y

    def reset(self):
        """Forget everything."""
        with nogil, self.lock:
            self._count = self._mean = self._m2 = 0.0

    def state_dict(self):
        """Return ``count`` (int), ``mean`` and ``m2``, the sum of squared deviations."""
        n, mean, m2 = self.now()
        return {"count": int(n), "mean": mean, "m2": m2}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; all or nothing."""
        check_keys(state, {"count", "mean", "m2"})
        cdef double n = arrays.integer(state["count"], "count", minimum=0, maximum=int(MOST_SAMPLES))
        cdef double mean = arrays.number(state["mean"], "mean")
        cdef double m2 = arrays.number(state["m2"], "m2", minimum=0.0)
        if n == 0.0 and (mean or m2):
            raise ConfigError("expected mean and m2 to be 0 where count is 0")
        with nogil, self.lock:
            self._count, self._mean, self._m2 = n, mean, m2

    def __reduce__(self):
        return _rebuild, (self.state_dict(),)

    def __repr__(self):
        return f"RunningStats(count={self.count()}, mean={self.mean():g}, std={self.std():g})"


def _rebuild(state):
    made = RunningStats()
    made.load_state_dict(state)
    return made


@cython.final
cdef class EmaRunningStats:
    """Mean and variance that forget: each sample counts ``1 - alpha`` as much as the one after it.

    Parameters
    ----------
    alpha : float
        Weight of the newest sample, above 0 and at most 1. The first sample is the mean; then ``d = x - mean``,
        ``mean += alpha d``, ``var = (1 - alpha) (var + alpha d^2)`` (Finch 2009).

    Notes
    -----
    Safe under threads.
    """

    cdef readonly double alpha
    cdef double _count, _mean, _var
    cdef cython.pymutex lock

    def __cinit__(self, alpha):
        self.alpha = arrays.number(alpha, "alpha", above=0.0, maximum=1.0)

    @staticmethod
    def from_window(window):
        """Return one with the mean age of samples of a window of this many: ``alpha = 2 / (window + 1)``."""
        return EmaRunningStats(2.0 / (arrays.number(window, "window", minimum=1.0) + 1.0))

    @staticmethod
    def from_halflife(samples):
        """Return one in which a sample counts half as much after this many others: ``alpha = 1 - 2^(-1 / samples)``."""
        return EmaRunningStats(-math.expm1(-math.log(2.0) / arrays.number(samples, "samples", above=0.0)))

    def update(self, x):
        """Add one number.

        Raises
        ------
        DTypeError, InvalidValueError
            Not a real number; not finite, or too large.
        """
        self.batch_update((arrays.number(x, "x"),))

    def batch_update(self, values):
        """Add all numbers of an array in order (C order), float32 or float64, or of a list; see :meth:`update`."""
        cdef cnp.ndarray x = plain(values)
        cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
        cdef double mean, var, count
        cdef const double* data
        cdef bint good
        if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
            x = x.astype(np.float64)
        data = <const double*>cnp.PyArray_DATA(x)
        with nogil, self.lock:
            mean, var, count = self._mean, self._var, self._count
            ema_push(data, n, self.alpha, count == 0.0, &mean, &var)
            good = isfinite(mean) and isfinite(var)
            if good:
                self._mean, self._var, self._count = mean, var, count + n
        if not good:
            arrays.finite(x, "values")
            raise too_large("values")

    def count(self):
        """Return how many numbers there were, int."""
        return int(self._count)

    def mean(self):
        """Return the mean, 0 without samples."""
        return self._mean

    def var(self):
        """Return the variance, 0 with fewer than two samples."""
        return self._var

    def std(self):
        """Return the root of :meth:`var`."""
        return sqrt(self._var)

    def normalize(self, x):
        """Return ``(x - mean) / std``, 0 where std is below 1e-8."""
        cdef double value = arrays.number(x, "x"), mean, var
        with nogil, self.lock:
            mean, var = self._mean, self._var
        if sqrt(var) < LEAST_STD:
            return 0.0
        value = (value - mean) / sqrt(var)
        if not isfinite(value):
            raise too_large("x")
        return value

    def reset(self):
        """Forget everything but alpha."""
        with nogil, self.lock:
            self._count = self._mean = self._var = 0.0

    def state_dict(self):
        """Return ``alpha``, ``count``, ``mean`` and ``var``."""
        cdef double n, mean, var
        with nogil, self.lock:
            n, mean, var = self._count, self._mean, self._var
        return {"alpha": self.alpha, "count": int(n), "mean": mean, "var": var}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave, alpha too; all or nothing."""
        check_keys(state, {"alpha", "count", "mean", "var"})
        cdef double alpha = arrays.number(state["alpha"], "alpha", above=0.0, maximum=1.0)
        cdef double n = arrays.integer(state["count"], "count", minimum=0, maximum=int(MOST_SAMPLES))
        cdef double mean = arrays.number(state["mean"], "mean")
        cdef double var = arrays.number(state["var"], "var", minimum=0.0)
        if n == 0.0 and (mean or var):
            raise ConfigError("expected mean and var to be 0 where count is 0")
        with nogil, self.lock:
            self.alpha, self._count, self._mean, self._var = alpha, n, mean, var

    def __reduce__(self):
        return _rebuild_ema, (self.state_dict(),)

    def __repr__(self):
        return f"EmaRunningStats(alpha={self.alpha:g}, count={self.count()}, mean={self.mean():g}, std={self.std():g})"


def _rebuild_ema(state):
    made = EmaRunningStats(state["alpha"])
    made.load_state_dict(state)
    return made


cdef cnp.ndarray plain(values):
    # as a C-contiguous float32 or float64 array
    if (cnp.PyArray_CheckExact(values) and cnp.PyArray_ISCARRAY_RO(values)
            and (cnp.PyArray_TYPE(values) == cnp.NPY_DOUBLE or cnp.PyArray_TYPE(values) == cnp.NPY_FLOAT)):
        return values
    return arrays.floats(values, "values")


cdef check_keys(state, set names):
    if not isinstance(state, dict) or set(state) != names:
        raise ConfigError(f"expected a dict with {', '.join(sorted(names))}, got {state!r}")


cdef too_large(name):
    return InvalidValueError(f"expected {name} in a range whose squares are finite, got numbers that overflow")
