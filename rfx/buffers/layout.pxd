cimport cython

from rfx.kernels.ring cimport Slot

cdef enum:
    MOST_COLUMNS = 64
    MOST_AXES = 8

ctypedef const unsigned char* Source
ctypedef unsigned char* Target

# One transition, ready to be copied. The arrays behind `sources` belong to the caller, or to what Layout.one gave.
ctypedef struct Entry:
    Source[MOST_COLUMNS] sources
    float reward
    unsigned char terminated
    unsigned char truncated
    long long whole          # an action that came as a Python number
    float half


@cython.final
cdef class Layout:
    cdef readonly tuple schema         # of Column
    cdef readonly tuple obs_names      # of a dict observation; () for a plain one
    cdef readonly dict config
    cdef Slot* slots
    cdef Py_ssize_t n_slots
    cdef Py_ssize_t n_obs              # columns: obs, actions, rewards, terminated, truncated, next_obs if there, extra ones
    cdef Py_ssize_t rewards
    cdef Py_ssize_t terminated
    cdef Py_ssize_t truncated
    cdef Py_ssize_t next_obs
    cdef Py_ssize_t extra
    cdef Py_ssize_t stride
    cdef bint with_next
    # numpy's number of the dtype, axes and lengths, for the quick check
    cdef int[MOST_COLUMNS] type_num
    cdef int[MOST_COLUMNS] ndim
    cdef Py_ssize_t[MOST_COLUMNS][MOST_AXES] lengths

    cdef bint fits(self, Py_ssize_t k, object value, int more, Py_ssize_t n)
    cdef object entry(self, Py_ssize_t k, object value)
    cdef object block(self, Py_ssize_t k, object value, Py_ssize_t n)
    cdef object one(
        self, Entry* to, object obs, object action, object reward, object terminated, object truncated, object next_obs,
        object extra)
    cdef object many(
        self, Source* sources, Py_ssize_t* n, object obs, object actions, object rewards, object terminated, object truncated,
        object next_obs, object extra)
    cdef tuple by_column(self, object obs, object actions, object rewards, object terminated, object truncated, object next_obs,
                         object extra)
    cdef dict batch(self, tuple leading, object out, Target* targets, tuple further)
    cdef dict nested(self, list arrays)
    cdef tuple flattened(self, object rows)
    cdef tuple views(self, unsigned char* rows, Py_ssize_t n, object owner)
