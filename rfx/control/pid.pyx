"""PID controllers: one, or one for each joint."""

from collections import namedtuple

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.float cimport DBL_MAX
from libc.math cimport isfinite
from libc.string cimport memcpy, memset

from rfx.kernels.filters cimport within
from rfx.kernels.pid cimport PidGains, PidState, PidTerms, pid_step, pid_steps

import numpy as np

from rfx import arrays
from rfx.control.pid_config import ANTI_WINDUP, PidConfig
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

cnp.import_array()

Terms = namedtuple("Terms", ["p", "i", "d", "unclamped", "output", "saturated"], module=__name__)

cdef tuple KEYS = ("integral", "previous", "derivative", "started")
cdef tuple LAST = ("error", "p", "i", "d", "unclamped", "output")  # what terms and set_gains go by


cdef double real_number(object value, str name) except? -1.0:
    """Return ``value`` as a finite double; rfx.arrays.number for all but an exact, finite float."""
    if PyFloat_CheckExact(value) and isfinite(PyFloat_AS_DOUBLE(value)):
        return PyFloat_AS_DOUBLE(value)
    return arrays.number(value, name)


cdef double positive(object value) except? -1.0:
    """Return dt."""
    if PyFloat_CheckExact(value) and 0.0 < PyFloat_AS_DOUBLE(value) <= DBL_MAX:
        return PyFloat_AS_DOUBLE(value)
    return arrays.number(value, "dt", above=0)


cdef cnp.ndarray finite_doubles(object value, str name, Py_ssize_t n):
    """Return n finite numbers as a float64 array; rfx.arrays for all but exactly that."""
    cdef cnp.ndarray array
    if cnp.PyArray_CheckExact(value):
        array = value
        if (cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE and cnp.PyArray_NDIM(array) == 1
                and cnp.PyArray_DIM(array, 0) == n and cnp.PyArray_ISCARRAY_RO(array)
                and within(<const double*>cnp.PyArray_DATA(array), DBL_MAX, n)):
            return array
    return arrays.finite(arrays.floats(value, name, (n,)), name).astype(np.float64, copy=False)


cdef object checked_config(config, name):
    if not isinstance(config, PidConfig):
        raise DTypeError(f"expected {name} to be a PidConfig, got {type(config).__name__}")
    return config


cdef PidGains gains_of(config):
    cdef PidGains g
    g.kp, g.ki, g.kd = config.kp, config.ki, config.kd
    g.output_min, g.output_max = config.output_min, config.output_max
    g.integral_limit = config.integral_limit
    g.derivative_alpha = config.derivative_alpha
    g.back_gain = config.back_calculation_gain
    g.anti_windup = ANTI_WINDUP.index(config.anti_windup)
    g.on_measurement = config.derivative_on == "measurement"
    return g


