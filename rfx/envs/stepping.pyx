"""Many environments at once: one call, one C loop, five arrays."""

cimport cython
cimport numpy as cnp
from cpython.ref cimport PyObject

from rfx.envs.batched cimport BatchedEnv

from rfx.envs.engine import SAME_STEP
from rfx.envs.engines import engine_of
from rfx.errors import DTypeError

cnp.import_array()

cdef int SAME = SAME_STEP


cdef extern from *:
    """
    /* Whether nobody else has a reference, which nobody can say without the GIL. */
    #if defined(Py_GIL_DISABLED)
    #define RFX_COUNTS 0
    #else
    #define RFX_COUNTS 1
    #endif
    #define RFX_SOLE(o) (RFX_COUNTS && Py_REFCNT(o) == 1)
    """
    bint COUNTS "RFX_COUNTS"
    bint sole "RFX_SOLE"(PyObject* o)


cdef inline object room(PyObject* used, Py_ssize_t rows, Py_ssize_t columns, int kind):
    # An array to write to: one that was used before if nobody has it any more and it still is what it was, else a new one.
    cdef cnp.npy_intp[2] shape
    cdef cnp.ndarray a
    if used != NULL and sole(used) and cnp.PyArray_CheckExact(<object>used):
        a = <object>used
        if (cnp.PyArray_ISCARRAY(a) and cnp.PyArray_CHKFLAGS(a, cnp.NPY_ARRAY_OWNDATA) and cnp.PyArray_TYPE(a) == kind
                and cnp.PyArray_NDIM(a) == (2 if columns else 1) and cnp.PyArray_DIM(a, 0) == rows
                and (columns == 0 or cnp.PyArray_DIM(a, 1) == columns)):
            return a
    shape[0], shape[1] = rows, columns
    return cnp.PyArray_SimpleNew(2 if columns else 1, shape, kind)


@cython.final
@cython.freelist(8)
cdef class StepBatch:
    """What one step of n environments gave.

    Attributes
    ----------
    obs : ndarray of float32, (n, obs_dim)
        To act on next: where an episode ended, the first of the next one.
    rewards : ndarray of float64, (n,)
    terminated, truncated : ndarray of bool, (n,)
    terminal_obs : ndarray of float32, (n, obs_dim)
        What the step led to, before any reset: ``next_obs`` for a replay buffer, the true final one where an episode ended.
    """

    cdef readonly object obs
    cdef readonly object rewards
    cdef readonly object terminated
    cdef readonly object truncated
    cdef readonly object terminal_obs

    def __init__(self, obs, rewards, terminated, truncated, terminal_obs):
        self.obs, self.rewards, self.terminated, self.truncated = obs, rewards, terminated, truncated
        self.terminal_obs = terminal_obs

    def __reduce__(self):
        return StepBatch, (self.obs, self.rewards, self.terminated, self.truncated, self.terminal_obs)

    def __repr__(self):
        return f"StepBatch(n={len(self.rewards)}, ended={int((self.terminated | self.truncated).sum())})"


