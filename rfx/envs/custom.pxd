from cpython.pycapsule cimport PyCapsule_New

from rfx.envs.batched cimport BatchedEnv
from rfx.kernels.chacha cimport ChaCha

# What an environment of your own consists of: how many numbers its state has, and three functions of C on one environment.
# `parameters` are the numbers that CustomBatch was given, in that order, as they are now where they drift. None of the
# functions may keep a pointer; all may be called from any thread, but never two at once on one environment.
ctypedef void (*BeginFunction)(double* state, const double* parameters, ChaCha* rng) noexcept nogil
ctypedef bint (*AdvanceFunction)(double* state, const double* parameters, const void* action, double* reward) noexcept nogil
ctypedef void (*ObserveFunction)(const double* state, const double* parameters, float* obs) noexcept nogil

ctypedef struct EnvSpec:
    Py_ssize_t size              # of this struct: guards against a build for another version
    Py_ssize_t state_size
    BeginFunction begin          # draw a first state, by chacha_unit(rng) and its like, into `state`
    AdvanceFunction advance      # one step; writes the reward, returns whether the episode has terminated
    ObserveFunction observe      # write what is seen, obs_dim numbers


cdef inline EnvSpec env_spec(
        Py_ssize_t state_size, BeginFunction begin, AdvanceFunction advance, ObserveFunction observe) noexcept:
    cdef EnvSpec spec
    spec.size, spec.state_size, spec.begin, spec.advance, spec.observe = sizeof(EnvSpec), state_size, begin, advance, observe
    return spec


cdef inline object spec_capsule(EnvSpec* spec):
    # What CustomBatch takes; `spec` must live as long as the capsule, as a variable of a module does.
    return PyCapsule_New(spec, "rfx.envs.custom.EnvSpec", NULL)


cdef class CustomBatch(BatchedEnv):
    cdef EnvSpec spec
    cdef double* cells           # (num_envs, state_size)

    cdef const double* parameters(self, Py_ssize_t i, double* room) noexcept nogil
