"""Handing numbers and records from thread to thread without a lock. C only: cimport it.

The latch is a sequence lock (Boehm 2012, "Can seqlocks get along with programming language memory models?"): the writer
makes the sequence odd, writes, and makes it even; a reader that saw it change reads again. The ring is Lamport's queue of
one producer and one consumer (1983), in bytes: each side stores its own position with release and loads the other's with
acquire, so that neither ever waits for the other.
"""

from libc.limits cimport LLONG_MIN
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rfx.kernels.seqlock cimport word_load, word_store

cdef enum:
    MOST_LOOKS = 1_000_000  # some milliseconds


# Writes n <= 3 numbers and their time; one writer at a time.
cdef void latch_write(latch_t* latch, const double* values, Py_ssize_t n, int64_t stamp) noexcept nogil:
    cdef uint64_t sequence = word_load(&latch.sequence), word = 0
    cdef Py_ssize_t i
    word_store(&latch.sequence, sequence + 1)
    for i in range(n):
        memcpy(&word, &values[i], 8)
        word_store(&latch.words[i], word)
    word_store(&latch.words[LATCH_WORDS - 1], <uint64_t>stamp)
    word_store(&latch.sequence, sequence + 2)


# Reads what was written last, and returns its time; the least int64 before the first time. The same where the writer has not
# come to an end for so many looks: a reader of high priority may have its processor, and would wait for it for ever.
cdef int64_t latch_read(const latch_t* latch, double* values, Py_ssize_t n) noexcept nogil:
    cdef uint64_t before, word
    cdef int64_t stamp
    cdef Py_ssize_t i, _look
    for _look in range(MOST_LOOKS):
        before = word_load(&latch.sequence)
        if before == 0:
            break
        if before & 1:
            continue
        for i in range(n):
            word = word_load(&latch.words[i])
            memcpy(&values[i], &word, 8)
        stamp = <int64_t>word_load(&latch.words[LATCH_WORDS - 1])
        if word_load(&latch.sequence) == before:
            return stamp
    return LLONG_MIN


cdef inline uint64_t padded(uint64_t size) noexcept nogil:
    return (size + 7) & ~<uint64_t>7


# Copies into the ring from `place` on, and around its end.
cdef void ring_in(spsc_t* ring, uint64_t place, const void* source, uint64_t size) noexcept nogil:
    cdef uint64_t at = place & (ring.capacity - 1), first = min(size, ring.capacity - at)
    memcpy(ring.data + at, source, first)
    memcpy(ring.data, <const unsigned char*>source + first, size - first)


cdef void ring_out(const spsc_t* ring, uint64_t place, void* to, uint64_t size) noexcept nogil:
    cdef uint64_t at = place & (ring.capacity - 1), first = min(size, ring.capacity - at)
    memcpy(to, ring.data + at, first)
    memcpy(<unsigned char*>to + first, ring.data, size - first)


# Puts a record, or counts it as dropped where there is no room; whether it was put.
cdef bint spsc_put(
        spsc_t* ring, uint32_t kind, int64_t time_ns, const unsigned char* data, uint32_t size) noexcept nogil:
    cdef record_t record
    cdef uint64_t head = ring.head, used = head - word_load(&ring.tail)
    cdef uint64_t needed = sizeof(record_t) + padded(size)
    if needed > ring.capacity - used:
        word_store(&ring.dropped, ring.dropped + 1)
        return False
    record.time_ns, record.kind, record.size = time_ns, kind, size
    ring_in(ring, head, &record, sizeof(record_t))
    ring_in(ring, head + sizeof(record_t), data, size)
    word_store(&ring.head, head + needed)
    return True


# Gets the oldest record into `out`, cut to `room` bytes; returns its size, or -1 where there is none.
cdef Py_ssize_t spsc_get(spsc_t* ring, record_t* record, unsigned char* out, Py_ssize_t room) noexcept nogil:
    cdef uint64_t tail = ring.tail
    if word_load(&ring.head) == tail:
        return -1
    ring_out(ring, tail, record, sizeof(record_t))
    ring_out(ring, tail + sizeof(record_t), out, min(<uint64_t>record.size, <uint64_t>room))
    word_store(&ring.tail, tail + sizeof(record_t) + padded(record.size))
    return record.size
