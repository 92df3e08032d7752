"""The layout of an attachment, for those who write and read many; see wire.pyx."""

from libc.stdint cimport int64_t, uint16_t, uint64_t


cdef packed struct Header:
    unsigned char magic
    unsigned char version
    unsigned char kind
    unsigned char dimensions
    uint16_t text
    uint16_t nothing
    uint64_t source
    int64_t sequence
    int64_t timestamp_ns
    int64_t nth


cdef bytes packed_of(uint64_t source, int64_t sequence, int64_t timestamp_ns, int64_t nth, bytes more, payload)
cdef tuple read_into(Header* head, bytes attachment, Py_ssize_t size)
