"""A link of C functions: what a compiled tick takes states from and gives commands to.

Two kinds do the same: a native one (rfx/go2/backends/native.pyx), and one that calls Python functions and so takes the
GIL twice in each tick.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from rfx.kernels.clock cimport monotonic_ns

from rfx.arrays import number
from rfx.errors import DTypeError, InvalidStateError, RfxConnectionError
from rfx.go2.octets import as_bytes

cdef enum:
    LARGEST = 65_536
cdef int64_t SLICE_NS = 50_000_000  # between looks at signals


cdef class Link:
    """Base of all links. ``kind`` is ``"native"`` or ``"python"``, ``reason`` says why a link is not native."""

    def __init__(self):
        raise DTypeError("a Link is made by rfx.go2.backends.links.open_link, or as a PythonLink")

    def take(self, timeout_s=0.0):
        """Wait for a message and return the newest as CDR bytes; None when the time is over. Ctrl+C gets through.

        Raises
        ------
        RfxConnectionError
            The link failed.
        InvalidStateError
            It is closed.
        """
        cdef int64_t left, end
        cdef Py_ssize_t got = TAKE_NOTHING
        cdef unsigned char[LARGEST] room
        end = monotonic_ns() + <int64_t>(1e9 * <double>number(timeout_s, "timeout_s", minimum=0, maximum=1e6))
        self.check()
        while True:
            left = end - monotonic_ns()
            with nogil:
                got = self.c.take(self.c.ctx, room, LARGEST, max(<int64_t>0, min(left, SLICE_NS)))
            PyErr_CheckSignals()
            if got != TAKE_NOTHING or left <= SLICE_NS:
                break
        if got == TAKE_FAILED:
            self.fail("taking")
        if got == TAKE_ENDED:
            self._woken()
        return PyBytes_FromStringAndSize(<char*>room, got) if got > 0 else None

    def write(self, data):
        """Send a message, CDR bytes with their header.

        Raises
        ------
        RfxConnectionError
            It was refused: the bytes are not of the topic's type, or the link failed.
        """
        cdef const unsigned char[::1] source = as_bytes(data)
        cdef Py_ssize_t n = source.shape[0]
        cdef int code
        self.check()
        if n == 0:
            raise RfxConnectionError("expected CDR bytes, got none")
        with nogil:
            code = self.c.write(self.c.ctx, &source[0], n)
        if code < 0:
            self.fail(f"writing {n} bytes (code {code})")

    def wake(self):
        """End a take that goes on in another thread, or the next one."""

    def _woken(self):
        """A take was ended by wake: let the next one wait again."""

    def close(self):
        """Let go of what the link stands on; calling it again does nothing."""
        self.closed = True

    def check(self):
        """Raise InvalidStateError if the link cannot be used."""
        if self.c.take == NULL or self.closed:
            raise InvalidStateError(f"{self!r} cannot be used any more")

    def fail(self, what):
        """Raise RfxConnectionError with what is known."""
        raise RfxConnectionError(f"{what} failed on {self!r}")

    def __reduce__(self):
        raise DTypeError(f"a {type(self).__name__} stands on what is open in this process and cannot be pickled")

    def __repr__(self):
        return f"{type(self).__name__}({self.kind}{', closed' if self.closed else ''})"


cdef class PythonLink(Link):
    """A link that calls Python functions, with the GIL.

    Parameters
    ----------
    take : callable
        ``take(timeout_s)`` returns the newest message as bytes, or None when the time is over.
    write : callable
        ``write(data)`` sends bytes.
    reason : str
        Why Python is needed.

    Examples
    --------
    >>> sent = []
    >>> link = PythonLink(lambda timeout_s: b"state", sent.append)
    >>> link.write(b"command")
    >>> link.take(), sent
    (b'state', [b'command'])
    """

    cdef object taker, writer, waker
    cdef public object error        # what a function raised last

    def __init__(self, take, write, *, reason="", wake=None):
        for given, name in ((take, "take"), (write, "write")):
            if not callable(given):
                raise DTypeError(f"expected {name} to be callable, got {type(given).__name__}")
        self.taker, self.writer, self.waker = take, write, wake
        self.kind, self.reason, self.closed = "python", str(reason), False
        self.c.ctx, self.c.take, self.c.write = <void*>self, take_python, write_python

    def wake(self):
        """End a take that goes on in another thread, or the next one."""
        if self.waker is not None:
            self.waker()

    def fail(self, what):
        """Raise RfxConnectionError with what a function raised."""
        error, self.error = self.error, None
        raise RfxConnectionError(f"{what} failed on {self!r}: {error}") from error


cdef Py_ssize_t take_python(void* ctx, unsigned char* buf, Py_ssize_t cap, int64_t timeout_ns) noexcept nogil:
    cdef Py_ssize_t n
    with gil:
        link = <PythonLink>ctx
        try:
            link.check()
            data = link.taker(timeout_ns / 1e9)
            if data is None:
                return TAKE_NOTHING
            if not isinstance(data, bytes):
                raise DTypeError(f"expected take to return bytes or None, got {type(data).__name__}")
            n = len(data)
            if n > cap:
                raise DTypeError(f"expected at most {cap} bytes, got {n}")
            memcpy(buf, PyBytes_AS_STRING(data), n)
            return n
        except BaseException as error:
            link.error = error
            return TAKE_FAILED


cdef int write_python(void* ctx, const unsigned char* data, Py_ssize_t n) noexcept nogil:
    with gil:
        link = <PythonLink>ctx
        try:
            link.check()
            link.writer(PyBytes_FromStringAndSize(<const char*>data, n))
            return 0
        except BaseException as error:
            link.error = error
            return -1
