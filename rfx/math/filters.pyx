"""Filters for sensor signals, sample by sample.

Each works on single numbers, or with ``channels=n`` on arrays of n numbers at once. A sample that is not finite, or
beyond 1e150, raises InvalidValueError and leaves the filter as it was.
"""

import threading

import numpy as np

from libc.math cimport M_PI, M_SQRT2, fabs, tan

from rfx.kernels.filters cimport biquad, derivative, low_pass, moving_average

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

cdef double LARGEST = 1e150  # what is larger could overflow inside a filter and poison it
cdef double LARGEST_STATE = 1e170  # the same for what is loaded: sums and rates of such samples stay below


cdef object sample_of(x, Py_ssize_t n):
    # n finite numbers as float64
    given = arrays.finite(arrays.floats(x, "x", (n,)), "x").astype(np.float64, copy=False)
    if np.abs(given).max() > LARGEST:
        raise InvalidValueError(f"expected x within {LARGEST:g} of 0, got {np.abs(given).max():g}")
    return given


cdef object loadable(values, name, Py_ssize_t n):
    given = arrays.finite(arrays.floats(values, name, (n,)), name)
    if np.abs(given).max() > LARGEST_STATE:
        raise InvalidValueError(f"expected {name} within {LARGEST_STATE:g} of 0, got {np.abs(given).max():g}")
    return given


