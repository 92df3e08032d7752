"""A link that calls CycloneDDS' C library itself: no Python and no GIL between a compiled tick and the network.

cyclonedds' Python package brings its C library along. Its functions for CDR bytes are found by name in the library that
is loaded already, and are used only where the library is of a version that is known, all functions are there and a
message written to a topic of our own comes back unchanged (:func:`rfx.go2.backends.links.native_reason`).

Signatures: dds/dds.h, dds/ddsi/ddsi_serdata.h of CycloneDDS 11. Every entity is a handle that the library checks, but
what a handle leads to (the topic's type, which a message is checked against) is freed with the entity. So each call is
counted, and closing waits until nobody is inside before it lets the entities' Python objects go.
"""

import ctypes
import time

from libc.stdint cimport int32_t, int64_t, intptr_t, uint32_t, uintptr_t

from rfx.go2.link cimport TAKE_ENDED, TAKE_FAILED, TAKE_NOTHING, Link
from rfx.kernels.lock cimport Lock, lock_leave, lock_take

from rfx.errors import InvalidStateError, MissingDependencyError, RfxConnectionError

cdef enum:
    MOST = 16               # messages taken at once
    ANY_STATE = 0x7F        # read or not, new or not, alive, disposed or without writers
    SDK_DATA = 2            # a serdata that holds a message, not a key only
    INVALID = 4096          # addresses below are marks, not places

# dds_sample_info_t, 64 bytes: three states, whether there is data, then times, handles and ranks that are not needed.
cdef struct info_t:
    uint32_t sample_state
    uint32_t view_state
    uint32_t instance_state
    unsigned char valid
    unsigned char[3] padding
    int64_t[6] rest

cdef struct iovec_t:        # struct iovec of POSIX
    const void* base
    size_t len

ctypedef void* serdata_t

ctypedef int32_t (*takecdr_fn)(int32_t, serdata_t*, uint32_t, info_t*, uint32_t) noexcept nogil
ctypedef uint32_t (*size_fn)(const void*) noexcept nogil
ctypedef void (*to_ser_fn)(const void*, size_t, size_t, void*) noexcept nogil
ctypedef void (*unref_fn)(void*) noexcept nogil
ctypedef int32_t (*sertype_fn)(int32_t, const void**) noexcept nogil
ctypedef void* (*from_ser_fn)(const void*, int, size_t, const iovec_t*, size_t) noexcept nogil
ctypedef int32_t (*writecdr_fn)(int32_t, void*) noexcept nogil
ctypedef int32_t (*wait_fn)(int32_t, intptr_t*, size_t, int64_t) noexcept nogil

cdef struct native_t:
    Lock lock               # over the next two
    int users               # calls that are inside
    bint closing            # no more of them
    int32_t reader, writer, waitset
    takecdr_fn takecdr
    size_fn size
    to_ser_fn to_ser
    unref_fn unref
    sertype_fn sertype
    from_ser_fn from_ser
    writecdr_fn writecdr
    wait_fn wait

FUNCTIONS = (
    "dds_takecdr", "ddsi_serdata_size", "ddsi_serdata_to_ser", "ddsi_serdata_unref", "dds_get_entity_sertype",
    "ddsi_serdata_from_ser_iov", "dds_writecdr", "dds_waitset_wait")
INFO_SIZE = sizeof(info_t)
CLOSING_S = 0.0005          # between looks whether everybody has left


# Whether a call may begin; it ends with `leave`.
cdef bint enter(native_t* n) noexcept nogil:
    cdef bint may
    lock_take(&n.lock)
    may = not n.closing
    n.users += may
    lock_leave(&n.lock)
    return may


cdef void leave(native_t* n) noexcept nogil:
    lock_take(&n.lock)
    n.users -= 1
    lock_leave(&n.lock)


# Refuses further calls and returns how many are inside.
cdef int shut(native_t* n) noexcept nogil:
    cdef int users
    lock_take(&n.lock)
    n.closing = True
    users = n.users
    lock_leave(&n.lock)
    return users


# Takes all there is and keeps the newest; an older one is let go. Messages longer than `cap` are left out.
cdef Py_ssize_t take_all(native_t* n, unsigned char* buf, Py_ssize_t cap) noexcept nogil:
    cdef serdata_t[MOST] data
    cdef info_t[MOST] info
    cdef Py_ssize_t got = TAKE_NOTHING
    cdef int32_t i, count = MOST
    cdef uint32_t size
    while count == MOST:
        for i in range(MOST):
            data[i] = NULL
        count = n.takecdr(n.reader, data, MOST, info, ANY_STATE)
        if count < 0:
            return TAKE_FAILED
        for i in range(count):
            if info[i].valid:
                size = n.size(data[i])
                if size <= <size_t>cap:
                    n.to_ser(data[i], 0, size, buf)
                    got = size
            n.unref(data[i])
    return got


