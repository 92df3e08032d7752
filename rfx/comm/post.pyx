"""What happens to a message at either end of a Zenoh session."""

cimport cython
from cpython.bytes cimport PyBytes_CheckExact
from cpython.object cimport PyObject_Call
from libc.stdint cimport uint64_t

from _thread import interrupt_main
from threading import Lock
from time import monotonic, time_ns
from types import MappingProxyType

import numpy as np

from rfx.comm.envelope cimport TransportEnvelope, read_only, shown
from rfx.comm.mailbox cimport Mailbox
from rfx.comm.wire cimport Header, packed_of, read_into
from rfx.comm.qos import profile
from rfx.comm.shm import in_shared
from rfx.comm.wire import dtype_bytes, metadata_bytes

cdef object NDARRAY = np.ndarray
cdef Py_ssize_t MOST_SOURCES = 4096
cdef double LOOK = 0.05    # seconds between two looks, of who waits for room, whether it is to wait on


@cython.final
cdef class Outbox:
    """Where messages under one key go.

    Parameters
    ----------
    key : str
    put : callable
        Of a Zenoh publisher.
    source : int
        Who sends.
    pool : object with ``hold`` and ``least``, optional
        Shared memory for payloads of at least so many bytes.
    lock : lock, optional
        Held while a message gets its number and is sent.
    """

    cdef readonly str key
    cdef readonly long long sent
    cdef object put, pool, lock
    cdef uint64_t source
    cdef Py_ssize_t least
    cdef cython.pymutex counting    # around sent; held around C code only

    def __init__(self, str key not None, put, source, pool=None, lock=None):
        self.key, self.put, self.source, self.pool, self.lock = key, put, source, pool, lock
        self.least = 0 if pool is None else pool.least

    def send(self, numbers, metadata, payload):
        """Send a message with the next of ``numbers``, and return it; none is taken where something is refused."""
        if self.lock is None:
            return self.sent_one(numbers, metadata, payload)
        with self.lock:
            return self.sent_one(numbers, metadata, payload)

    cdef TransportEnvelope sent_one(self, numbers, metadata, payload):
        cdef TransportEnvelope made = TransportEnvelope.__new__(TransportEnvelope)
        cdef bytes more, attachment
        cdef long long nth
        made.name, made.metadata, made.payload = self.key, shown(metadata), read_only(payload)
        more = b"" if metadata is None else metadata_bytes(dict(made.metadata))
        content = made.payload
        if not PyBytes_CheckExact(content):
            content = self.content_of(content)
        elif self.pool is not None and len(content) >= self.least:
            content = self.held(np.frombuffer(content, np.uint8), content)
        made.timestamp_ns = time_ns()
        made.sequence = next(numbers)
        with self.counting:
            self.sent += 1
            nth = self.sent
        attachment = packed_of(self.source, made.sequence, made.timestamp_ns, nth, more, made.payload)
        PyObject_Call(self.put, (content,), {"attachment": attachment})
        return made

    cdef object content_of(self, payload):
        # of an array or a memoryview: in shared memory, or as bytes
        if isinstance(payload, NDARRAY):
            dtype_bytes(payload.dtype)    # refuses what cannot be sent
            array = payload
        else:
            array = None
        if self.pool is not None and payload.nbytes >= self.least:
            if array is None and payload.contiguous:
                array = np.frombuffer(payload, np.uint8)
            if array is not None:
                return self.held(array, None)
        return payload.tobytes()

    cdef object held(self, array, otherwise):
        held = self.pool.hold(array)
        if held is not None:
            return held
        return array.tobytes() if otherwise is None else otherwise

    def __repr__(self):
        return f"Outbox({self.key!r}, sent={self.sent})"


cdef class Sender:
    """What publishes for a transport between programs, which has ``_outbox``, ``_forgotten`` and ``_numbers``."""

    cdef public dict _outboxes    # by key, or by key and profile: an outbox, and its Zenoh publisher

    def publish(self, key, payload, metadata=None, *, qos=None):
        """Send a message to all subscriptions whose pattern intersects ``key``, here and elsewhere.

        See :meth:`Transport.publish`. The payload is copied once, and may be written to afterwards.

        Raises
        ------
        DTypeError, InvalidValueError, ConfigError
            See :meth:`Transport.publish`; also metadata that JSON does not have, an array of structures, and a profile
            "reliable" where a link is a datagram link.
        InvalidStateError
            The transport is closed.
        RfxConnectionError
            Zenoh refused to send it.
        """
        cdef Outbox outbox
        found = self._outboxes.get(key) if qos is None and type(key) is str else None
        try:
            if found is None:
                found = self._outbox(key, profile(qos))
            outbox = (<tuple>found)[0]
            if outbox.lock is None:
                return outbox.sent_one(self._numbers, metadata, payload)
            return outbox.send(self._numbers, metadata, payload)
        except Exception as error:
            if not self._forgotten(key, found, error):
                raise
        return self.publish(key, payload, metadata, qos=qos)


