"""Observations and rewards brought to a common scale while their mean and variance are still being learnt.

The formulae are those of gymnasium's wrappers and of stable-baselines3's VecNormalize, whose results these give.
"""

cimport cython
cimport numpy as cnp

from libc.math cimport INFINITY, sqrt

from rfx.kernels.elementwise cimport divide_within, return_step

import math

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidValueError, ShapeError
from rfx.estimators.running_stats_vec import RunningStatsVec

cnp.import_array()


@cython.final
cdef class RunningObservationNormalizer:
    """``clip((x - mean) / sqrt(var + epsilon))`` with the mean and variance of all observations so far.

    Parameters
    ----------
    shape : int or tuple of int
        Of one observation.
    epsilon : float
        Above 0.
    clip : float or None
        Largest absolute value that comes out; None for no limit (gymnasium). stable-baselines3 takes 10.
    prior_count : float
        Weight of the start with mean 0 and variance 1, in samples; both libraries have 1e-4.

    Attributes
    ----------
    frozen : bool
        Whether the statistics stay as they are: set it for evaluation and on the robot.
    stats : RunningStatsVec

    Notes
    -----
    For one thread at a time.
    """

    cdef readonly object stats
    cdef readonly double epsilon
    cdef readonly object clip
    cdef public bint frozen

    def __cinit__(self, shape, *, epsilon=1e-8, clip=10.0, prior_count=1e-4):
        self.stats = RunningStatsVec(shape, prior_count=prior_count)
        self.epsilon = arrays.number(epsilon, "epsilon", above=0.0)
        self.clip = limit_of(clip)
        self.frozen = False

    def __call__(self, observations, out=None):
        """Add the observations to the statistics, unless frozen, and return them normalised.

        Parameters
        ----------
        observations : array_like, shape ``shape`` or (B, \\*shape)
        out : ndarray, optional
            Of the shape and dtype of observations.

        Returns
        -------
        ndarray
            float32 for float32, else float64.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Another shape; not real numbers; not finite: the statistics are as before.
        """
        x = arrays.floats(observations, "observations")
        if out is not None:
            arrays.out_array(out, x.shape, x.dtype, x)
        if not self.frozen:
            if x.shape == self.stats.shape:
                self.stats.update(x)
            else:
                self.stats.batch_update(x)
        return self.normalize(x, out)

    def normalize(self, observations, out=None):
        """Return the observations normalised, without adding them."""
        return self.stats.standardize(observations, epsilon=self.epsilon, clip=self.clip or math.inf, out=out)

    def denormalize(self, observations):
        """Return what :meth:`normalize` was given, up to the clip; float64."""
        x = arrays.finite(arrays.floats(observations, "observations"), "observations")
        if x.shape != self.stats.shape and x.shape[1:] != self.stats.shape:
            raise ShapeError(f"expected observations of shape {arrays.describe((None, *self.stats.shape))}, got {x.shape}")
        return x * np.sqrt(self.stats.var() + self.epsilon) + self.stats.mean()

    def state_dict(self):
        """Return ``stats`` and ``frozen``."""
        return {"stats": self.stats.state_dict(), "frozen": self.frozen}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; all or nothing."""
        check_state(state, {"stats", "frozen"})
        self.stats.load_state_dict(state["stats"])
        self.frozen = state["frozen"]

    def __reduce__(self):
        return _observations, (self.stats.shape, self.epsilon, self.clip, self.state_dict())

    def __repr__(self):
        return (f"RunningObservationNormalizer({self.stats.shape}, count={self.stats.count()}, clip={self.clip}, "
                f"frozen={self.frozen})")


def _observations(shape, epsilon, clip, state):
    made = RunningObservationNormalizer(shape, epsilon=epsilon, clip=clip)
    made.load_state_dict(state)
    return made


@cython.final
cdef class RunningRewardNormalizer:
    """Rewards divided by the standard deviation of the discounted returns so far; their mean is left alone.

    Parameters
    ----------
    num_envs : int
        At least 1.
    gamma : float
        Discount, 0 to 1.
    epsilon, clip, prior_count
        As in :class:`RunningObservationNormalizer`.
    convention : {"stable-baselines3", "gymnasium"}
        How the return of an environment goes on. "stable-baselines3": ``R = gamma R + r``, and 0 after the last step
        of an episode. "gymnasium": ``R = gamma R (1 - terminated) + r``, and 0 after the last step with
        ``autoreset="same_step"`` only.
    autoreset : {"same_step", "next_step"}
        With "next_step" the step after the end of an episode only resets: its reward is scaled, but not counted.

    Attributes
    ----------
    frozen : bool
        Whether the statistics stay as they are; the returns go on.
    stats : RunningStatsVec
        Of the returns, shape ().

    Notes
    -----
    For one thread at a time.
    """

    cdef readonly object stats
    cdef readonly Py_ssize_t num_envs
    cdef readonly double gamma, epsilon
    cdef readonly object clip
    cdef readonly str convention, autoreset
    cdef public bint frozen
    cdef object running         # (num_envs,) returns
    cdef object ended           # (num_envs,) whether the step before was the last of its episode

    def __cinit__(self, num_envs=1, *, gamma=0.99, epsilon=1e-8, clip=10.0, prior_count=1e-4,
                  convention="stable-baselines3", autoreset="same_step"):
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1)
        self.gamma = arrays.number(gamma, "gamma", minimum=0.0, maximum=1.0)
        self.epsilon = arrays.number(epsilon, "epsilon", above=0.0)
        self.clip = limit_of(clip)
        self.stats = RunningStatsVec((), prior_count=prior_count)
        if not isinstance(convention, str) or convention not in ("stable-baselines3", "gymnasium"):
            raise ConfigError(f"expected convention to be 'stable-baselines3' or 'gymnasium', got {convention!r}")
        if not isinstance(autoreset, str) or autoreset not in ("same_step", "next_step"):
            raise ConfigError(f"expected autoreset to be 'same_step' or 'next_step', got {autoreset!r}")
        self.convention, self.autoreset = convention, autoreset
        self.frozen = False
        self.running = np.zeros(self.num_envs)
        self.ended = np.zeros(self.num_envs, bool)

    def __call__(self, rewards, terminated, truncated):
        """Add the rewards of one step to the statistics, unless frozen, and return them scaled.

        Parameters
        ----------
        rewards : array_like, shape (num_envs,)
        terminated, truncated : array_like of bool, shape (num_envs,)

        Returns
        -------
        ndarray, shape (num_envs,)
            float32 for float32, else float64.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Another shape; not real numbers or not bool; not finite: all is as before.
        """
        given = arrays.floats(rewards, "rewards", (self.num_envs,))
        cdef cnp.ndarray x = arrays.finite(given, "rewards").astype(np.float64)
        cdef cnp.ndarray end = flags(terminated, "terminated", self.num_envs)
        cdef cnp.ndarray cut = flags(truncated, "truncated", self.num_envs)
        cdef cnp.ndarray returns = self.running.copy(), ended = self.ended.copy(), active = np.empty(self.num_envs)
        cdef bint gym = self.convention == "gymnasium"
        cdef bint skip = self.autoreset == "next_step", clear = not (gym and skip)
        cdef Py_ssize_t n
        cdef double* total = <double*>cnp.PyArray_DATA(returns)
        cdef double* taken = <double*>cnp.PyArray_DATA(active)
        cdef unsigned char* last = <unsigned char*>cnp.PyArray_DATA(ended)
        with nogil:
            n = return_step(<const double*>cnp.PyArray_DATA(x), <const unsigned char*>cnp.PyArray_DATA(end),
                            <const unsigned char*>cnp.PyArray_DATA(cut), self.num_envs, self.gamma, gym, skip, clear,
                            total, last, taken)
        if not self.frozen:
            self.stats.batch_update((<object>active)[:n])
        elif not np.isfinite(returns).all():
            raise InvalidValueError("expected rewards whose discounted sum is finite, got numbers that overflow")
        result = self.scaled(given)
        self.running, self.ended = returns, ended
        return result

    def normalize(self, rewards):
        """Return rewards of any shape scaled, without adding them."""
        given = arrays.floats(rewards, "rewards")
        return self.scaled(given)

    cdef object scaled(self, cnp.ndarray x):
        cdef cnp.ndarray result = np.empty((<object>x).shape, (<object>x).dtype)
        cdef double by = sqrt(<double>self.stats.var() + self.epsilon)
        cdef double limit = INFINITY if self.clip is None else <double>self.clip
        cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
        cdef void* source = cnp.PyArray_DATA(x)
        cdef void* target = cnp.PyArray_DATA(result)
        cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT, good
        with nogil:
            if single:
                good = divide_within(<const float*>source, by, limit, <float*>target, n)
            else:
                good = divide_within(<const double*>source, by, limit, <double*>target, n)
        if not good:
            arrays.finite(x, "rewards")
            raise InvalidValueError("expected rewards in the range of their dtype when scaled, got ones that overflow")
        return result

    @property
    def returns(self):
        """Discounted returns of the running episodes, shape (num_envs,), a copy."""
        return self.running.copy()

    def reset(self):
        """Start all episodes anew; the statistics stay."""
        self.running = np.zeros(self.num_envs)
        self.ended = np.zeros(self.num_envs, bool)

    def state_dict(self):
        """Return ``stats``, ``returns``, ``ended`` and ``frozen``."""
        return {"stats": self.stats.state_dict(), "returns": self.running.copy(), "ended": self.ended.copy(),
                "frozen": self.frozen}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of one with as many environments gave; all or nothing."""
        check_state(state, {"stats", "returns", "ended", "frozen"})
        returns = arrays.finite(arrays.floats(state["returns"], "returns", (self.num_envs,), np.float64), "returns")
        ended = flags(state["ended"], "ended", self.num_envs)
        self.stats.load_state_dict(state["stats"])
        self.running, self.ended, self.frozen = returns.copy(), np.array(ended), state["frozen"]

    def __reduce__(self):
        options = {"gamma": self.gamma, "epsilon": self.epsilon, "clip": self.clip, "convention": self.convention,
                   "autoreset": self.autoreset}
        return _rewards, (self.num_envs, options, self.state_dict())

    def __repr__(self):
        return (f"RunningRewardNormalizer({self.num_envs}, gamma={self.gamma:g}, count={self.stats.count()}, "
                f"std={math.sqrt(self.stats.var()):g}, convention={self.convention!r}, frozen={self.frozen})")


def _rewards(num_envs, options, state):
    made = RunningRewardNormalizer(num_envs, **options)
    made.load_state_dict(state)
    return made


cdef limit_of(clip):
    return None if clip is None else arrays.number(clip, "clip", above=0.0)


cdef check_state(state, set names):
    if not isinstance(state, dict) or set(state) != names:
        raise ConfigError(f"expected a dict with {', '.join(sorted(names))}, got {state!r}")
    if type(state["frozen"]) is not bool:
        raise DTypeError(f"expected frozen to be a bool, got {state['frozen']!r}")


cdef cnp.ndarray flags(value, str name, Py_ssize_t n):
    array = np.ascontiguousarray(value)
    if array.dtype != np.bool_:
        raise DTypeError(f"expected {name} to be bool, got dtype {array.dtype}")
    if array.shape != (n,):
        raise ShapeError(f"expected {name} of shape ({n},), got {array.shape}")
    return array
