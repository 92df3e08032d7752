from libc.stdint cimport int64_t, uint64_t

from rfx.kernels.chacha cimport ChaCha

# The steps of one environment, counted from 0: step t lies in place t mod room. Every step belongs to an episode, so that
# the beginnings say it all: an episode ends where the next one begins, the last one where the open one does.
ctypedef struct Lane:
    int64_t pushed
    int64_t open             # first step of the episode that has not ended
    int64_t* starts          # of the ended ones that are still there at least in part, a ring
    Py_ssize_t first
    Py_ssize_t count

# What windows may be drawn from.
ctypedef struct Choice:
    Py_ssize_t length        # steps of a window
    bint by_windows          # every window alike, or every episode alike
    bint with_open           # the episode that has not ended, too
    bint short               # and episodes that are shorter


cdef class EpisodeTracker:
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t num_envs
    cdef Py_ssize_t room                 # places of one environment
    cdef Py_ssize_t size                 # episodes of one environment there is room for
    cdef Lane* lanes
    cdef int64_t* starts
    cdef int64_t* scratch
    cdef Py_ssize_t scratch_size

    cdef void advance(self, Py_ssize_t env, bint done) noexcept nogil
    cdef int64_t oldest(self, const Lane* lane) noexcept nogil
    cdef int64_t start_of(self, const Lane* lane, Py_ssize_t k) noexcept nogil
    cdef int64_t end_of(self, const Lane* lane, Py_ssize_t k) noexcept nogil
    cdef Py_ssize_t find(self, const Lane* lane, int64_t step) noexcept nogil
    cdef Py_ssize_t complete(self) noexcept nogil
    cdef int64_t weigh(self, const Choice* choice, Py_ssize_t* n) except -1 nogil
    cdef void window(self, const Choice* choice, Py_ssize_t n, int64_t total, ChaCha* rng, int64_t* out) noexcept nogil
    cdef object drawn(self, Py_ssize_t batch, const Choice* choice, uint64_t seed)
    cdef void forget(self) noexcept nogil
    cdef void restore(self, Py_ssize_t env, int64_t pushed, const int64_t* starts, Py_ssize_t n) noexcept nogil


cdef Choice choice_of(object seq_len, object over, object with_open, object pad) except *