cdef class Pid:
    """A PID controller.

    Parameters
    ----------
    config : PidConfig, optional
        By default a plain P controller with gain 1.

    Notes
    -----
    The first update has no derivative term, whatever the measurement. See :class:`PidConfig` for the limits and
    rfx/kernels/pid.pyx for the formula. Threads may share one: updates take turns.
    """

    cdef object made_of          # the PidConfig of the start; gains may have changed since
    cdef PidGains gains
    cdef PidState state
    cdef PidTerms last
    cdef double error
    cdef cython.pymutex lock     # over all that is C above; held around C only

    def __cinit__(self, *args, **kwargs):
        self.made_of = PidConfig()  # so that a subclass that forgets __init__ has a whole controller
        self.gains = gains_of(self.made_of)

    def __init__(self, config=None):
        made_of = PidConfig() if config is None else checked_config(config, "config")
        cdef PidGains g = gains_of(made_of)
        self.made_of = made_of
        with self.lock:
            self.gains = g

    @classmethod
    def p(cls, kp):
        """Return a P controller."""
        return cls(PidConfig(kp))

    @classmethod
    def pi(cls, kp, ki):
        """Return a PI controller."""
        return cls(PidConfig(kp, ki))

    @classmethod
    def pd(cls, kp, kd):
        """Return a PD controller."""
        return cls(PidConfig(kp, 0.0, kd))

    @classmethod
    def pid(cls, kp, ki, kd):
        """Return a PID controller."""
        return cls(PidConfig(kp, ki, kd))

    def update(self, setpoint, measurement, dt):
        """Take one measurement and return the output.

        Parameters
        ----------
        setpoint, measurement : float
            In the same unit.
        dt : float
            Time since the last update (s), above 0.

        Raises
        ------
        InvalidValueError
            NaN, infinity, dt of 0 or less, or a result too large for a float; the controller stays as it was.
        """
        cdef double target = real_number(setpoint, "setpoint")
        cdef double measured = real_number(measurement, "measurement")
        cdef double step = positive(dt)
        cdef PidTerms terms
        cdef PidState next
        cdef bint good
        with self.lock:
            next = pid_step(&self.gains, &self.state, target, measured, step, &terms)
            good = isfinite(terms.unclamped) and isfinite(next.integral) and isfinite(next.derivative)
            if good:
                self.state, self.last, self.error = next, terms, target - measured
        if not good:
            raise InvalidValueError(f"the output overflows: setpoint {target:g}, measurement {measured:g}, dt {step:g}")
        return terms.output

    @property
    def config(self):
        """The configuration with the present gains."""
        cdef PidGains g
        with self.lock:
            g = self.gains
        return self.made_of.with_gains(g.kp, g.ki, g.kd)

    @property
    def terms(self):
        """The parts of the last output: p, i, d, unclamped, output, saturated; zeros before the first update."""
        cdef PidTerms t
        with self.lock:
            t = self.last
        return Terms(t.p, t.i, t.d, t.unclamped, t.output, t.unclamped != t.output)

    def set_gains(self, kp, ki, kd):
        """Change the gains without a bump: at the last error the output stays as it was.

        The integral takes up the difference, within its limit. With ki = 0 it cannot, and starts from 0 again.
        """
        cdef PidGains g = gains_of(self.made_of.with_gains(kp, ki, kd))
        cdef double kept = 0.0, integral = 0.0
        cdef bint good
        with self.lock:
            if self.state.started and g.ki != 0.0:
                kept = self.last.output - g.kp * self.error - g.kd * self.state.derivative
                integral = min(max(kept / g.ki, -g.integral_limit), g.integral_limit)
            good = isfinite(kept) and isfinite(integral)
            if good:
                self.state.integral = integral
                self.gains = g
        if not good:
            raise InvalidValueError(f"ki {ki:g} is too small to take up the present output {self.terms.output:g}")

    def reset(self):
        """Forget everything but the configuration."""
        with self.lock:
            memset(&self.state, 0, sizeof(PidState))
            memset(&self.last, 0, sizeof(PidTerms))
            self.error = 0.0

    def state_dict(self):
        """Return what the controller remembers, the last terms among it, as plain values."""
        cdef PidState s
        cdef PidTerms t
        cdef double error
        with self.lock:
            s, t, error = self.state, self.last, self.error
        return {"integral": s.integral, "previous": s.previous, "derivative": s.derivative, "started": bool(s.started),
                "error": error, "p": t.p, "i": t.i, "d": t.d, "unclamped": t.unclamped, "output": t.output}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        v = [float(row[0]) for row in checked_state(state, KEYS + LAST, 1)]
        cdef PidState s = PidState(v[0], v[1], v[2], v[3] != 0)
        cdef PidTerms t = PidTerms(v[5], v[6], v[7], v[8], v[9])
        cdef double error = v[4]
        with self.lock:
            self.state, self.last, self.error = s, t, error

    def __reduce__(self):
        return _rebuild, (type(self), (self.config,), self.state_dict())

    def __repr__(self):
        c = self.config
        return f"Pid(kp={c.kp:g}, ki={c.ki:g}, kd={c.kd:g})"


cdef object checked_state(state, tuple keys, Py_ssize_t n):
    if not isinstance(state, dict) or set(state) != set(keys):
        raise ConfigError(f"expected a dict with {', '.join(keys)}")
    rows = [arrays.finite(arrays.floats(state[k], k), k).astype(np.float64) for k in keys]
    return [arrays.floats(row.reshape(1) if row.ndim == 0 else row, k, (n,)) for k, row in zip(keys, rows, strict=True)]


def _rebuild(cls, arguments, state):
    made = cls(*arguments)
    made.load_state_dict(state)
    return made


