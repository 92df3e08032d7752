"""Mean and variance of each entry of arrays, the newest counting most."""

cimport cython
cimport numpy as cnp
from libc.string cimport memcpy

from rfx.kernels.elementwise cimport all_finite
from rfx.kernels.moments cimport ema_of_rows, standardize_rows

import math

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, InvalidValueError, ShapeError

cnp.import_array()

cdef double LEAST_STD = 1e-8
cdef double MOST_SAMPLES = 2.0**53


@cython.final
cdef class EmaRunningStatsVec:
    """Mean and variance of each entry of arrays of one shape that forget, as :class:`EmaRunningStats` does.

    Parameters
    ----------
    shape : int or tuple of int
        Of one sample.
    alpha : float
        Weight of the newest sample, above 0 and at most 1. The first sample is the mean; then ``d = x - mean``,
        ``mean += alpha d``, ``var = (1 - alpha) (var + alpha d^2)`` (Finch 2009).

    Notes
    -----
    Each entry has, to the bit, the numbers of an ``EmaRunningStats`` of its own. Samples with a number that is not
    finite, or whose square overflows, raise InvalidValueError and change nothing. Safe under threads.
    """

    cdef readonly tuple shape
    cdef readonly double alpha
    cdef double seen
    cdef Py_ssize_t d
    cdef object held            # (4, d): mean, var, and room for both
    cdef double* mean_
    cdef double* new_mean
    cdef cython.pymutex lock

    def __cinit__(self, shape, alpha):
        entries = shape if isinstance(shape, (tuple, list)) else (shape,)
        self.shape = tuple([arrays.integer(n, "shape", minimum=0) for n in entries])
        self.alpha = arrays.number(alpha, "alpha", above=0.0, maximum=1.0)
        self.d = math.prod(self.shape)
        self.held = np.zeros((4, self.d))
        self.mean_ = <double*>cnp.PyArray_DATA(<cnp.ndarray>self.held)
        self.new_mean = self.mean_ + 2 * self.d

    @staticmethod
    def from_window(shape, window):
        """Return one with the mean age of samples of a window of this many: ``alpha = 2 / (window + 1)``."""
        return EmaRunningStatsVec(shape, 2.0 / (arrays.number(window, "window", minimum=1.0) + 1.0))

    @staticmethod
    def from_halflife(shape, samples):
        """Return one in which a sample counts half as much after this many others: ``alpha = 1 - 2^(-1 / samples)``."""
        return EmaRunningStatsVec(shape, -math.expm1(-math.log(2.0) / arrays.number(samples, "samples", above=0.0)))

    # -- in

    def update(self, x):
        """Add one sample of shape ``shape``, float32 or float64, or a list.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Another shape; not real numbers; not finite, or too large.
        """
        self.add(arrays.floats(x, "x", self.shape), 1, "x")

    def batch_update(self, batch):
        """Add the samples of ``batch``, shape (B, \\*shape), one after the other; see :meth:`update`."""
        cdef cnp.ndarray array = arrays.floats(batch, "batch", (None, *self.shape))
        self.add(array, cnp.PyArray_DIM(array, 0), "batch")

    cdef int add(self, cnp.ndarray array, Py_ssize_t n, str name) except -1:
        cdef void* data = cnp.PyArray_DATA(array)
        cdef bint single = cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT, good
        with nogil, self.lock:
            memcpy(self.new_mean, self.mean_, 2 * self.d * sizeof(double))
            if single:
                ema_of_rows(<const float*>data, n, self.d, self.alpha, self.seen == 0.0, self.new_mean,
                            self.new_mean + self.d)
            else:
                ema_of_rows(<const double*>data, n, self.d, self.alpha, self.seen == 0.0, self.new_mean,
                            self.new_mean + self.d)
            good = all_finite(<const double*>self.new_mean, 2 * self.d)
            if good:
                memcpy(self.mean_, self.new_mean, 2 * self.d * sizeof(double))
                self.seen += n
        if not good:
            arrays.finite(array, name)
            raise InvalidValueError(f"expected {name} in a range whose squares are finite, got numbers that overflow")
        return 0

    # -- out

    cdef tuple now(self):
        # count, and copies of mean and var, taken together
        cdef object both = np.empty((2, *self.shape))
        cdef double* to = <double*>cnp.PyArray_DATA(<cnp.ndarray>both)
        cdef double n
        with nogil, self.lock:
            n = self.seen
            memcpy(to, self.mean_, 2 * self.d * sizeof(double))
        return n, both[0, ...], both[1, ...]

    def count(self):
        """Return how many samples there were, int."""
        return int(self.seen)

    def mean(self):
        """Return the mean, shape ``shape``, float64; 0 without samples."""
        return self.now()[1]

    def var(self):
        """Return the variance, 0 with fewer than two samples."""
        return self.now()[2]

    def std(self):
        """Return the root of :meth:`var`."""
        return np.asarray(np.sqrt(self.now()[2]))

    def normalize(self, x, out=None):
        """Return ``(x - mean) / std``, 0 where std is below 1e-8.

        Parameters
        ----------
        x : array_like, shape ``shape`` or (B, \\*shape)
        out : ndarray, optional
            Of the shape and dtype of x.

        Returns
        -------
        ndarray
            float32 for float32, else float64.
        """
        cdef cnp.ndarray array = arrays.floats(x, "x")
        cdef Py_ssize_t n = 1
        if (<object>array).shape != self.shape:
            if (<object>array).shape[1:] != self.shape or cnp.PyArray_NDIM(array) == 0:
                raise ShapeError(f"expected x of shape {self.shape} or {arrays.describe((None, *self.shape))}, "
                                 f"got {(<object>array).shape}")
            n = cnp.PyArray_DIM(array, 0)
        cdef cnp.ndarray result = arrays.out_array(out, (<object>array).shape, array.dtype, array)
        _, center, var = self.now()
        std = np.sqrt(var)
        small = std < LEAST_STD
        cdef cnp.ndarray scale = np.ascontiguousarray(np.where(small, 0.0, 1.0 / np.where(small, 1.0, std)))
        cdef const double* mean = <const double*>cnp.PyArray_DATA(<cnp.ndarray>center)
        cdef const double* factor = <const double*>cnp.PyArray_DATA(scale)
        cdef void* source = cnp.PyArray_DATA(array)
        cdef void* target = cnp.PyArray_DATA(result)
        cdef bint single = cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT, bad
        cdef double limit = math.inf
        with nogil:
            if single:
                bad = standardize_rows(<const float*>source, n, self.d, mean, factor, limit, <float*>target)
            else:
                bad = standardize_rows(<const double*>source, n, self.d, mean, factor, limit, <double*>target)
        if bad:
            arrays.finite(array, "x")
            raise InvalidValueError("expected x within the range of its dtype when divided by std, got numbers that overflow")
        return result

    # -- state

    def reset(self):
        """Forget everything but alpha."""
        cdef Py_ssize_t j
        with nogil, self.lock:
            self.seen = 0.0
            for j in range(2 * self.d):
                self.mean_[j] = 0.0

    def state_dict(self):
        """Return ``alpha``, ``count`` (int), ``mean`` and ``var``, copies."""
        n, mean, var = self.now()
        return {"alpha": self.alpha, "count": int(n), "mean": mean, "var": var}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of one of the same shape gave, alpha too; all or nothing."""
        if not isinstance(state, dict) or set(state) != {"alpha", "count", "mean", "var"}:
            raise ConfigError(f"expected a dict with alpha, count, mean and var, got {state!r}")
        cdef double alpha = arrays.number(state["alpha"], "alpha", above=0.0, maximum=1.0)
        cdef double n = arrays.integer(state["count"], "count", minimum=0, maximum=int(MOST_SAMPLES))
        cdef cnp.ndarray mean = arrays.finite(arrays.floats(state["mean"], "mean", self.shape, np.float64), "mean")
        cdef cnp.ndarray var = arrays.finite(arrays.floats(state["var"], "var", self.shape, np.float64), "var")
        if np.any(var < 0.0):
            raise InvalidValueError("expected var to be at least 0")
        if n == 0.0 and (np.any(mean) or np.any(var)):
            raise ConfigError("expected mean and var to be 0 where count is 0")
        cdef const double* mean_from = <const double*>cnp.PyArray_DATA(mean)
        cdef const double* var_from = <const double*>cnp.PyArray_DATA(var)
        with nogil, self.lock:
            self.alpha, self.seen = alpha, n
            memcpy(self.mean_, mean_from, self.d * sizeof(double))
            memcpy(self.mean_ + self.d, var_from, self.d * sizeof(double))

    def __reduce__(self):
        return _rebuild, (self.shape, self.state_dict())

    def __repr__(self):
        return f"EmaRunningStatsVec({self.shape}, alpha={self.alpha:g}, count={self.count()})"


def _rebuild(shape, state):
    made = EmaRunningStatsVec(shape, state["alpha"])
    made.load_state_dict(state)
    return made
