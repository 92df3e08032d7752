"""A policy as compiled code: the same network as in training, in a few microseconds and without the GIL."""

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memcpy, memset

from rfx.kernels.mlp cimport MLP_TILE, MlpStep, mlp_finite, mlp_forward

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.nn.compiled_plan import gather_of, make_plan, numbers
from rfx.nn.contract import PolicyContract
from rfx.nn.files import read_policy_directory
from rfx.nn.layers import check_layers

cnp.import_array()

cdef enum:
    SCRATCH = 8192      # floats on the stack: two blocks of one row of the widest network, or of MLP_TILE narrower ones


@cython.final
cdef class CompiledPolicy:
    """A feed-forward or recurrent network, ready to run inside a control loop.

    Made by :meth:`from_layers`, :meth:`from_policy` or :meth:`load`. Calling it takes observations (obs_dim,) or
    (B, obs_dim) in float32 and returns actions (act_dim,) or (B, act_dim); with ``out=`` nothing is allocated. A row gives
    the same bytes alone and in a batch, and on every CPU. Compiled code calls ``act`` (compiled.pxd) without the GIL.

    With ``history`` above 1 or a recurrent layer the policy carries state: observations (obs_dim,) then come one after
    another from one robot, and :meth:`reset` starts over. Threads may share a policy; those that carry state take turns.

    Attributes
    ----------
    obs_dim, act_dim : int
        Numbers in one observation and one action.
    history, input_dim : int
        How many observations the network sees, and their numbers: ``history * obs_dim``.
    contract : PolicyContract or None
        What the policy expects of a robot.
    """

    def __init__(self):
        raise DTypeError("a CompiledPolicy is made by from_layers, from_policy or load")

    def __dealloc__(self):
        PyMem_Free(self.steps)

    @staticmethod
    def from_layers(
            layers, tensors, *, normalizer=None, history=1, history_order="oldest_first", history_terms=None,
            history_fill="first", action_scale=1.0, action_offset=0.0, action_clip=None, contract=None):
        """Compile a network from a description of its layers and its numbers.

        Parameters
        ----------
        layers : sequence of mapping
            As in a policy file: ``{"type": "linear", "weight": "w0", "bias": "b0"}``, ``{"type": "tanh"}``, ...
        tensors : mapping of str to array_like of floats
            Weights are (outputs, inputs).
        normalizer : mapping, optional
            As in a policy file: ``mean`` and ``var`` of obs_dim (or input_dim) numbers, ``epsilon`` and ``clip`` (None for
            no limit): the network gets ``clip((obs - mean) / sqrt(var + epsilon), -clip, clip)``.
        history : int
            How many observations the network sees, the present one among them.
        history_order : {"oldest_first", "newest_first"}
        history_terms : sequence of int, optional
            Sizes of the terms of an observation, where the history is stacked term by term and not frame by frame.
        history_fill : {"first", "zero"}
            What stands for the observations before the first one.
        action_scale, action_offset : float or array_like of shape (act_dim,)
        action_clip : float, or pair of float or array_like, optional
            Actions leave as ``clip(action) * action_scale + action_offset``.
        contract : PolicyContract, optional
            Kept as an attribute.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, InvalidValueError
            Layers that do not fit each other, numbers that are not finite as float32, layers wider than 4096.
        """
        cdef CompiledPolicy policy = CompiledPolicy.__new__(CompiledPolicy)
        stack = {"history": arrays.integer(history, "history", minimum=1, maximum=4096), "history_order": history_order,
                 "history_terms": None if history_terms is None else tuple(history_terms), "history_fill": history_fill}
        rest = {"normalizer": normalizer, "action_scale": action_scale, "action_offset": action_offset,
                "action_clip": action_clip}
        policy.prepare([dict(layer) for layer in layers], numbers(tensors), stack, rest)
        policy.contract = contract
        return policy

    @staticmethod
    def from_policy(policy, *, contract=None):
        """Compile a tinygrad policy as it is now; it may be trained on, the copy stays.

        Parameters
        ----------
        policy : Policy
            One that can describe its layers, such as MLP, ActorCritic or what wraps them; its normaliser comes along.
        contract : PolicyContract, optional
            In place of the policy's own. It says how observations are stacked.

        Raises
        ------
        ConfigError
            The policy computes what no list of layers describes.
        """
        describe = getattr(policy, "_layers", None) or getattr(policy, "describe", None)
        if describe is None:
            raise DTypeError(f"expected a Policy of rfx.nn, got {type(policy).__name__}")
        layers = describe()
        if layers is None:
            raise ConfigError(f"{type(policy).__name__} computes what no list of layers describes; see from_layers")
        normalizer = getattr(policy, "normalizer", None)
        return compiled_file(
            layers, policy.get_parameters(), None if normalizer is None else normalizer.to_dict(),
            getattr(policy, "contract", None) if contract is None else contract)

    @staticmethod
    def load(path):
        """Compile the policy of a file, without tinygrad.

        Parameters
        ----------
        path : path
            A folder that ``Policy.save`` or ``write_policy_directory`` wrote. Its contract, if there is one, says how
            observations are stacked, and becomes the attribute ``contract``.

        Raises
        ------
        FileNotFoundError, CodecError, ConfigError, ShapeError
            Nothing there, damaged, or layers that the file does not describe.
        """
        files = read_policy_directory(path)
        if files.layers is None:
            raise ConfigError(f"{path}: a {files.policy_type} whose layers the file does not describe cannot be compiled")
        return compiled_file(files.layers, files.tensors, files.normalizer, files.config.get("contract"))

    cdef int prepare(self, layers, tensors, stack, rest) except -1:
        cdef cnp.ndarray block, ages, places, memory
        cdef Py_ssize_t i, obs_dim
        if stack["history_fill"] not in ("first", "zero"):
            raise ConfigError(f"expected history_fill to be 'first' or 'zero', got {stack['history_fill']!r}")
        self.history = stack["history"]
        inputs = check_layers(layers, tensors)[0]
        if inputs % self.history:
            raise ConfigError(f"the network takes {inputs} numbers, which {self.history} observations cannot fill evenly")
        obs_dim = inputs // self.history
        ages, places = gather_of(obs_dim, self.history, stack["history_order"], stack["history_terms"])
        plan = make_plan(layers, tensors, places, obs_dim, **rest)
        block = plan.block()
        self.steps = <MlpStep*>PyMem_Calloc(max(1, len(plan.steps)), sizeof(MlpStep))
        if self.steps == NULL:
            raise MemoryError
        for i, (kind, activation, taken, width, eps, offset) in enumerate(plan.steps):
            self.steps[i].kind, self.steps[i].activation = kind, activation
            self.steps[i].inputs, self.steps[i].width, self.steps[i].eps = taken, width, eps
            self.steps[i].p = <const float*>cnp.PyArray_DATA(block) + <Py_ssize_t>offset
        self.block, self.ages, self.places = block, ages, places
        self.age, self.place = <const int32_t*>cnp.PyArray_DATA(ages), <const int32_t*>cnp.PyArray_DATA(places)
        self.state_size, self.row_step = plan.state_size, plan.row_step
        memory = np.zeros(self.history * obs_dim + 2 * self.state_size, np.float32)
        self.memory, self.frames = memory, <float*>cnp.PyArray_DATA(memory)
        self.carried = self.frames + self.history * obs_dim
        self.fill_first = stack["history_fill"] == "first"
        self.carries = self.history > 1 or self.state_size > 0
        self.spec = (layers, tensors, {**stack, **rest})
        self.input_dim, self.act_dim, self.obs_dim = inputs, plan.act_dim, obs_dim
        self.count = len(plan.steps)
        return 0

    cdef int run(self, float* x, float* actions, Py_ssize_t n) noexcept nogil:
        # n rows in x, each padded with zeros, room for as many behind them
        cdef Py_ssize_t r
        cdef float* state = self.carried + self.half * self.state_size
        cdef float* y = mlp_forward(
            self.steps, self.count, x, x + n * self.row_step, self.row_step, n, state,
            self.carried + (1 - self.half) * self.state_size)
        for r in range(n):
            if not mlp_finite(y + r * self.row_step, self.act_dim):
                return ACT_BAD_ACTION
        for r in range(n):
            memcpy(actions + r * self.act_dim, y + r * self.row_step, self.act_dim * sizeof(float))
        return ACT_DONE

    cdef int act(self, const float* obs, float* action) noexcept nogil:
        cdef float[SCRATCH + 16] room
        cdef float* x = line_start(room)
        cdef int answer
        if not mlp_finite(obs, self.obs_dim):
            return ACT_BAD_OBSERVATION
        memset(x + self.input_dim, 0, (self.row_step - self.input_dim) * sizeof(float))
        if not self.carries:
            memcpy(x, obs, self.obs_dim * sizeof(float))
            return self.run(x, action, 1)
        with self.lock:
            self.stack(obs, x)
            answer = self.run(x, action, 1)
            if answer == ACT_DONE:
                self.remember(obs)
        return answer

    cdef void stack(self, const float* obs, float* x) noexcept nogil:
        # the input of the network: of each number its age, and where in an observation of that age it stands
        cdef Py_ssize_t i, back
        for i in range(self.input_dim):
            back = self.age[i]
            if back == 0 or (self.seen == 0 and self.fill_first):
                x[i] = obs[self.place[i]]
            else:
                x[i] = self.frames[((self.newest + self.history + 1 - back) % self.history) * self.obs_dim + self.place[i]]

    cdef void remember(self, const float* obs) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.history):
            if i == 0 or (self.seen == 0 and self.fill_first):
                self.newest = (self.newest + 1) % self.history
                memcpy(self.frames + self.newest * self.obs_dim, obs, self.obs_dim * sizeof(float))
        self.half = 1 - self.half
        self.seen += 1

    cdef int rows(self, const float* inputs, float* actions, Py_ssize_t n) noexcept nogil:
        # n whole inputs of a network without recurrent layers; nothing is carried
        cdef float[SCRATCH + 16] room
        cdef float* x = line_start(room)
        cdef Py_ssize_t tile = MLP_TILE if 2 * MLP_TILE * self.row_step <= SCRATCH else 1
        cdef Py_ssize_t r, taken, done = 0
        cdef int answer
        if not mlp_finite(inputs, n * self.input_dim):
            return ACT_BAD_OBSERVATION
        while done < n:
            taken = tile if n - done >= tile else 1
            for r in range(taken):
                memcpy(x + r * self.row_step, inputs + (done + r) * self.input_dim, self.input_dim * sizeof(float))
                memset(x + r * self.row_step + self.input_dim, 0, (self.row_step - self.input_dim) * sizeof(float))
            answer = self.run(x, actions + done * self.act_dim, taken)
            if answer != ACT_DONE:
                return answer
            done += taken
        return ACT_DONE

    def __call__(self, obs, out=None):
        """Return the actions for observations.

        Parameters
        ----------
        obs : array_like, shape (obs_dim,) or (B, input_dim), float32
            One observation, or a batch. A batch is computed by itself: with ``history`` its rows are whole inputs, what
            the policy carries is neither used nor changed, and recurrent policies refuse it.
        out : ndarray, float32, optional
            Where to write the actions.

        Returns
        -------
        ndarray, shape (act_dim,) or (B, act_dim), float32

        Raises
        ------
        InvalidValueError
            NaN or infinity among the observations, or actions that overflow; a policy that carries state stays as it was.
        ShapeError, DTypeError
            Another shape; float64 arrays, which would lose precision silently.
        """
        cdef cnp.ndarray given, result
        cdef cnp.npy_intp[2] shape
        cdef const float* inputs
        cdef float* actions
        cdef int answer
        if self.count == 0:
            raise InvalidStateError("this CompiledPolicy is empty: from_layers, from_policy or load make one")
        given = self.observations(obs)
        shape[0] = self.act_dim if cnp.PyArray_NDIM(given) == 1 else cnp.PyArray_DIM(given, 0)
        shape[1] = self.act_dim
        if out is None:
            result = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(given), shape, cnp.NPY_FLOAT)
        elif plain_out(out, self.act_dim, given):
            result = out
        else:
            result = arrays.out_array(out, tuple([shape[i] for i in range(given.ndim)]), np.float32, given)
        inputs, actions = <const float*>cnp.PyArray_DATA(given), <float*>cnp.PyArray_DATA(result)
        if cnp.PyArray_NDIM(given) == 1:
            with nogil:
                answer = self.act(inputs, actions)
        else:
            with nogil:
                answer = self.rows(inputs, actions, shape[0])
        if answer == ACT_BAD_OBSERVATION:
            arrays.finite(given, "obs")
        if answer == ACT_BAD_ACTION:
            raise InvalidValueError("expected finite actions, the network overflowed on these observations")
        return result

    cdef object observations(self, obs):
        # obs as a C-contiguous float32 array of one of the two shapes; rfx.arrays for all but exactly that
        cdef cnp.ndarray array
        if cnp.PyArray_CheckExact(obs):
            array = obs
            if (cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT and cnp.PyArray_NDIM(array) == 1
                    and cnp.PyArray_DIM(array, 0) == self.obs_dim and cnp.PyArray_ISCARRAY_RO(array)):
                return array
        array = arrays.floats(obs, "obs", dtype=np.float32)
        if array.ndim == 1 and array.shape[0] == self.obs_dim:
            return array
        if array.ndim != 2 or array.shape[1] != self.input_dim:
            raise ShapeError(f"expected obs of shape ({self.obs_dim},) or (B, {self.input_dim}), got {np.shape(obs)}")
        if self.state_size > 0:
            raise ShapeError(f"expected obs of shape ({self.obs_dim},): a recurrent policy takes one observation at a time")
        return array

    def reset(self):
        """Forget all observations."""
        with self.lock:
            memset(self.frames, 0, (self.history * self.obs_dim + 2 * self.state_size) * sizeof(float))
            self.newest = self.half = self.seen = 0

    @property
    def recurrent(self):
        """Whether a layer carries state of its own."""
        return self.state_size > 0

    @property
    def layers(self):
        """The description of the layers, as plain data."""
        return [dict(layer) for layer in self.spec[0]]

    @property
    def tensors(self):
        """The numbers by name, as new float32 arrays."""
        return {name: array.copy() for name, array in self.spec[1].items()}

    @property
    def settings(self):
        """The keyword arguments that :meth:`from_layers` was given, but for ``contract``."""
        return dict(self.spec[2])

    def state_dict(self):
        """Return what has been seen so far, as plain values and copies."""
        with self.lock:
            memory, places = self.memory.copy(), (self.newest, self.half, self.seen)
        return {"memory": memory, "newest": places[0], "half": places[1], "seen": places[2]}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of the same policy gave; on an error nothing changes."""
        cdef cnp.ndarray memory
        cdef Py_ssize_t newest, half, seen
        if not isinstance(state, dict) or set(state) != {"memory", "newest", "half", "seen"}:
            raise ConfigError("expected a dict with memory, newest, half and seen")
        memory = arrays.finite(arrays.floats(state["memory"], "memory", self.memory.shape, np.float32), "memory")
        newest = arrays.integer(state["newest"], "newest", minimum=0, maximum=self.history - 1)
        half = arrays.integer(state["half"], "half", minimum=0, maximum=1)
        seen = arrays.integer(state["seen"], "seen", minimum=0, maximum=1 << 62)
        with self.lock:
            memcpy(self.frames, cnp.PyArray_DATA(memory), cnp.PyArray_NBYTES(memory))
            self.newest, self.half, self.seen = newest, half, seen

    def __reduce__(self):
        return _rebuild, (self.spec[0], self.spec[1], {**self.spec[2], "contract": self.contract}, self.state_dict())

    def __repr__(self):
        if self.count == 0:
            return "<CompiledPolicy that was never set up>"
        kinds = ", ".join(f"{len(self.spec[1][e['weight']])}" if e["type"] == "linear" else e["type"] for e in self.spec[0])
        history = f", history={self.history}" if self.history > 1 else ""
        return f"CompiledPolicy({self.obs_dim} -> [{kinds}] -> {self.act_dim}{history})"


cdef bint plain_out(out, Py_ssize_t act_dim, cnp.ndarray given):
    # whether `out` needs no look by rfx.arrays: one action, C-contiguous and writeable, apart from `given`
    cdef cnp.ndarray array
    cdef uintptr_t begin, start
    if not cnp.PyArray_CheckExact(out):
        return False
    array = out
    begin, start = <uintptr_t>cnp.PyArray_DATA(array), <uintptr_t>cnp.PyArray_DATA(given)
    return (
        cnp.PyArray_NDIM(given) == 1 and cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT and cnp.PyArray_NDIM(array) == 1
        and cnp.PyArray_DIM(array, 0) == act_dim and cnp.PyArray_ISCARRAY(array)
        and (begin + cnp.PyArray_NBYTES(array) <= start or start + cnp.PyArray_NBYTES(given) <= begin))


cdef inline float* line_start(float* room) noexcept nogil:
    return <float*>((<uintptr_t>room + 63) & ~<uintptr_t>63)


cdef compiled_file(layers, tensors, normalizer, contract):
    if contract is not None and not isinstance(contract, PolicyContract):
        contract = PolicyContract.from_dict(contract)
    settings = {} if contract is None else contract.settings
    used = {name: value for name, value in tensors.items() if any(name in layer.values() for layer in layers)}
    return CompiledPolicy.from_layers(layers, used, normalizer=normalizer, contract=contract, **settings)


def _rebuild(layers, tensors, settings, state):
    policy = CompiledPolicy.from_layers(layers, tensors, **settings)
    policy.load_state_dict(state)
    return policy