cdef class VecEnv:
    """Many environments of one kind, stepped in one call without the GIL; an episode that ends begins anew at once.

    Parameters
    ----------
    env : str, callable, sequence of callables, or engine
        "CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1"; a class or factory of
        environments of Python (see :func:`rfx.envs.engine_of`); or what has the interface ``rfx.envs.engine.Engine``, for
        example a kind of one's own in Cython.
    num_envs : int
        At least 1. May be left out with an engine.
    seed : int
        Environment i draws from ``derive_seed(seed, i)``.
    workers : int
        How many processes environments of Python run in; 0 steps them in turn in this one.
    options
        Those of the environment: its physics, ``max_episode_steps``, and ``drift``, a dict of :class:`Drift` by name.

    Raises
    ------
    ConfigError
        No environment has this name, or the engine has another number of environments.
    """

    cdef readonly object env_id
    cdef readonly Py_ssize_t num_envs
    cdef readonly object observation_space
    cdef readonly object action_space
    cdef readonly object engine
    cdef BatchedEnv compiled         # the engine again where it is one of ours
    cdef Py_ssize_t obs_dim
    cdef StepBatch newer             # the last two batches: who drops them lets their arrays be used again
    cdef StepBatch older

    def __init__(self, env, num_envs=None, seed=0, workers=0, **options):
        name = env if isinstance(env, str) else getattr(env, "__name__", type(env).__name__)
        self.take_over(name, engine_of(env, num_envs, workers, options))
        self.reset_all(seed)

    cdef int take_over(self, str env_id, object engine) except -1:
        self.engine, self.compiled = engine, engine if isinstance(engine, BatchedEnv) else None
        self.env_id = env_id
        self.num_envs, self.obs_dim = engine.num_envs, engine.obs_dim
        self.observation_space, self.action_space = engine.observation_space, engine.action_space
        return 0

    def reset_all(self, seed=None):
        """Begin all episodes anew; with a seed the streams begin anew as well. Returns (n, obs_dim), a new array."""
        if seed is not None:
            self.engine.seed_from(seed)
        return self.engine.reset()

    def step_all(self, actions, out=None):
        """Take one step of each environment.

        Parameters
        ----------
        actions : array_like
            (n,) integers, or (n, k) numbers, float32 or what becomes it.
        out : StepBatch, optional
            Of an earlier step: its arrays are written over.

        Returns
        -------
        StepBatch

        Raises
        ------
        InvalidValueError, DTypeError, ShapeError
            An action is not in the space; no environment has taken a step then.
        EnvError
            An environment of Python raised or lost its process; the others have taken their step. ``engine.reset`` with a
            mask begins it anew.
        """
        cdef StepBatch b
        if out is None:
            b = self.unused()
        elif isinstance(out, StepBatch):
            b = out
        else:
            raise DTypeError(f"expected out to be a StepBatch, got {type(out).__name__}")
        if self.compiled is not None:
            self.compiled.take(actions, b.obs, b.rewards, b.terminated, b.truncated, b.terminal_obs, SAME)
        else:
            self.engine.step(actions, b.obs, b.rewards, b.terminated, b.truncated, b.terminal_obs, SAME)
        return b

    cdef StepBatch unused(self):
        # A batch that nobody has.
        cdef Py_ssize_t n = self.num_envs, d = self.obs_dim
        cdef StepBatch b = None
        if COUNTS:
            b = self.older
            self.older, self.newer = self.newer, None
        if b is None or not sole(<PyObject*>b):
            b = StepBatch.__new__(StepBatch)
        b.obs = room(<PyObject*>b.obs, n, d, cnp.NPY_FLOAT32)
        b.rewards = room(<PyObject*>b.rewards, n, 0, cnp.NPY_FLOAT64)
        b.terminated = room(<PyObject*>b.terminated, n, 0, cnp.NPY_BOOL)
        b.truncated = room(<PyObject*>b.truncated, n, 0, cnp.NPY_BOOL)
        b.terminal_obs = room(<PyObject*>b.terminal_obs, n, d, cnp.NPY_FLOAT32)
        if COUNTS:
            self.newer = b
        return b

    @property
    def physics(self):
        """The numbers of the physics as they are now: a dict of arrays, (n,) float64, copies."""
        return self.engine.physics

    def close(self):
        """Close environments of Python and end their processes; compiled ones need it not."""
        if hasattr(self.engine, "close"):
            self.engine.close()

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.close()

    def state_dict(self):
        """Return all that a run goes on from, a dict of arrays."""
        return self.engine.state_dict()

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of such environments gave; on an error nothing changes."""
        self.engine.load_state_dict(state)

    def __reduce__(self):
        return _rebuild, (type(self), self.env_id, self.engine)

    def __repr__(self):
        return f"VecEnv({self.env_id!r}, num_envs={self.num_envs})"


def _rebuild(kind, env_id, engine):
    cdef VecEnv made = kind.__new__(kind)
    made.take_over(env_id, engine)
    return made