cdef class Filter:
    """Base of the filters: a number or (channels,) numbers in, the same out.

    One block of float64 holds all state, so that it can be copied, moved and restored whole.
    """

    cdef readonly object channels
    cdef Py_ssize_t n
    cdef Py_ssize_t seen
    cdef double[::1] state
    cdef double[::1] last
    cdef object lock
    cdef tuple arguments

    def __init__(self):
        raise TypeError("Filter is a base class; make a LowPassFilter or one of its siblings")

    cdef int setup(self, channels, Py_ssize_t per_channel, tuple arguments) except -1:
        self.channels = None if channels is None else arrays.integer(channels, "channels", minimum=1, maximum=1_000_000)
        self.n = 1 if channels is None else self.channels
        self.state = np.zeros(per_channel * self.n)
        self.last = np.zeros(self.n)
        self.lock = threading.Lock()
        self.arguments = arguments
        return 0

    cdef void begin(self) noexcept:
        # put the state to where it starts; zero unless a filter says otherwise
        self.state[:] = 0.0
        self.last[:] = 0.0

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
        cdef double[::1] samples, results
        if self.channels is None:
            if out is not None:
                raise DTypeError("expected no out: this filter has a single channel and returns a float")
            sample = x if type(x) is float else arrays.number(x, "x")
            if not fabs(sample) <= LARGEST:
                raise InvalidValueError(f"expected x to be finite and within {LARGEST:g} of 0, got {sample}")
            with self.lock:
                self.step(&sample, &result)
                self.last[0] = result
                self.seen += 1
            return result
        given = sample_of(x, self.n)
        array = arrays.out_array(out, (self.n,), np.float64, given)
        samples, results = given, array
        with self.lock:
            with nogil:
                self.step(&samples[0], &results[0])
            self.last[:] = results
            self.seen += 1
        return array

    @property
    def value(self):
        """The value that the last update returned, or the initial one: a float or a copy of shape (channels,)."""
        with self.lock:
            return self.last[0] if self.channels is None else np.array(self.last)

    def reset(self):
        """Forget all samples."""
        with self.lock:
            self.begin()
            self.seen = 0

    def state_dict(self):
        """Return what has been seen so far, as plain values and copies."""
        with self.lock:
            return {"state": np.array(self.state), "value": np.array(self.last), "seen": self.seen}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a filter of the same kind gave; on an error nothing changes."""
        if not isinstance(state, dict) or set(state) != {"state", "value", "seen"}:
            raise ConfigError("expected a dict with state, value and seen")
        block = loadable(state["state"], "state", self.state.shape[0])
        last = loadable(state["value"], "value", self.n)
        cdef Py_ssize_t seen = arrays.integer(state["seen"], "seen", minimum=0, maximum=1 << 62)
        with self.lock:
            np.asarray(self.state)[:] = block
            np.asarray(self.last)[:] = last
            self.seen = seen

    def __reduce__(self):
        return _rebuild, (type(self), self.arguments, self.channels, self.state_dict())

    def __repr__(self):
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
        self.alpha = arrays.number(alpha, "alpha", minimum=0.0, maximum=1.0)
        self.initial = arrays.number(initial, "initial", minimum=-LARGEST, maximum=LARGEST)
        self.setup(channels, 1, (self.alpha, self.initial))
        self.begin()

    @classmethod
    def from_cutoff(cls, cutoff_hz, sample_rate_hz, *, channels=None, initial=0.0):
        """Return the filter with this cutoff: alpha = dt / (rc + dt), rc = 1 / (2 pi cutoff)."""
        cutoff = arrays.number(cutoff_hz, "cutoff_hz", above=0)
        rate = arrays.number(sample_rate_hz, "sample_rate_hz", above=0)
        ratio = 2.0 * M_PI * cutoff / rate
        alpha = ratio / (1.0 + ratio) if ratio < 1e300 else 1.0
        return cls(alpha, channels=channels, initial=initial)

    cdef void begin(self) noexcept:
        self.state[:] = self.initial
        self.last[:] = self.initial

    cdef void step(self, const double* x, double* out) noexcept nogil:
        low_pass(&self.state[0], x, out, self.alpha, self.n)


cdef class MovingAverageFilter(Filter):
    """Mean of the last ``window`` samples; of all samples while there are fewer.

    The running sum is compensated and renewed each time the window comes round: no drift, however long it runs. Every
    update costs the same, whatever the window.
    """

    cdef readonly Py_ssize_t window

    def __init__(self, window=10, *, channels=None):
        self.window = arrays.integer(window, "window", minimum=1, maximum=10_000_000)
        self.setup(channels, self.window + 4, (self.window,))

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
        self.sample_rate_hz = arrays.number(sample_rate_hz, "sample_rate_hz", above=0, maximum=1e12)
        self.smoothing_alpha = arrays.number(smoothing_alpha, "smoothing_alpha", minimum=0.0, maximum=1.0)
        self.setup(channels, 2, (self.sample_rate_hz, self.smoothing_alpha))

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
        self.c = [k * k / d, 2.0 * k * k / d, k * k / d, 2.0 * (k * k - 1.0) / d, (1.0 - M_SQRT2 * k + k * k) / d]
        self.setup(channels, 2, (cutoff, rate))

    @property
    def coefficients(self):
        """b0, b1, b2, a1, a2 with a0 = 1."""
        return tuple([self.c[i] for i in range(5)])

    cdef void step(self, const double* x, double* out) noexcept nogil:
        biquad(&self.state[0], self.c, x, out, self.n)


class Vector3Filter:
    """Three filters of single channels, one for each axis of a vector. Threads may share one: updates take turns.

    Parameters
    ----------
    x, y, z : Filter
        Three different objects without channels.
    """

    def __init__(self, x, y, z):
        for name, axis in (("x", x), ("y", y), ("z", z)):
            if not isinstance(axis, Filter):
                raise DTypeError(f"expected {name} to be a filter, got {type(axis).__name__}")
            if axis.channels is not None:
                raise ShapeError(f"expected {name} to be a filter of a single channel, it has {axis.channels}")
        if x is y or y is z or x is z:
            raise ConfigError("expected three different filters, one is given twice")
        self._axes = (x, y, z)
        self._lock = threading.RLock()  # the axes may be subclasses that come back here

    @classmethod
    def low_pass(cls, alpha):
        """Return three first-order low-passes."""
        return cls(LowPassFilter(alpha), LowPassFilter(alpha), LowPassFilter(alpha))

    @classmethod
    def moving_average(cls, window=10):
        """Return three moving averages."""
        return cls(MovingAverageFilter(window), MovingAverageFilter(window), MovingAverageFilter(window))

    @property
    def value(self):
        """The last filtered vector (3,), a copy."""
        with self._lock:
            return np.array([axis.value for axis in self._axes])

    def update(self, x, out=None):
        """Take one vector (3,) and return the filtered one; see :meth:`Filter.update`."""
        given = sample_of(x, 3)
        array = arrays.out_array(out, (3,), np.float64, given)
        with self._lock:
            for i, axis in enumerate(self._axes):
                array[i] = axis.update(float(given[i]))
        return array

    def reset(self):
        """Forget all samples."""
        with self._lock:
            for axis in self._axes:
                axis.reset()

    def state_dict(self):
        """Return what has been seen so far, by axis."""
        with self._lock:
            return {name: axis.state_dict() for name, axis in zip("xyz", self._axes, strict=True)}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        if not isinstance(state, dict) or set(state) != set("xyz"):
            raise ConfigError("expected a dict with x, y and z")
        with self._lock:
            before = [axis.state_dict() for axis in self._axes]
            try:
                for name, axis in zip("xyz", self._axes, strict=True):
                    axis.load_state_dict(state[name])
            except Exception:
                for axis, old in zip(self._axes, before, strict=True):
                    axis.load_state_dict(old)
                raise

    def __reduce__(self):
        return type(self), self._axes

    def __repr__(self):
        return f"Vector3Filter({', '.join(map(repr, self._axes))})"
