"""Messages as C structs: declared once as fields, read and written as CDR bytes without Python in between.

A message class lists its fields by annotation (see rfx/go2/messages.py); :func:`wire` lays them out as a C compiler
would, with natural alignment and zeroed padding, and makes each an attribute. The same list drives the codec.
"""

import operator

import numpy as np

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport isfinite
from libc.string cimport memcmp, memcpy, memset

from rfx.kernels.cdr cimport cdr_decode, cdr_encode
from rfx.kernels.crc cimport crc32_mpeg2_words

from rfx import arrays
from rfx.errors import CodecError, DTypeError, InvalidValueError, ShapeError
from rfx.go2.layout import KINDS
from rfx.go2.octets import as_bytes, body_is_swapped

cnp.import_array()

cdef bytes LITTLE = b"\x00\x01\x00\x00"

cdef enum:
    U8, U16, U32, I16, I32, I64, BOOL, F32
cdef dict CODES = {"u8": U8, "u16": U16, "u32": U32, "i16": I16, "i32": I32, "i64": I64, "bool": BOOL, "f32": F32}


cdef class Field:
    """One attribute of a message: a number, a tuple of numbers, a nested message or a sequence of them."""

    cdef readonly str name
    cdef readonly object kind
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t offset
    cdef readonly Py_ssize_t stride
    cdef int code

    def __cinit__(self, place):
        self.name, self.kind, self.count, self.offset, self.stride = place
        self.code = -1 if isinstance(self.kind, type) else CODES[self.kind]

    def __get__(self, instance, owner):
        if instance is None:
            return self
        cdef Struct message = instance
        cdef unsigned char* at = message.data + self.offset
        cdef Py_ssize_t i
        cdef list numbers
        if self.code < 0:
            return view(self.kind, message, at) if self.count == 0 else StructArray(message, self)
        if self.count == 0:
            return self.read(at)
        numbers = []
        for i in range(self.count):
            numbers.append(self.read(at + i * self.stride))
        return tuple(numbers)

    def __set__(self, instance, value):
        cdef Struct message = instance
        cdef unsigned char* at = message.data + self.offset
        cdef Py_ssize_t place
        if self.code < 0:
            if self.count:
                raise DTypeError(f"expected {self.name} to be set item by item, as in {self.name}[0] = ...")
            assign(self.kind, at, value, self.name)
            return
        if self.count == 0:
            self.write(at, self.checked(value, self.name))
            return
        values = list(value)
        if len(values) != self.count:
            raise ShapeError(f"expected {self.name} of length {self.count}, got {len(values)}")
        good = [self.checked(v, f"{self.name}[{i}]") for i, v in enumerate(values)]
        for place in range(self.count):
            self.write(at + place * self.stride, good[place])

    cdef object checked(self, value, name):
        if self.code == F32:
            if isinstance(value, (str, bytes)):
                raise DTypeError(f"expected {name} to be a real number, got {type(value).__name__}")
            try:
                number = float(value)
            except (TypeError, ValueError) as error:
                raise DTypeError(f"expected {name} to be a real number, got {type(value).__name__}") from error
            if abs(number) > 3.4028235677973366e38 and abs(number) != float("inf"):
                raise InvalidValueError(f"expected {name} to fit float32, got {number:g}")
            return number
        if self.code == BOOL and isinstance(value, (bool, np.bool_)):
            return int(value)
        try:
            number = operator.index(value)
        except TypeError as error:
            raise DTypeError(f"expected {name} to be an integer, got {type(value).__name__}") from error
        _, low, high = KINDS[self.kind]
        if not low <= number <= high:
            raise InvalidValueError(f"expected {name} within {low}..{high}, got {number}")
        return number

    cdef object read(self, const unsigned char* at):
        if self.code == F32:
            return (<float*>at)[0]
        if self.code == U8:
            return at[0]
        if self.code == U16:
            return (<unsigned short*>at)[0]
        if self.code == U32:
            return (<unsigned int*>at)[0]
        if self.code == I16:
            return (<short*>at)[0]
        if self.code == I32:
            return (<int*>at)[0]
        if self.code == I64:
            return (<long long*>at)[0]
        return at[0] != 0

    cdef int write(self, unsigned char* at, value) except -1:
        if self.code == F32:
            (<float*>at)[0] = <float><double>value
        elif self.code == U8 or self.code == BOOL:
            at[0] = value
        elif self.code == U16:
            (<unsigned short*>at)[0] = value
        elif self.code == U32:
            (<unsigned int*>at)[0] = value
        elif self.code == I16:
            (<short*>at)[0] = value
        elif self.code == I32:
            (<int*>at)[0] = value
        else:
            (<long long*>at)[0] = value
        return 0

    def __repr__(self):
        kind = self.kind.__name__ if isinstance(self.kind, type) else self.kind
        return f"Field({self.name}: {kind}{f'[{self.count}]' if self.count else ''} at {self.offset})"


