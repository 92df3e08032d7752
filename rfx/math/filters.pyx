"""Filters for sensor signals, sample by sample.

Each works on single numbers, or with ``channels=n`` on arrays of n numbers at once. A sample that is not finite, or
beyond 1e150, raises InvalidValueError and leaves the filter as it was.
"""

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_CheckExact
from libc.math cimport M_PI, M_SQRT2, fabs, tan
from libc.string cimport memcpy, memset

from rfx.kernels.filters cimport biquad, derivative, low_pass, moving_average, within

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError

cnp.import_array()

LARGEST_SAMPLE = 1e150  # what is larger could overflow inside a filter and poison it
cdef double LARGEST = LARGEST_SAMPLE
cdef double LARGEST_STATE = 1e170  # the same for what is loaded: sums and rates of such samples stay below


cdef cnp.ndarray as_doubles(object x, str name, Py_ssize_t n):
    """Return n numbers as a float64 array that C can read; rfx.arrays for all but exactly that."""
    cdef cnp.ndarray array
    if cnp.PyArray_CheckExact(x):
        array = x
        if (cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE and cnp.PyArray_NDIM(array) == 1
                and cnp.PyArray_DIM(array, 0) == n and cnp.PyArray_ISCARRAY_RO(array)):
            return array
    return arrays.floats(x, name, (n,)).astype(np.float64, copy=False)


cdef cnp.ndarray checked_doubles(object x, str name, Py_ssize_t n, double largest):
    """Return n numbers within ``largest`` of 0 as a float64 array."""
    array = as_doubles(x, name, n)
    if not within(<const double*>cnp.PyArray_DATA(array), largest, n):
        raise too_large(array, name, largest)
    return array


cdef object too_large(cnp.ndarray array, str name, double largest):
    try:
        arrays.finite(array, name)
    except InvalidValueError as error:
        return error
    return InvalidValueError(f"expected {name} within {largest:g} of 0, got up to {np.abs(array).max():g} from it")


