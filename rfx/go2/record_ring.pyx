"""Records from a compiled tick to a Python thread: the tick never waits, what does not fit is counted."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t
from libc.stdint cimport uint64_t

from rfx.kernels.handover cimport record_t, spsc_get, spsc_put
from rfx.kernels.seqlock cimport word_load

cimport numpy as cnp

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError
from rfx.go2.octets import as_bytes

cnp.import_array()

cdef enum:
    MOST = 8192             # bytes of one record


cdef class RecordRing:
    """A ring of records for one writer and one reader.

    Parameters
    ----------
    megabytes : int
        Its size, 1 to 1024, rounded up to a power of two. A robot at 500 Hz fills one in a second.
    """

    def __cinit__(self, megabytes=4):
        cdef uint64_t capacity = 1 << 20
        cdef cnp.ndarray block
        least = arrays.integer(megabytes, "megabytes", minimum=1, maximum=1024) << 20
        while capacity < least:
            capacity *= 2
        block = np.full(capacity, 0xFF, np.uint8)  # written to, so that the memory is there before it is needed
        self.block, self.ring.data, self.ring.capacity = block, <unsigned char*>cnp.PyArray_DATA(block), capacity

    cdef bint put(self, uint32_t kind, int64_t time_ns, const unsigned char* data, uint32_t size) noexcept nogil:
        return spsc_put(&self.ring, kind, time_ns, data, size)

    def add(self, kind, time_ns, data):
        """Put a record of at most 8192 bytes; whether there was room. For one thread at a time."""
        cdef const unsigned char[::1] source = as_bytes(data)
        cdef uint32_t number = arrays.integer(kind, "kind", minimum=0, maximum=2**32 - 1)
        cdef int64_t when = arrays.integer(time_ns, "time_ns", minimum=0, maximum=2**63 - 1)
        cdef Py_ssize_t size = source.shape[0]
        if size > MOST:
            raise DTypeError(f"expected a record of at most {MOST} bytes, got {size}")
        return bool(self.put(number, when, &source[0] if size else NULL, <uint32_t>size))

    def drain(self, most=10_000):
        """Take at most so many records, oldest first: a list of (kind, time_ns, bytes)."""
        cdef unsigned char[MOST] room
        cdef record_t record
        cdef Py_ssize_t size, left = arrays.integer(most, "most", minimum=0)
        out = []
        while left > 0:
            with self.lock:
                size = spsc_get(&self.ring, &record, room, MOST)
            if size < 0:
                break
            out.append((record.kind, record.time_ns, PyBytes_FromStringAndSize(<char*>room, size)))
            left -= 1
        return out

    @property
    def capacity(self):
        """Size in bytes."""
        return self.ring.capacity

    @property
    def dropped(self):
        """How many records did not fit."""
        return word_load(&self.ring.dropped)

    def __reduce__(self):
        raise DTypeError("a RecordRing belongs to a tick that runs and cannot be pickled")

    def __repr__(self):
        used = word_load(&self.ring.head) - word_load(&self.ring.tail)
        return f"RecordRing({used} of {self.capacity} bytes, dropped={self.dropped})"