cdef object view(kind, Struct parent, unsigned char* at):
    cdef Struct child = kind.__new__(kind, None)
    child.data = at
    child.owner = parent
    return child


cdef int assign(kind, unsigned char* at, value, name) except -1:
    if type(value) is not kind:
        raise DTypeError(f"expected {name} to be a {kind.__name__}, got {type(value).__name__}")
    cdef Struct source = value
    memcpy(at, source.data, source.layout.size)
    return 0


cdef class StructArray:
    """A sequence of nested messages; its items are live views."""

    cdef Struct parent
    cdef Field field

    def __cinit__(self, Struct parent, Field field):
        self.parent, self.field = parent, field

    cdef unsigned char* at(self, index) except NULL:
        cdef Py_ssize_t i = operator.index(index)
        if i < 0:
            i += self.field.count
        if not 0 <= i < self.field.count:
            raise IndexError(f"{self.field.name} has {self.field.count} items, got index {index}")
        return self.parent.data + self.field.offset + i * self.field.stride

    def __len__(self):
        return self.field.count

    def __getitem__(self, index):
        return view(self.field.kind, self.parent, self.at(index))

    def __setitem__(self, index, value):
        assign(self.field.kind, self.at(index), value, f"{self.field.name}[{index}]")

    def __iter__(self):
        return iter([self[i] for i in range(self.field.count)])

    def __eq__(self, other):
        return isinstance(other, StructArray) and list(self) == list(other)

    def __repr__(self):
        return repr(list(self))


