"""The receiving end of a Zenoh session, for those who bring many messages; see post.pyx."""

from libc.stdint cimport uint64_t

from rfx.comm.envelope cimport TransportEnvelope
from rfx.comm.mailbox cimport Mailbox


cdef class Inbox:
    cdef readonly long long refused, lost, shared
    cdef Mailbox mailbox
    cdef object drop, delete, guard
    cdef double wait
    cdef bint patient, once, near    # patient: others set it, while one takes a message in
    cdef uint64_t source        # of the message before, and its number; of all other sources in `last`
    cdef long long nth
    cdef dict last
    cdef Py_ssize_t size        # of the payload that came last

    cdef int bring(self, sample) except -1
    cdef TransportEnvelope read(self, sample)
    cdef int store(self, TransportEnvelope made, sample) except -1
    cdef TransportEnvelope opened(self, sample)
    cdef object memory(self, content)
    cdef bint count(self, uint64_t source, long long nth) except -1