cdef class PidArray:
    """One PID controller for each of n joints, updated together without the GIL.

    Parameters
    ----------
    config : PidConfig, or n of them
        For all, or for each.
    n : int
        How many; 12 for the Go2. Where a sequence of configurations is given it counts.
    """

    cdef readonly tuple configs
    cdef readonly Py_ssize_t n
    cdef PidGains* gains
    cdef PidState* state
    cdef PidState* spare
    cdef cython.pymutex lock     # over state and spare; held around C only

    def __cinit__(self, config, n=12):
        if isinstance(config, PidConfig):
            self.configs = (config,) * arrays.integer(n, "n", minimum=1, maximum=100_000)
        else:
            try:
                self.configs = tuple([checked_config(c, f"config[{i}]") for i, c in enumerate(config)])
            except TypeError as error:
                if isinstance(error, DTypeError):
                    raise
                raise DTypeError(f"expected config to be a PidConfig or some, got {type(config).__name__}") from error
            if not self.configs:
                raise ShapeError("expected at least one PidConfig, got none")
        self.n = len(self.configs)
        self.gains = <PidGains*>PyMem_Calloc(self.n, sizeof(PidGains))
        self.state = <PidState*>PyMem_Calloc(self.n, sizeof(PidState))
        self.spare = <PidState*>PyMem_Calloc(self.n, sizeof(PidState))
        if self.gains == NULL or self.state == NULL or self.spare == NULL:
            raise MemoryError()
        for i in range(self.n):
            self.gains[i] = gains_of(self.configs[i])

    def __dealloc__(self):
        PyMem_Free(self.gains)
        PyMem_Free(self.state)
        PyMem_Free(self.spare)

    def update(self, setpoint, measurement, dt, out=None):
        """Take n measurements and return n outputs; see :meth:`Pid.update`.

        Parameters
        ----------
        setpoint, measurement : array_like, shape (n,)
        dt : float
            Time since the last update (s), above 0.
        out : ndarray, shape (n,), float64, optional

        Returns
        -------
        ndarray, shape (n,), float64
            ``out`` if it was given; after an error its content is undefined.
        """
        cdef cnp.npy_intp n = self.n
        cdef cnp.ndarray target = finite_doubles(setpoint, "setpoint", n)
        cdef cnp.ndarray measured = finite_doubles(measurement, "measurement", n)
        cdef double step = positive(dt)
        cdef cnp.ndarray array
        cdef bint good
        if out is None:
            array = cnp.PyArray_SimpleNew(1, &n, cnp.NPY_DOUBLE)
        else:
            array = arrays.out_array(out, (self.n,), np.float64, target, measured)
        cdef const double* targets = <const double*>cnp.PyArray_DATA(target)
        cdef const double* seen = <const double*>cnp.PyArray_DATA(measured)
        cdef double* result = <double*>cnp.PyArray_DATA(array)
        with nogil, self.lock:
            good = pid_steps(self.gains, self.state, targets, seen, step, self.spare, result, n)
            if good:
                memcpy(self.state, self.spare, n * sizeof(PidState))
        if not good:
            raise InvalidValueError(f"an output overflows; dt is {step:g}")
        return array

    def reset(self):
        """Forget everything but the configurations."""
        with self.lock:
            memset(self.state, 0, self.n * sizeof(PidState))

    def state_dict(self):
        """Return what the controllers remember: four arrays of shape (n,), copies."""
        cdef double[:, ::1] rows = np.empty((4, self.n))
        cdef Py_ssize_t i
        with nogil, self.lock:
            for i in range(self.n):
                rows[0, i], rows[1, i] = self.state[i].integral, self.state[i].previous
                rows[2, i], rows[3, i] = self.state[i].derivative, self.state[i].started
        return {key: np.array(rows[k]) for k, key in enumerate(KEYS)}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        cdef double[:, ::1] rows = np.array(checked_state(state, KEYS, self.n))
        cdef Py_ssize_t i
        with nogil, self.lock:
            for i in range(self.n):
                self.state[i] = PidState(rows[0, i], rows[1, i], rows[2, i], rows[3, i] != 0.0)

    def __reduce__(self):
        return _rebuild, (type(self), (self.configs,), self.state_dict())

    def __repr__(self):
        return f"PidArray(n={self.n})"
