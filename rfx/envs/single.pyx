"""One environment at a time, over a batch of one."""

cimport cython
cimport numpy as cnp
from libc.stdint cimport int64_t

import numpy as np

from rfx.envs.batched cimport BatchedEnv
from rfx.kernels.lock cimport lock_leave, lock_take_gil

from rfx import arrays
from rfx.envs.engines import batch_of
from rfx.envs.engine import DISABLED
from rfx.envs.scenes import SCENES
from rfx.errors import ConfigError, InvalidStateError, ShapeError

cnp.import_array()

cdef int NEVER = DISABLED


@cython.final
@cython.freelist(8)
cdef class Transition:
    """What one step gave.

    Attributes
    ----------
    obs : ndarray
    reward : float
    terminated, truncated : bool
    info : dict or None
    """

    cdef readonly object obs
    cdef readonly object reward
    cdef readonly object terminated
    cdef readonly object truncated
    cdef readonly object info

    def __init__(self, obs, reward, terminated, truncated, info=None):
        self.obs, self.reward, self.terminated, self.truncated, self.info = obs, reward, terminated, truncated, info

    def __reduce__(self):
        return Transition, (self.obs, self.reward, self.terminated, self.truncated, self.info)

    def __repr__(self):
        return (f"Transition(obs={self.obs!r}, reward={self.reward!r}, terminated={self.terminated!r}, "
                f"truncated={self.truncated!r}, info={self.info!r})")


cdef class Single:
    """One environment of a kind that is stepped in batches; a class for each kind says which by ``env_id``."""

    env_id = ""

    cdef BatchedEnv batch
    cdef readonly object observation_space
    cdef readonly object action_space

    def __init__(self, seed=None, **options):
        self.take_over(batch_of(self.env_id, 1, **options))
        self.reset(0 if seed is None else seed)

    cdef int take_over(self, BatchedEnv batch) except -1:
        self.batch, self.observation_space, self.action_space = batch, batch.observation_space, batch.action_space
        return 0

    def reset(self, seed=None):
        """Begin an episode; with a seed the stream of random numbers begins anew, without it goes on."""
        if seed is not None:
            self.batch.seed([arrays.integer(seed, "seed", minimum=0, maximum=2**64 - 1)])
        return self.batch.reset()[0]

    def step(self, action):
        """Take one step.

        Raises
        ------
        InvalidStateError
            The episode has ended: call reset first.
        InvalidValueError, DTypeError, ShapeError
            The action is not in the space; nothing has changed then.
        """
        cdef BatchedEnv batch = self.batch
        cdef Transition made = Transition.__new__(Transition)
        cdef cnp.npy_intp size = batch.obs_dim
        cdef Py_ssize_t bad = -1
        cdef int64_t choice
        cdef const void* pointer = &choice
        cdef double reward = 0.0
        cdef unsigned char terminated = 0, truncated = 0
        cdef object given = action
        if batch is None:
            raise InvalidStateError(f"expected a {type(self).__name__} that was made by calling it")
        if type(action) is int and batch.choices and 0 <= action < batch.choices:
            choice = action
        else:
            given = np.asarray(action)
            if given.size != 1:
                raise ShapeError(f"expected one number as the action, got shape {given.shape}")
            given = batch.taken(given.reshape(1))
            pointer = cnp.PyArray_DATA(given)
        made.obs = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_FLOAT32)
        cdef float* obs = <float*>cnp.PyArray_DATA(made.obs)
        lock_take_gil(&batch.lock)
        bad = -2 if batch.ended else batch.unfit(pointer, NULL)
        if bad == -1:
            batch.move(pointer, obs, obs, &reward, &terminated, &truncated, NEVER)
        lock_leave(&batch.lock)
        if bad != -1:
            raise batch.refused(bad, action)
        made.reward, made.terminated, made.truncated = reward, terminated != 0, truncated != 0
        return made

    @property
    def engine(self):
        """The batch of one beneath."""
        return self.batch

    @property
    def physics(self):
        """The numbers of the physics as they are now, by name, (1,) float64 each."""
        return self.batch.physics

    def render(self, mode="text"):
        """Return what is to be seen: step and state in one line, or an RGB picture.

        Parameters
        ----------
        mode : str
            "text", or "rgb_array" for (height, width, 3) of uint8.

        Raises
        ------
        ConfigError
            Another mode.
        """
        state = self.batch.states[0]
        if mode == "text":
            numbers = " ".join([f"{x:.4f}" for x in state])
            return f"{self.env_id} | step={self.batch.episode_steps[0]} state={numbers}"
        if mode != "rgb_array":
            raise ConfigError(f"expected mode to be 'text' or 'rgb_array', got {mode!r}")
        return SCENES[self.env_id](state, {name: float(value[0]) for name, value in self.physics.items()})

    def state_dict(self):
        """Return all that a run goes on from, a dict of arrays."""
        return self.batch.state_dict()

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of such an environment gave; on an error nothing changes."""
        self.batch.load_state_dict(state)

    def __reduce__(self):
        return _rebuild, (type(self), self.batch)

    def __repr__(self):
        return f"{type(self).__name__}(steps={self.batch.episode_steps[0]})"


def _rebuild(kind, batch):
    cdef Single made = kind.__new__(kind)
    made.take_over(batch)
    return made
