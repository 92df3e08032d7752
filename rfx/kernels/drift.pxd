from libc.stdint cimport int64_t

from rfx.kernels.chacha cimport ChaCha

cdef enum:
    DRIFT_LINEAR = 0
    DRIFT_SINE = 1
    DRIFT_WALK = 2

# How one number of the physics changes.
ctypedef struct DriftRule:
    int kind
    bint per_episode         # else per step
    Py_ssize_t row           # of the physics
    double start             # the number without drift
    double spread            # how far from it an environment may begin
    double size              # change per tick, amplitude, or largest change per tick
    double period            # of a sine, in ticks
    double low
    double high

# Where one environment is with one rule.
ctypedef struct Drifter:
    double middle
    double phase             # rad
    int64_t ticks            # -1: the first tick is the beginning

cdef double drift_begin(const DriftRule* rule, Drifter* d, ChaCha* rng) noexcept nogil
cdef double drift_tick(const DriftRule* rule, Drifter* d, ChaCha* rng, double value) noexcept nogil