cdef class Filter:
    """Base of the filters: a number or (channels,) numbers in, the same out. Threads may share one: updates take turns.

    One block of float64 holds all state and, behind it, the last value, so that it can be copied and restored whole.
    """

    cdef readonly object channels
    cdef Py_ssize_t n, seen, size
    cdef double* state
    cdef double* last
    cdef cnp.ndarray block
    cdef cython.pymutex lock  # over state, last and seen; held around C only
    cdef tuple arguments

    def __init__(self):
        raise TypeError("Filter is a base class; make a LowPassFilter or one of its siblings")

    cdef int setup(self, channels, Py_ssize_t per_channel, tuple arguments) except -1:
        if self.state != NULL:
            raise InvalidStateError(f"this {type(self).__name__} is made already; make a new one")
        n = 1 if channels is None else arrays.integer(channels, "channels", minimum=1, maximum=1_000_000)
        self.block = np.zeros((per_channel + 1) * n)
        self.channels = None if channels is None else n
        self.n, self.size = n, per_channel * n
        self.arguments = arguments
        self.state = <double*>cnp.PyArray_DATA(self.block)
        self.last = self.state + self.size
        return 0

    cdef int ready(self) except -1:
        if self.state == NULL:
            raise InvalidStateError(f"this {type(self).__name__} was never set up: __init__ was not called")
        return 0

    cdef void begin(self) noexcept nogil:
        # put the state to where it starts; zero unless a filter says otherwise
        memset(self.state, 0, (self.size + self.n) * sizeof(double))

    cdef void step(self, const double* x, double* out) noexcept nogil:
        pass

    def update(self, x, out=None):
        """Take one sample and return the filtered value.

        Parameters
        ----------
        x : float, or array_like of shape (channels,)
        out : ndarray, shape (channels,), float64, optional
            Where to write the result; only with channels.

        Returns
        -------
        float, or ndarray of shape (channels,)

        Raises
        ------
        InvalidValueError
            A sample is NaN or infinite; the filter stays as it was.
        ShapeError, DTypeError
            Not one number, or not ``channels`` of them.
        """
        cdef double sample, result
        cdef cnp.npy_intp n = self.n
        cdef cnp.ndarray given, array
        cdef const double* samples
        cdef double* results
        cdef bint good
        self.ready()
        if self.channels is None:
            if out is not None:
                raise DTypeError("expected no out: this filter has a single channel and returns a float")
            sample = <double>x if PyFloat_CheckExact(x) else arrays.number(x, "x")
            if not fabs(sample) <= LARGEST:
                raise InvalidValueError(f"expected x to be finite and within {LARGEST:g} of 0, got {sample}")
            with self.lock:
                self.step(&sample, &result)
                self.last[0] = result
                self.seen += 1
            return result
        given = as_doubles(x, "x", n)
        if out is None:
            array = cnp.PyArray_SimpleNew(1, &n, cnp.NPY_DOUBLE)
        else:
            array = arrays.out_array(out, (self.n,), np.float64, given)
        samples, results = <const double*>cnp.PyArray_DATA(given), <double*>cnp.PyArray_DATA(array)
        with nogil:
            good = within(samples, LARGEST, n)
            if good:
                with self.lock:
                    self.step(samples, results)
                    memcpy(self.last, results, n * sizeof(double))
                    self.seen += 1
        if not good:
            raise too_large(given, "x", LARGEST)
        return array

    @property
    def value(self):
        """The value that the last update returned, or the initial one: a float or a copy of shape (channels,)."""
        cdef cnp.ndarray array
        self.ready()
        array = np.empty(self.n)
        with self.lock:
            memcpy(cnp.PyArray_DATA(array), self.last, self.n * sizeof(double))
        return float(array[0]) if self.channels is None else array

    def reset(self):
        """Forget all samples."""
        self.ready()
        with self.lock:
            self.begin()
            self.seen = 0

    def state_dict(self):
        """Return what has been seen so far, as plain values and copies."""
        cdef cnp.ndarray block
        cdef Py_ssize_t seen
        self.ready()
        block = np.empty(self.size + self.n)
        with self.lock:
            memcpy(cnp.PyArray_DATA(block), self.state, (self.size + self.n) * sizeof(double))
            seen = self.seen
        return {"state": block[: self.size].copy(), "value": block[self.size :].copy(), "seen": seen}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a filter of the same kind gave; on an error nothing changes."""
        cdef cnp.ndarray block, last
        cdef Py_ssize_t seen
        self.ready()
        if not isinstance(state, dict) or set(state) != {"state", "value", "seen"}:
            raise ConfigError("expected a dict with state, value and seen")
        block = checked_doubles(state["state"], "state", self.size, LARGEST_STATE)
        last = checked_doubles(state["value"], "value", self.n, LARGEST_STATE)
        seen = arrays.integer(state["seen"], "seen", minimum=0, maximum=1 << 62)
        with self.lock:
            memcpy(self.state, cnp.PyArray_DATA(block), self.size * sizeof(double))
            memcpy(self.last, cnp.PyArray_DATA(last), self.n * sizeof(double))
            self.seen = seen

    def __reduce__(self):
        return _rebuild, (type(self), self.arguments, self.channels, self.state_dict())

    def __repr__(self):
        if self.state == NULL:
            return f"<{type(self).__name__} that was never set up>"
        channels = "" if self.channels is None else f", channels={self.channels}"
        return f"{type(self).__name__}({', '.join([f'{a:g}' for a in self.arguments])}{channels})"


def _rebuild(cls, arguments, channels, state):
    if issubclass(cls, LowPassFilter):
        made = cls(arguments[0], channels=channels, initial=arguments[1])
    else:
        made = cls(*arguments, channels=channels)
    made.load_state_dict(state)
    return made


cdef class LowPassFilter(Filter):
    """First-order low-pass: ``y = alpha x + (1 - alpha) y``.

    Parameters
    ----------
    alpha : float
        Share of the new sample, 0 to 1; 1 lets everything through.
    channels : int, optional
    initial : float
        Where ``y`` starts. The default 0 makes the first values climb from 0.
    """

    cdef readonly double alpha
    cdef double initial

    def __init__(self, alpha, *, channels=None, initial=0.0):
        share = arrays.number(alpha, "alpha", minimum=0.0, maximum=1.0)
        start = arrays.number(initial, "initial", minimum=-LARGEST, maximum=LARGEST)
        self.setup(channels, 1, (share, start))
        self.alpha, self.initial = share, start
        self.begin()

    @classmethod
    def from_cutoff(cls, cutoff_hz, sample_rate_hz, *, channels=None, initial=0.0):
        """Return the filter with this cutoff: alpha = dt / (rc + dt), rc = 1 / (2 pi cutoff)."""
        cutoff = arrays.number(cutoff_hz, "cutoff_hz", above=0)
        rate = arrays.number(sample_rate_hz, "sample_rate_hz", above=0)
        ratio = 2.0 * M_PI * cutoff / rate
        alpha = ratio / (1.0 + ratio) if ratio < 1e300 else 1.0
        return cls(alpha, channels=channels, initial=initial)

    cdef void begin(self) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(2 * self.n):  # the state and the last value
            self.state[i] = self.initial

    cdef void step(self, const double* x, double* out) noexcept nogil:
        low_pass(&self.state[0], x, out, self.alpha, self.n)


cdef class MovingAverageFilter(Filter):
    """Mean of the last ``window`` samples; of all samples while there are fewer.

    The running sum is compensated and renewed each time the window comes round: no drift, however long it runs. Every
    update costs the same, whatever the window.
    """

    cdef readonly Py_ssize_t window

    def __init__(self, window=10, *, channels=None):
        length = arrays.integer(window, "window", minimum=1, maximum=10_000_000)
        self.setup(channels, length + 4, (length,))
        self.window = length

    cdef void step(self, const double* x, double* out) noexcept nogil:
        cdef Py_ssize_t n = self.n
        moving_average(&self.state[4 * n], &self.state[0], self.window, self.seen, x, out, n)


cdef class DerivativeFilter(Filter):
    """Rate of change by differences, smoothed by a first-order low-pass; 0 at the first sample.

    Parameters
    ----------
    sample_rate_hz : float
        Above 0.
    smoothing_alpha : float
        Share of the new difference, 0 to 1; 1 does not smooth.
    """

    cdef readonly double sample_rate_hz
    cdef readonly double smoothing_alpha

    def __init__(self, sample_rate_hz, smoothing_alpha=1.0, *, channels=None):
        rate = arrays.number(sample_rate_hz, "sample_rate_hz", above=0, maximum=1e12)
        share = arrays.number(smoothing_alpha, "smoothing_alpha", minimum=0.0, maximum=1.0)
        self.setup(channels, 2, (rate, share))
        self.sample_rate_hz, self.smoothing_alpha = rate, share

    cdef void step(self, const double* x, double* out) noexcept nogil:
        derivative(&self.state[0], &self.state[self.n], self.seen == 0, x, out, self.sample_rate_hz,
                   self.smoothing_alpha, self.n)


cdef class ButterworthFilter(Filter):
    """Second-order Butterworth low-pass, by the bilinear transform with prewarping.

    Parameters
    ----------
    cutoff_hz : float
        Where the gain is 1/sqrt(2); at least 1e-6 of the sample rate and below half of it. Further down the
        coefficients run out of digits: at 1e-8 a constant signal would come out 5 % too large, at 1e-9 without bound.
    sample_rate_hz : float

    Notes
    -----
    With k = tan(pi cutoff / rate) and d = 1 + sqrt(2) k + k^2: b = (k^2, 2 k^2, k^2) / d,
    a = (1, 2 (k^2 - 1) / d, (1 - sqrt(2) k + k^2) / d). The same as ``scipy.signal.butter(2, cutoff, fs=rate)``.
    """

    cdef double[5] c

    def __init__(self, cutoff_hz, sample_rate_hz, *, channels=None):
        rate = arrays.number(sample_rate_hz, "sample_rate_hz", above=0)
        cutoff = arrays.number(cutoff_hz, "cutoff_hz", above=0, minimum=1e-6 * rate, below=rate / 2)
        cdef double k = tan(M_PI * <double>cutoff / <double>rate)
        cdef double d = 1.0 + M_SQRT2 * k + k * k
        self.setup(channels, 2, (cutoff, rate))
        self.c = [k * k / d, 2.0 * k * k / d, k * k / d, 2.0 * (k * k - 1.0) / d, (1.0 - M_SQRT2 * k + k * k) / d]

    @property
    def coefficients(self):
        """b0, b1, b2, a1, a2 with a0 = 1."""
        return tuple([self.c[i] for i in range(5)])

    cdef void step(self, const double* x, double* out) noexcept nogil:
        biquad(&self.state[0], self.c, x, out, self.n)