cdef Py_ssize_t take_or_wait(native_t* n, unsigned char* buf, Py_ssize_t cap, int64_t timeout_ns) noexcept nogil:
    cdef Py_ssize_t got = take_all(n, buf, cap)
    cdef int32_t woken
    if got != TAKE_NOTHING or timeout_ns <= 0:
        return got
    woken = n.wait(n.waitset, NULL, 0, timeout_ns)
    if woken <= 0:
        return TAKE_NOTHING if woken == 0 else TAKE_FAILED
    got = take_all(n, buf, cap)
    return got if got != TAKE_NOTHING else TAKE_ENDED


cdef Py_ssize_t take_native(void* ctx, unsigned char* buf, Py_ssize_t cap, int64_t timeout_ns) noexcept nogil:
    cdef native_t* n = <native_t*>ctx
    cdef Py_ssize_t got = TAKE_FAILED
    if enter(n):
        got = take_or_wait(n, buf, cap, timeout_ns)
        leave(n)
    return got


cdef int write_checked(native_t* n, const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef const void* sertype = NULL
    cdef iovec_t part
    cdef void* made
    cdef int32_t code = n.sertype(n.writer, &sertype)
    if code < 0:
        return code
    part.base, part.len = data, size
    made = n.from_ser(sertype, SDK_DATA, 1, &part, size)
    if <uintptr_t>made < INVALID:
        return -1
    return n.writecdr(n.writer, made)


# 0, or what DDS answers; -1 for bytes that are not of the topic's type, or a link that is closed.
cdef int write_native(void* ctx, const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef native_t* n = <native_t*>ctx
    cdef int code = -1
    if enter(n):
        code = write_checked(n, data, size)
        leave(n)
    return code


cdef class NativeLink(Link):
    """Take and write CDR bytes without the GIL.

    Parameters
    ----------
    reader : RawReader
        What is taken from; nobody else may take from it.
    writer : RawWriter
    library : ctypes.CDLL
        The C library that cyclonedds uses.
    keep : object
        Kept alive until the link is closed: the participant and its domain.

    Raises
    ------
    MissingDependencyError
        The library lacks a function.
    """

    cdef native_t n
    cdef object reader, entities
    cdef object __weakref__         # a domain closes the links on it

    def __init__(self, reader, writer, library, keep=None):
        cdef list found = []
        if self.c.take != NULL:
            raise InvalidStateError("a NativeLink is set up once; make another one")
        for name in FUNCTIONS:
            function = getattr(library, name, None)
            if function is None:
                raise MissingDependencyError(f"CycloneDDS' library has no {name}")
            found.append(ctypes.cast(function, ctypes.c_void_p).value)
        self.n.takecdr, self.n.size = <takecdr_fn><uintptr_t>found[0], <size_fn><uintptr_t>found[1]
        self.n.to_ser, self.n.unref = <to_ser_fn><uintptr_t>found[2], <unref_fn><uintptr_t>found[3]
        self.n.sertype, self.n.from_ser = <sertype_fn><uintptr_t>found[4], <from_ser_fn><uintptr_t>found[5]
        self.n.writecdr, self.n.wait = <writecdr_fn><uintptr_t>found[6], <wait_fn><uintptr_t>found[7]
        self.reader = reader
        self.entities = (reader._reader, reader._condition, reader._guard, reader._waitset, writer._writer, keep)
        if None in self.entities[:5]:
            raise RfxConnectionError(f"expected an open reader and an open writer, got {reader!r}, {writer!r}")
        self.n.reader, self.n.waitset = reader._reader._ref, reader._waitset._ref
        self.n.writer = writer._writer._ref
        self.c.ctx, self.c.take, self.c.write = <void*>&self.n, take_native, write_native
        self.kind, self.reason, self.closed = "native", "", False

    def wake(self):
        """End a take that goes on in another thread, or the next one."""
        self.reader.wake()

    def _woken(self):
        self.reader.calm()

    def fail(self, what):
        """Raise RfxConnectionError, or InvalidStateError where the link was closed meanwhile."""
        self.check()
        super().fail(what)

    def close(self):
        """End what goes on in other threads, and let go of the reader; calling it again does nothing."""
        cdef int users
        self.closed = True
        while self.entities is not None:
            with nogil:
                users = shut(&self.n)
            if users == 0:
                self.entities = None
                self.reader.close()
                return
            self.reader.wake()
            time.sleep(CLOSING_S)
