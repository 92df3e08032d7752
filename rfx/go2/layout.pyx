"""Where the fields of a message lie in its C struct, and how that struct becomes CDR.

The C struct has natural alignment, as a C compiler lays it out; the moves between it and CDR are runs of numbers of one
size that lie side by side in both.
"""

from collections import namedtuple

from cpython.mem cimport PyMem_Free, PyMem_Malloc

from rfx.kernels.cdr cimport Move, cdr_size

# kind -> (size, lowest, highest); floats have no bounds but float32's own
KINDS = {
    "u8": (1, 0, 2**8 - 1),
    "u16": (2, 0, 2**16 - 1),
    "u32": (4, 0, 2**32 - 1),
    "i16": (2, -(2**15), 2**15 - 1),
    "i32": (4, -(2**31), 2**31 - 1),
    "i64": (8, -(2**63), 2**63 - 1),
    "bool": (1, 0, 1),
    "f32": (4, None, None),
}

# count is 0 for a single value; stride is the distance of array items in bytes
Place = namedtuple("Place", ["name", "kind", "count", "offset", "stride"], module=__name__)


cdef class Layout:
    """The C struct of a message, from ``{name: (kind, count)}`` where kind is a key of KINDS or a message class."""

    def __cinit__(self, dict specification):
        self.fields = {}
        self.moves = NULL
        cdef list flat = []
        cdef Py_ssize_t offset = 0, align = 1, size, stride, i
        cdef Layout inner
        for name, (kind, count) in specification.items():
            if isinstance(kind, type):
                inner = kind.LAYOUT
                size, stride = inner.align, inner.size
            else:
                size = stride = KINDS[kind][0]
            offset = (offset + size - 1) & ~(size - 1)
            align = max(align, size)
            self.fields[name] = Place(name, kind, count, offset, stride)
            for i in range(max(count, 1)):
                if isinstance(kind, type):
                    flat += [(offset + i * stride + o, s, n, b) for o, s, n, b in inner.as_tuples()]
                else:
                    flat.append((offset + i * stride, size, 1, kind == "bool"))
            offset += stride * max(count, 1)
        self.align = align
        self.size = (offset + align - 1) & ~(align - 1)
        self.has_bool = any([b for _, _, _, b in flat])
        self.store(merged(flat))
        self.cdr_size = cdr_size(self.moves, self.n_moves, 0)

    cdef int store(self, list moves) except -1:
        self.n_moves = len(moves)
        self.moves = <Move*>PyMem_Malloc(max(self.n_moves, 1) * sizeof(Move))
        if self.moves == NULL:
            raise MemoryError()
        for i, (offset, size, count, is_bool) in enumerate(moves):
            self.moves[i] = Move(offset, size, count, is_bool)
        return 0

    cdef list as_tuples(self):
        return [(self.moves[i].offset, self.moves[i].size, self.moves[i].count, self.moves[i].is_bool)
                for i in range(self.n_moves)]

    def __dealloc__(self):
        PyMem_Free(self.moves)

    def __repr__(self):
        return f"Layout(fields={len(self.fields)}, size={self.size}, cdr_size={self.cdr_size})"


cdef list merged(list flat):
    # Numbers of one size that lie side by side in the struct lie side by side in CDR as well: one move for all.
    cdef list out = []
    for offset, size, count, is_bool in flat:
        if out:
            o, s, n, b = out[len(out) - 1]  # wraparound is off
            if s == size and b == is_bool and o + s * n == offset:
                out[len(out) - 1] = (o, s, n + count, b)
                continue
        out.append((offset, size, count, is_bool))
    return out
