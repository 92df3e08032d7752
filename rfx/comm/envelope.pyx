"""What a message comes in."""

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.bytes cimport PyBytes_CheckExact

from time import time_ns
from types import MappingProxyType

import numpy as np

from rfx.errors import DTypeError

cnp.import_array()

cdef object NDARRAY = np.ndarray


@cython.final
@cython.freelist(64)
cdef class TransportEnvelope:
    """A message as a subscriber gets it. It does not change.

    Attributes
    ----------
    key : str
        What it was published under.
    sequence : int
        Counts the messages of the transport that sent it, from 1; 0 for what another program sent without a number.
    timestamp_ns : int
        When it was published: nanoseconds of the wall clock, since 1970.
    metadata : mapping or None
        As published, read-only.
    payload : bytes, ndarray or memoryview
        Within one program the memory that was published, not a copy; an array or a view is read-only. What a sender
        writes into that memory later shows here: publish memory that is not used again, or a copy.
    """

    def __init__(self, str key, sequence, timestamp_ns, metadata, payload):
        self.name, self.sequence, self.timestamp_ns = key, sequence, timestamp_ns
        self.metadata = shown(metadata)
        self.payload = read_only(payload)

    @property
    def key(self):
        """What it was published under."""
        return self.name if type(self.name) is str else str(self.name)

    def __reduce__(self):
        metadata = None if self.metadata is None else dict(self.metadata)
        payload = self.payload if not isinstance(self.payload, memoryview) else bytes(self.payload)
        return TransportEnvelope, (self.key, self.sequence, self.timestamp_ns, metadata, payload)

    def __repr__(self):
        return f"TransportEnvelope({self.key!r}, sequence={self.sequence}, payload={size_of(self.payload)} bytes)"


def seal(str key not None, numbers, metadata, payload):
    """Return an envelope with the next of ``numbers`` and the time now; none is taken where something is refused."""
    cdef TransportEnvelope made = TransportEnvelope.__new__(TransportEnvelope)
    made.name, made.metadata, made.payload = key, shown(metadata), read_only(payload)
    made.timestamp_ns = time_ns()
    made.sequence = next(numbers)
    return made


cdef size_of(payload):
    return len(payload) if type(payload) is bytes else payload.nbytes


cdef object shown(metadata):
    if metadata is None:
        return None
    try:
        return MappingProxyType(dict(metadata))
    except (TypeError, ValueError) as error:
        raise DTypeError(f"expected metadata to be a mapping or None, got {type(metadata).__name__}") from error


cdef object read_only(payload):
    # the same memory, which cannot be written to by way of what is returned
    cdef cnp.ndarray view
    if PyBytes_CheckExact(payload):
        return payload
    if cnp.PyArray_Check(payload):
        if payload.dtype.hasobject:
            raise DTypeError(f"expected payload to be an array of plain numbers, got dtype {payload.dtype}")
        view = payload.view(NDARRAY)
        cnp.PyArray_CLEARFLAGS(view, cnp.NPY_ARRAY_WRITEABLE)
        return view
    if PyObject_CheckBuffer(payload):
        return memoryview(payload).toreadonly()
    raise DTypeError(f"expected payload to be bytes, a numpy array or another buffer, got {type(payload).__name__}")