@cython.final
cdef class Inbox:
    """Makes envelopes of Zenoh's samples and puts them into a mailbox; called in the thread that brings them.

    Parameters
    ----------
    mailbox : Mailbox
    wait : float
        Most seconds to wait for room, for a message whose sender waits too.
    zenoh : module
    once : bool
        Whether to leave out what is not newer, by its sender's numbers, than what came before under a key.
    near : bool
        Whether messages may lie in shared memory.

    Attributes
    ----------
    refused : int
        Messages whose attachment was none of ours, damaged, or did not fit the payload.
    lost : int
        Messages that were sent, and did not come: gaps in the numbers of a sender.
    shared : int
        Messages that lay in shared memory.
    """

    def __init__(self, Mailbox mailbox not None, wait, zenoh, bint once=False, bint near=True):
        self.mailbox, self.wait, self.patient = mailbox, wait, wait > 0.0
        self.drop, self.delete = zenoh.CongestionControl.DROP, zenoh.SampleKind.DELETE
        self.last, self.once, self.near, self.guard = {}, once, near, Lock()

    def __call__(self, sample):
        """Take in a message."""
        self.bring(sample)

    def hurry(self):
        """Wait no more for room; who waits gives up within 0.05 s."""
        self.patient = False

    def stop(self):
        """Close the mailbox: what waits for room gives up, and nothing more goes in."""
        self.hurry()
        self.mailbox.close()

    cdef int bring(self, sample) except -1:
        try:
            if self.once:
                with self.guard:    # what is kept may come by several links, and from here, at once
                    self.store(self.read(sample), sample)
            else:    # a feed lets one thread at a time
                self.store(self.read(sample), sample)
        except KeyboardInterrupt:    # Zenoh would drop it; so it is raised again where the program goes on
            interrupt_main()
        return 0

    cdef TransportEnvelope read(self, sample):
        # None for what is refused or left out
        cdef TransportEnvelope made
        try:
            try:
                return self.opened(sample)
            except KeyboardInterrupt:    # while metadata were read; what came is not lost by it
                made = self.opened(sample)
                interrupt_main()
                return made
        except Exception:
            self.refused += 1
            return None

    cdef int store(self, TransportEnvelope made, sample) except -1:
        if made is None or self.mailbox.offer(made, True):
            return 0
        if self.patient and sample.congestion_control != self.drop:
            now = monotonic()
            end = now + self.wait
            while now < end and self.patient and not self.mailbox.closed:
                self.mailbox.await_(False, min(end, now + LOOK))
                if self.mailbox.offer(made, True):
                    return 0
                now = monotonic()
        self.mailbox.offer(made)    # counts what is lost, unless the subscription has ended
        return 0

    cdef TransportEnvelope opened(self, sample):
        cdef TransportEnvelope made = TransportEnvelope.__new__(TransportEnvelope)
        cdef Header head
        cdef tuple more
        memory, attachment = self.memory(sample.payload), sample.attachment
        made.name = sample.key_expr
        self.size = len(memory)
        if attachment is None:    # of a program that knows nothing of us
            if sample.kind == self.delete:
                return None
            made.timestamp_ns = time_ns()
            made.payload = memory
            return made
        more = read_into(&head, attachment.to_bytes(), self.size)
        made.sequence, made.timestamp_ns = head.sequence, head.timestamp_ns
        if more is None:
            made.payload = memory
        else:
            metadata, dtype, shape = more
            made.payload = memory if dtype is None else NDARRAY(shape, dtype, memory)
            made.metadata = None if metadata is None else MappingProxyType(metadata)
        return made if self.count(head.source, head.nth) or not self.once else None

    cdef object memory(self, content):
        # bytes, or a read-only view of shared memory
        buffer = content.as_shm() if self.near else None
        if buffer is None:
            return content.to_bytes()
        self.shared += 1
        found = in_shared(buffer, len(content))
        return bytes(buffer) if found is None else memoryview(found).toreadonly()

    cdef bint count(self, uint64_t source, long long nth) except -1:
        # whether it is newer than those before; one that comes late was counted as lost before
        if source != self.source:
            if len(self.last) >= MOST_SOURCES:
                self.last.clear()
            self.last[self.source] = self.nth
            self.source, self.nth = source, self.last.get(source, 0)
        if not self.nth:
            self.nth = nth
        elif nth > self.nth:
            self.lost += nth - self.nth - 1
            self.nth = nth
        else:
            self.lost -= nth < self.nth and not self.once
            return False
        return True

    def __repr__(self):
        return f"Inbox(refused={self.refused}, lost={self.lost}, shared={self.shared})"
