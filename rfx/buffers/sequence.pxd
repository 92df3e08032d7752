from libc.stdint cimport int64_t, uint64_t

from rfx.buffers.episodes cimport Choice, EpisodeTracker
from rfx.buffers.layout cimport Layout, Source
from rfx.buffers.saved cimport Saved
from rfx.kernels.chacha cimport ChaCha
from rfx.kernels.lock cimport Lock


cdef class SequenceReplayBuffer(Saved):
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t num_envs
    cdef readonly Layout layout
    cdef EpisodeTracker tracker
    cdef Py_ssize_t room            # rows of one environment
    cdef unsigned char* rows
    cdef Py_ssize_t count
    cdef uint64_t changes
    cdef Lock lock                  # over all of the above; held only around C code

    cdef Py_ssize_t place(self, Py_ssize_t env) noexcept nogil
    cdef void went(self, Py_ssize_t env, bint done) noexcept nogil
    cdef object put_one(self, object env, object obs, object action, object reward, object terminated, object truncated,
                        object next_obs, object extra)
    cdef object put_many(self, object envs, object obs, object actions, object rewards, object terminated, object truncated,
                         object next_obs, object extra)
    cdef void uniform(self, ChaCha* rng, int64_t* out, Py_ssize_t n) noexcept nogil
    cdef bint windows(self, const Choice* choice, Py_ssize_t before, uint64_t seed, int64_t[:, ::1] slots,
                      int64_t[:, ::1] steps) except -1 nogil