cdef class Struct:
    """Base of all fixed-size messages: a C struct inline, or a view into the one of a parent.

    Attributes are Unitree's field names. Nested messages are live views that keep their parent alive; arrays of
    numbers come as tuples and are set whole. Setting a wrong type raises DTypeError, a number that does not fit
    InvalidValueError, and neither changes anything.
    """

    def __cinit__(self, *args, **kwargs):
        self.layout = type(self).LAYOUT
        if len(args) == 1 and args[0] is None:
            return
        self.data = <unsigned char*>PyMem_Calloc(1, self.layout.size)
        if self.data == NULL:
            raise MemoryError()
        self.owned = True

    def __init__(self, **fields):
        for name, value in fields.items():
            if name not in self.layout.fields:
                raise DTypeError(f"{type(self).__name__} has no field {name!r}")
            setattr(self, name, value)

    def __dealloc__(self):
        if self.owned:
            PyMem_Free(self.data)

    @classmethod
    def from_cdr(cls, data):
        """Return the message that these CDR bytes hold, header included; CodecError where they are not one."""
        cdef Struct message = cls.__new__(cls)
        message.update_from_cdr(data)
        return message

    def update_from_cdr(self, data):
        """Overwrite this message with what CDR bytes hold, without allocating; on CodecError it stays as it is."""
        cdef const unsigned char[::1] source = as_bytes(data)
        cdef Py_ssize_t size = source.shape[0], body = self.layout.cdr_size
        cdef bint swap = body_is_swapped(source, body, type(self).__name__)
        cdef Py_ssize_t end
        cdef unsigned char* scratch
        if not self.layout.has_bool:  # nothing can fail any more
            cdr_decode(self.layout.moves, self.layout.n_moves, &source[4], size - 4, 0, swap, self.data)
            return
        scratch = <unsigned char*>PyMem_Calloc(1, self.layout.size)
        if scratch == NULL:
            raise MemoryError()
        try:
            end = cdr_decode(self.layout.moves, self.layout.n_moves, &source[4], size - 4, 0, swap, scratch)
            if end < 0:
                raise CodecError(f"expected every bool of {type(self).__name__} to be 0 or 1")
            memcpy(self.data, scratch, self.layout.size)
        finally:
            PyMem_Free(scratch)

    def to_cdr(self):
        """Return the message as CDR bytes: header 00 01 00 00 and a little-endian XCDR1 body."""
        cdef bytes out = PyBytes_FromStringAndSize(NULL, 4 + self.layout.cdr_size)
        cdef unsigned char* at = <unsigned char*>PyBytes_AS_STRING(out)
        memcpy(at, PyBytes_AS_STRING(LITTLE), 4)
        cdr_encode(self.layout.moves, self.layout.n_moves, self.data, at + 4, 0)
        return out

    def struct_bytes(self):
        """Return a copy of the C struct, padding included (zero), as the checksum of LowCmd and LowState covers it."""
        return PyBytes_FromStringAndSize(<char*>self.data, self.layout.size)

    def copy(self):
        """Return an independent copy."""
        cdef Struct twin = type(self).__new__(type(self))
        memcpy(twin.data, self.data, self.layout.size)
        return twin

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return type(self).from_cdr, (self.to_cdr(),)

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        cdef Struct that = other
        return memcmp(self.data, that.data, self.layout.size) == 0

    __hash__ = None

    def __repr__(self):
        parts = [f"{name}={short(getattr(self, name))}" for name in list(self.layout.fields)[:4]]
        more = ", ..." if len(self.layout.fields) > 4 else ""
        return f"{type(self).__name__}({', '.join(parts)}{more})"

    def clear(self):
        """Set every field to zero."""
        memset(self.data, 0, self.layout.size)

    def _word_crc(self):
        # CRC-32/MPEG-2 over the struct's words but the last
        return crc32_mpeg2_words(self.data, self.layout.size // 4 - 1, 0xFFFFFFFFU)

    def _gather(self, Py_ssize_t offset, Py_ssize_t stride, Py_ssize_t n):
        # n float32 that lie `stride` bytes apart, as a new array
        cdef cnp.npy_intp[1] shape = [n]
        cdef object out = cnp.PyArray_SimpleNew(1, shape, cnp.NPY_FLOAT32)
        cdef float* to = <float*>cnp.PyArray_DATA(<cnp.ndarray>out)
        cdef Py_ssize_t i
        for i in range(n):
            to[i] = (<float*>(self.data + offset + i * stride))[0]
        return out

    def _all_finite(self, Py_ssize_t offset, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t count, Py_ssize_t signless):
        # whether `count` float32 side by side are finite at each of n places, and from `signless` on not negative
        cdef Py_ssize_t i, k
        cdef float value
        for i in range(n):
            for k in range(count):
                value = (<float*>(self.data + offset + i * stride))[k]
                if not isfinite(value) or (k >= signless and value < 0):
                    return False
        return True

    def _set_floats(self, dict given, dict offsets, Py_ssize_t stride, Py_ssize_t n):
        # For each name a number for all or n of them, at offsets[name] + i * stride; all are checked before any is set.
        cdef float[8][20] values
        cdef Py_ssize_t i, k, offset
        cdef list names = [name for name, value in given.items() if value is not None]
        if len(names) > 8 or n > 20:
            raise ValueError("more than 8 x 20 numbers")
        for k in range(len(names)):
            read_floats(given[names[k]], names[k], n, values[k])
        for k in range(len(names)):
            offset = offsets[names[k]]
            for i in range(n):
                (<float*>(self.data + offset + i * stride))[0] = values[k][i]

    def _scatter_bytes(self, Py_ssize_t offset, Py_ssize_t stride, const unsigned char[::1] values):
        cdef Py_ssize_t i
        for i in range(values.shape[0]):
            self.data[offset + i * stride] = values[i]


cdef int read_floats(value, name, Py_ssize_t n, float* out) except -1:
    # one finite number for all, or n finite numbers that fit float32
    cdef const double[::1] doubles
    cdef double number
    cdef Py_ssize_t i
    if cnp.PyArray_CheckExact(value) and cnp.PyArray_NDIM(value) == 1 and cnp.PyArray_DIM(value, 0) == n \
            and cnp.PyArray_TYPE(value) == cnp.NPY_FLOAT64 and cnp.PyArray_IS_C_CONTIGUOUS(value):
        for i in range(n):
            out[i] = <float>(<double*>cnp.PyArray_DATA(value))[i]
    elif type(value) is float or type(value) is int:
        number = arrays.number(value, name) if type(value) is int else value
        for i in range(n):
            out[i] = <float>number
    else:
        array = np.asarray(value)
        array = arrays.floats(array, name, () if array.ndim == 0 else (n,))
        doubles = np.broadcast_to(array, (n,)).astype(np.float64)
        for i in range(n):
            out[i] = <float>doubles[i]
    for i in range(n):
        if not isfinite(out[i]):
            arrays.finite(np.asarray(value, np.float64), name)
            raise InvalidValueError(f"expected {name} to fit float32, got {value}")
    return 0


def short(value):
    """Write a field's value in at most some twenty characters."""
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def wire(str type_name):
    """Make a message class of one that lists its fields by annotation; ``type_name`` is its name on DDS."""

    def decorate(cls):
        specification = {}
        for name, hint in cls.__annotations__.items():
            kind = getattr(hint, "__metadata__", (hint,))[0]
            specification[name] = kind if isinstance(kind, tuple) else (kind, 0)
        cls.LAYOUT = Layout(specification)
        cls.TYPE_NAME = type_name
        cls.CDR_SIZE = 4 + cls.LAYOUT.cdr_size
        for name, place in cls.LAYOUT.fields.items():
            setattr(cls, name, Field(place))
        return cls

    return decorate
