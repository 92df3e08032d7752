cimport cython
from libc.stdint cimport int32_t

from rfx.kernels.mlp cimport MlpStep

# What `act` answers.
cdef enum:
    ACT_DONE = 0
    ACT_BAD_OBSERVATION = 1     # NaN or infinite: neither the action nor the policy was touched
    ACT_BAD_ACTION = 2          # the network overflowed: likewise


@cython.final
cdef class CompiledPolicy:
    cdef readonly Py_ssize_t obs_dim
    cdef readonly Py_ssize_t act_dim
    cdef readonly Py_ssize_t input_dim
    cdef readonly Py_ssize_t history
    cdef public object contract
    cdef Py_ssize_t count, row_step, state_size
    cdef Py_ssize_t newest, seen, half  # in the ring; how many observations; which half of `carried` holds
    cdef bint fill_first, carries
    cdef MlpStep* steps
    cdef float* frames              # the last `history` observations, a ring
    cdef float* carried             # what recurrent layers carry, twice: as it is and as it will be
    cdef const int32_t* age         # of each number of the input: which observation it is from, 0 the newest
    cdef const int32_t* place       # and where in that one
    cdef object block, ages, places, memory
    cdef tuple spec
    cdef cython.pymutex lock        # over frames, carried and what tells where in them; held around C only

    cdef int prepare(self, layers, tensors, stack, rest) except -1
    cdef object observations(self, obs)
    # One observation (obs_dim,) to one action (act_dim,), without the GIL and without allocation. Threads may share a
    # policy: one that carries nothing takes no lock.
    cdef int act(self, const float* obs, float* action) noexcept nogil
    # n whole inputs (n, input_dim) to actions (n, act_dim), of a policy without recurrent layers.
    cdef int rows(self, const float* inputs, float* actions, Py_ssize_t n) noexcept nogil
    cdef int run(self, float* x, float* actions, Py_ssize_t n) noexcept nogil
    cdef void stack(self, const float* obs, float* x) noexcept nogil
    cdef void remember(self, const float* obs) noexcept nogil
