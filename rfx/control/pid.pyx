"""PID controllers: one, or one for each joint."""

import threading
from collections import namedtuple

import numpy as np

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport isfinite
from libc.string cimport memcpy, memset

from rfx.kernels.pid cimport PidGains, PidState, PidTerms, pid_step, pid_steps

from rfx import arrays
from rfx.control.pid_config import ANTI_WINDUP, PidConfig
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError

Terms = namedtuple("Terms", ["p", "i", "d", "unclamped", "output", "saturated"], module=__name__)

cdef tuple KEYS = ("integral", "previous", "derivative", "started")
cdef tuple LAST = ("error", "p", "i", "d", "unclamped", "output")  # what terms and set_gains go by


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

    cdef readonly object config
    cdef PidGains gains
    cdef PidState state
    cdef PidTerms last
    cdef double error
    cdef object lock

    def __init__(self, config=None):
        self.config = PidConfig() if config is None else checked_config(config, "config")
        self.gains = gains_of(self.config)
        self.lock = threading.Lock()

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
        cdef double target = arrays.number(setpoint, "setpoint")
        cdef double measured = arrays.number(measurement, "measurement")
        cdef double step = arrays.number(dt, "dt", above=0)
        cdef PidTerms terms
        cdef PidState next
        with self.lock:
            next = pid_step(&self.gains, &self.state, target, measured, step, &terms)
            if not (isfinite(terms.unclamped) and isfinite(next.integral) and isfinite(next.derivative)):
                raise InvalidValueError(f"the output overflows: setpoint {target:g}, measurement {measured:g}, dt {step:g}")
            self.state, self.last, self.error = next, terms, target - measured
            return terms.output

    @property
    def terms(self):
        """The parts of the last output: p, i, d, unclamped, output, saturated; zeros before the first update."""
        with self.lock:
            t = self.last
            return Terms(t.p, t.i, t.d, t.unclamped, t.output, t.unclamped != t.output)

    def set_gains(self, kp, ki, kd):
        """Change the gains without a bump: at the last error the output stays as it was.

        The integral takes up the difference, within its limit. With ki = 0 it cannot, and starts from 0 again.
        """
        config = self.config.with_gains(kp, ki, kd)
        cdef PidGains g = gains_of(config)
        cdef double kept, integral = 0.0
        with self.lock:
            if self.state.started and g.ki != 0.0:
                kept = self.last.output - g.kp * self.error - g.kd * self.state.derivative
                integral = min(max(kept / g.ki, -g.integral_limit), g.integral_limit)
                if not isfinite(integral):
                    raise InvalidValueError(f"ki {ki:g} is too small to take up the present output {self.last.output:g}")
            self.state.integral = integral
            self.gains, self.config = g, config

    def reset(self):
        """Forget everything but the configuration."""
        with self.lock:
            memset(&self.state, 0, sizeof(PidState))
            memset(&self.last, 0, sizeof(PidTerms))
            self.error = 0.0

    def state_dict(self):
        """Return what the controller remembers, the last terms among it, as plain values."""
        with self.lock:
            s, t = self.state, self.last
            return {"integral": s.integral, "previous": s.previous, "derivative": s.derivative, "started": bool(s.started),
                    "error": self.error, "p": t.p, "i": t.i, "d": t.d, "unclamped": t.unclamped, "output": t.output}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        v = [float(row[0]) for row in checked_state(state, KEYS + LAST, 1)]
        with self.lock:
            self.state = PidState(v[0], v[1], v[2], v[3] != 0)
            self.error = v[4]
            self.last = PidTerms(v[5], v[6], v[7], v[8], v[9])

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
    cdef object lock

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
        self.lock = threading.Lock()
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
        targets = arrays.finite(arrays.floats(setpoint, "setpoint", (self.n,)), "setpoint").astype(np.float64, copy=False)
        seen = arrays.finite(arrays.floats(measurement, "measurement", (self.n,)), "measurement")
        seen = seen.astype(np.float64, copy=False)
        array = arrays.out_array(out, (self.n,), np.float64, targets, seen)
        cdef const double[::1] target = targets
        cdef const double[::1] measured = seen
        cdef double[::1] result = array
        cdef double step = arrays.number(dt, "dt", above=0)
        cdef bint good
        with self.lock:
            with nogil:
                good = pid_steps(
                    self.gains, self.state, &target[0], &measured[0], step, self.spare, &result[0], self.n)
            if good:
                memcpy(self.state, self.spare, self.n * sizeof(PidState))
        if not good:
            raise InvalidValueError(f"an output overflows; dt is {step:g}")
        return array

    def reset(self):
        """Forget everything but the configurations."""
        with self.lock:
            memset(self.state, 0, self.n * sizeof(PidState))

    def state_dict(self):
        """Return what the controllers remember: four arrays of shape (n,), copies."""
        with self.lock:
            rows = [(self.state[i].integral, self.state[i].previous, self.state[i].derivative, self.state[i].started)
                    for i in range(self.n)]
        return {key: np.array([row[k] for row in rows], float) for k, key in enumerate(KEYS)}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        integral, previous, derivative, started = checked_state(state, KEYS, self.n)
        with self.lock:
            for i in range(self.n):
                self.state[i] = PidState(integral[i], previous[i], derivative[i], started[i] != 0)

    def __reduce__(self):
        return _rebuild, (type(self), (self.configs,), self.state_dict())

    def __repr__(self):
        return f"PidArray(n={self.n})"
