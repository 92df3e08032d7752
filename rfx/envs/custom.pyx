"""Environments of one's own by three functions of C, stepped in one loop without the GIL."""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdlib cimport calloc, free

from rfx import arrays
from rfx.envs.batched cimport BatchedEnv
from rfx.envs.physics cimport PHYSICS
from rfx.envs.spaces import Box, Discrete
from rfx.errors import ConfigError, DTypeError, ShapeError

cdef const char* NAME = "rfx.envs.custom.EnvSpec"


cdef class CustomBatch(BatchedEnv):
    """Environments of one kind whose functions come from another compiled module; ``VecEnv(batch)`` steps them.

    Parameters
    ----------
    num_envs : int
    spec : capsule
        From ``rfx.envs.custom.spec_capsule`` in Cython; see docs/extending.md.
    observation_space : Box
        Of one axis.
    action_space : Box or Discrete
        ``advance`` gets a pointer to one int64 from 0 on, or to the float32 of a Box, finite but otherwise as given.
    max_episode_steps : int
        After so many steps an episode is truncated.
    parameters : dict of str to float, optional
        At most 8; they may drift, see :meth:`set_drift`.

    Raises
    ------
    DTypeError, ConfigError, ShapeError
        ``spec`` is no such capsule or lacks a function, or a space does not fit.
    """

    def __cinit__(self, num_envs, spec, *others, **further):
        if not PyCapsule_IsValid(spec, NAME):
            raise DTypeError(f"expected spec to be a capsule from spec_capsule, got {type(spec).__name__}")
        self.spec = (<EnvSpec*>PyCapsule_GetPointer(spec, NAME))[0]
        if self.spec.size != sizeof(EnvSpec):
            raise ConfigError("expected a spec from env_spec of this version of rfx")
        if self.spec.begin == NULL or self.spec.advance == NULL or self.spec.observe == NULL:
            raise ConfigError("expected a spec with begin, advance and observe")
        if not 1 <= self.spec.state_size <= 2**20:
            raise ConfigError(f"expected a state of 1 to 2**20 numbers, got {self.spec.state_size}")
        self.cells = <double*>calloc(self.num_envs * self.spec.state_size, sizeof(double))
        if self.cells == NULL:
            raise MemoryError(f"{self.num_envs} environments do not fit")

    def __dealloc__(self):
        free(self.cells)

    def __init__(self, num_envs, spec, *, observation_space, action_space, max_episode_steps, parameters=None):
        if not isinstance(observation_space, Box) or len(observation_space.shape) != 1:
            raise ShapeError(f"expected the observation space to be a Box of one axis, got {observation_space!r}")
        if isinstance(action_space, Discrete):
            if action_space.start != 0:
                raise ConfigError(f"expected actions from 0 on, got {action_space!r}")
        elif not isinstance(action_space, Box) or len(action_space.shape) != 1:
            raise ShapeError(f"expected the action space to be Discrete or a Box of one axis, got {action_space!r}")
        self.describe(self.spec.state_size, observation_space, action_space, max_episode_steps)
        for name, value in (parameters or {}).items():
            self.add_physics(name, arrays.number(value, name))

    cdef object may_be(self, str name, double value):
        # Which values make sense, only the functions know.
        pass

    cdef const double* parameters(self, Py_ssize_t i, double* room) noexcept nogil:
        # Those of environment i, side by side.
        cdef Py_ssize_t k
        if self.physics_stride == 1:
            return self.physics_of_all
        for k in range(PHYSICS):
            room[k] = self.physics_of_all[k * self.physics_stride + i]
        return room

    cdef double* cell(self, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
        return self.cells + i * self.spec.state_size + k

    cdef void begin(self, Py_ssize_t i) noexcept nogil:
        cdef double[PHYSICS] room
        self.spec.begin(self.cell(i, 0), self.parameters(i, room), self.rngs + i)

    cdef void advance(self, const void* actions, double* rewards, unsigned char* terminated) noexcept nogil:
        cdef double[PHYSICS] room
        cdef Py_ssize_t i, size = 8 if self.choices else 4 * self.action_dim
        for i in range(self.num_envs):
            if not self.over[i]:  # else its action has not been looked at
                terminated[i] = self.spec.advance(
                    self.cell(i, 0), self.parameters(i, room), <const char*>actions + i * size, rewards + i) != 0

    cdef void observe(self, Py_ssize_t first, Py_ssize_t n, float* obs) noexcept nogil:
        cdef double[PHYSICS] room
        cdef Py_ssize_t i
        for i in range(n):
            self.spec.observe(self.cell(first + i, 0), self.parameters(first + i, room), obs + i * self.obs_dim)

    def __reduce__(self):
        raise DTypeError("expected what can be pickled, got functions of C: make the environments anew and load_state_dict()")
