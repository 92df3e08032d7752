"""Mean and variance of each entry of arrays that arrive one by one or in batches."""

cimport cython
cimport numpy as cnp
from libc.string cimport memcpy, memset

from rfx.kernels.moments cimport moments_merge, moments_of_rows, standardize_rows

import math

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, InvalidValueError, ShapeError

cnp.import_array()

cdef double LEAST_STD = 1e-8
cdef double MOST_SAMPLES = 2.0**53


@cython.final
cdef class RunningStatsVec:
    """Mean and variance of each entry of arrays of one shape, in one pass over memory.

    Parameters
    ----------
    shape : int or tuple of int
        Of one sample.
    prior_count : float
        Weight of an imagined start with mean 0 and variance 1, in samples. 0 for none; gymnasium and
        stable-baselines3 start with 1e-4.

    Notes
    -----
    Batches are summed in blocks about their own first row and merged (Chan, Golub and LeVeque 1979): no cancellation,
    however far a mean is from 0. A batch with a number that is not finite, or whose squares overflow, raises
    InvalidValueError and changes nothing. Without samples mean and variance are those of the prior, else 0. Safe
    under threads.
    """

    cdef readonly tuple shape
    cdef readonly double prior_count
    cdef double seen            # samples, without the prior
    cdef Py_ssize_t d
    cdef object held            # (4, d): mean, m2, and room for those of a batch
    cdef double* mean_
    cdef double* m2_
    cdef double* new_mean
    cdef double* new_m2
    cdef cython.pymutex lock

    def __cinit__(self, shape, *, prior_count=0.0):
        entries = shape if isinstance(shape, (tuple, list)) else (shape,)
        self.shape = tuple([arrays.integer(n, "shape", minimum=0) for n in entries])
        self.prior_count = arrays.number(prior_count, "prior_count", minimum=0.0, maximum=MOST_SAMPLES)
        self.d = math.prod(self.shape)
        self.held = np.zeros((4, self.d))
        cdef double* data = <double*>cnp.PyArray_DATA(<cnp.ndarray>self.held)
        self.mean_, self.m2_ = data, data + self.d
        self.new_mean, self.new_m2 = data + 2 * self.d, data + 3 * self.d
        self.clear()

    cdef void clear(self) noexcept nogil:
        cdef Py_ssize_t j
        self.seen = 0.0
        memset(self.mean_, 0, self.d * sizeof(double))
        for j in range(self.d):
            self.m2_[j] = self.prior_count

    # -- in

    def update(self, x):
        """Add one sample of shape ``shape``, float32 or float64, or a list.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Another shape; not real numbers; not finite, or too large.
        """
        cdef cnp.ndarray array = taken(x, "x")
        if (<object>array).shape != self.shape:
            raise ShapeError(f"expected x of shape {self.shape}, got {(<object>array).shape}")
        self.add(array, 1, "x")

    def batch_update(self, batch):
        """Add the samples of ``batch``, shape (B, \\*shape), in one pass; see :meth:`update`."""
        cdef cnp.ndarray array = taken(batch, "batch")
        self.add(array, self.rows_of(array, "batch"), "batch")

    cdef Py_ssize_t rows_of(self, cnp.ndarray array, str name) except -1:
        cdef int k, ndim = len(self.shape)
        cdef bint good = cnp.PyArray_NDIM(array) == ndim + 1
        if good:
            for k in range(ndim):
                good = good and cnp.PyArray_DIM(array, k + 1) == <cnp.npy_intp>self.shape[k]
        if not good:
            raise ShapeError(f"expected {name} of shape {arrays.describe((None, *self.shape))}, got {(<object>array).shape}")
        return cnp.PyArray_DIM(array, 0)

    cdef int add(self, cnp.ndarray array, Py_ssize_t n, str name) except -1:
        cdef void* data = cnp.PyArray_DATA(array)
        cdef bint single = cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT, good
        if n == 0:
            return 0
        with nogil, self.lock:
            if single:
                moments_of_rows(<const float*>data, n, self.d, self.new_mean, self.new_m2)
            else:
                moments_of_rows(<const double*>data, n, self.d, self.new_mean, self.new_m2)
            good = self.join(n)
        if not good:
            arrays.finite(array, name)
            raise InvalidValueError(f"expected {name} in a range whose squares are finite, got numbers that overflow")
        return 0

    cdef bint join(self, double n) noexcept nogil:
        # the moments in new_*, of n samples, into ours; under the lock; whether it could be done
        cdef bint good = moments_merge(
            self.seen + self.prior_count, self.mean_, self.m2_, n, self.new_mean, self.new_m2, self.d)
        if good:
            memcpy(self.mean_, self.new_mean, 2 * self.d * sizeof(double))
            self.seen += n
        return good

    def merge(self, RunningStatsVec other not None):
        """Add all that ``other`` has seen, as if it had been seen here; both without a prior.

        Raises
        ------
        ShapeError, ConfigError
            Another shape; one of them has a prior, which would count twice.
        """
        if other.shape != self.shape:
            raise ShapeError(f"expected other of shape {self.shape}, got {other.shape}")
        if other.prior_count or self.prior_count:
            raise ConfigError(f"expected both without a prior, got {self.prior_count:g} and {other.prior_count:g}")
        n, mean, m2 = other.now()
        if n == 0.0:
            return
        cdef double added = n
        cdef const double* theirs = <const double*>cnp.PyArray_DATA(<cnp.ndarray>mean)
        cdef const double* squares = <const double*>cnp.PyArray_DATA(<cnp.ndarray>m2)
        cdef bint good
        with nogil, self.lock:
            memcpy(self.new_mean, theirs, self.d * sizeof(double))
            memcpy(self.new_m2, squares, self.d * sizeof(double))
            good = self.join(added)
        if not good:
            raise InvalidValueError("expected other in a range whose squares are finite, got numbers that overflow")

    # -- out

    cdef tuple now(self):
        # count, and copies of mean and m2, taken together
        cdef object mean = np.empty(self.shape), m2 = np.empty(self.shape)
        cdef double* mean_to = <double*>cnp.PyArray_DATA(<cnp.ndarray>mean)
        cdef double* m2_to = <double*>cnp.PyArray_DATA(<cnp.ndarray>m2)
        cdef double n
        with nogil, self.lock:
            n = self.seen
            memcpy(mean_to, self.mean_, self.d * sizeof(double))
            memcpy(m2_to, self.m2_, self.d * sizeof(double))
        return n, mean, m2

    def count(self):
        """Return how many samples there were, int."""
        return int(self.seen)

    def mean(self):
        """Return the mean, shape ``shape``, float64."""
        return self.now()[1]

    def var(self, ddof=0):
        """Return the variance, ``m2 / (count - ddof)``; 0 where there are no more samples than ``ddof``."""
        less = arrays.integer(ddof, "ddof", minimum=0)
        n, _, m2 = self.now()
        weight = n + self.prior_count - less
        return np.asarray(m2 / weight) if weight > 0.0 else np.zeros(self.shape)

    def std(self, ddof=0):
        """Return the root of :meth:`var`."""
        return np.asarray(np.sqrt(self.var(ddof)))

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
        n, mean, m2 = self.now()
        weight = n + self.prior_count
        std = np.sqrt(m2 / weight) if weight > 0.0 else np.zeros(self.shape)
        small = std < LEAST_STD
        return self.scaled(x, mean, np.where(small, 0.0, 1.0 / np.where(small, 1.0, std)), math.inf, out)

    def standardize(self, x, *, epsilon=1e-8, clip=math.inf, out=None):
        """Return ``(x - mean) / sqrt(var + epsilon)``, cut to [-clip, clip]; see :meth:`normalize`."""
        add = arrays.number(epsilon, "epsilon", above=0.0)
        limit = math.inf if isinstance(clip, float) and clip == math.inf else arrays.number(clip, "clip", above=0.0)
        n, mean, m2 = self.now()
        weight = n + self.prior_count
        scale = np.asarray(1.0 / np.sqrt((m2 / weight if weight > 0.0 else m2) + add))
        return self.scaled(x, mean, scale, limit, out)

    cdef object scaled(self, x, cnp.ndarray mean, cnp.ndarray scale, double limit, out):
        cdef cnp.ndarray array = taken(x, "x")
        cdef Py_ssize_t n = 1 if (<object>array).shape == self.shape else self.rows_of(array, "x")
        cdef cnp.ndarray result = arrays.out_array(out, (<object>array).shape, array.dtype, array)
        cdef void* source = cnp.PyArray_DATA(array)
        cdef void* target = cnp.PyArray_DATA(result)
        cdef const double* center = <const double*>cnp.PyArray_DATA(mean)
        cdef const double* factor = <const double*>cnp.PyArray_DATA(scale)
        cdef bint single = cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT, bad
        with nogil:
            if single:
                bad = standardize_rows(<const float*>source, n, self.d, center, factor, limit, <float*>target)
            else:
                bad = standardize_rows(<const double*>source, n, self.d, center, factor, limit, <double*>target)
        if bad:
            arrays.finite(array, "x")
            raise InvalidValueError("expected x within the range of its dtype when divided by std, got numbers that overflow")
        return result

    # -- state

    def reset(self):
        """Forget everything but the prior."""
        with nogil, self.lock:
            self.clear()

    def state_dict(self):
        """Return ``prior_count``, ``count`` (int), ``mean`` and ``m2``, copies."""
        n, mean, m2 = self.now()
        return {"prior_count": self.prior_count, "count": int(n), "mean": mean, "m2": m2}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of one of the same shape gave; all or nothing."""
        if not isinstance(state, dict) or set(state) != {"prior_count", "count", "mean", "m2"}:
            raise ConfigError(f"expected a dict with prior_count, count, mean and m2, got {state!r}")
        cdef double prior = arrays.number(state["prior_count"], "prior_count", minimum=0.0, maximum=MOST_SAMPLES)
        cdef double n = arrays.integer(state["count"], "count", minimum=0, maximum=int(MOST_SAMPLES))
        cdef cnp.ndarray mean = arrays.finite(arrays.floats(state["mean"], "mean", self.shape, np.float64), "mean")
        cdef cnp.ndarray m2 = arrays.finite(arrays.floats(state["m2"], "m2", self.shape, np.float64), "m2")
        if np.any(m2 < 0.0):
            raise InvalidValueError("expected m2 to be at least 0")
        if n + prior == 0.0 and (np.any(mean) or np.any(m2)):
            raise ConfigError("expected mean and m2 to be 0 where count is 0")
        cdef const double* mean_from = <const double*>cnp.PyArray_DATA(mean)
        cdef const double* m2_from = <const double*>cnp.PyArray_DATA(m2)
        with nogil, self.lock:
            self.prior_count, self.seen = prior, n
            memcpy(self.mean_, mean_from, self.d * sizeof(double))
            memcpy(self.m2_, m2_from, self.d * sizeof(double))

    def __reduce__(self):
        return _rebuild, (self.shape, self.state_dict())

    def __repr__(self):
        prior = f", prior_count={self.prior_count:g}" if self.prior_count else ""
        return f"RunningStatsVec({self.shape}{prior}, count={self.count()})"


def _rebuild(shape, state):
    made = RunningStatsVec(shape)
    made.load_state_dict(state)
    return made


cdef cnp.ndarray taken(value, str name):
    # as a C-contiguous float32 or float64 array
    if (cnp.PyArray_CheckExact(value) and cnp.PyArray_ISCARRAY_RO(value)
            and (cnp.PyArray_TYPE(value) == cnp.NPY_DOUBLE or cnp.PyArray_TYPE(value) == cnp.NPY_FLOAT)):
        return value
    return arrays.floats(value, name)
