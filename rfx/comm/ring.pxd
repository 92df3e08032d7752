"""A ring of references to objects that grows, and that the garbage collector can go through."""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.ref cimport Py_XDECREF, PyObject

cdef extern from "Python.h":
    ctypedef int (*Visit "visitproc")(PyObject*, void*) noexcept nogil


cdef struct Ring:
    # references to objects, in order; each counts as one
    PyObject** slots
    Py_ssize_t size         # a power of two, or 0
    Py_ssize_t head
    Py_ssize_t count


cdef inline bint ring_push(Ring* ring, PyObject* item) noexcept nogil:
    # takes over the reference; False where there is no memory
    cdef PyObject** slots
    cdef Py_ssize_t k, size
    if ring.count == ring.size:
        size = 2 * ring.size if ring.size else 8
        slots = <PyObject**>PyMem_RawMalloc(size * sizeof(PyObject*))
        if slots == NULL:
            return False
        for k in range(ring.count):
            slots[k] = ring.slots[(ring.head + k) & (ring.size - 1)]
        PyMem_RawFree(ring.slots)
        ring.slots, ring.size, ring.head = slots, size, 0
    ring.slots[(ring.head + ring.count) & (ring.size - 1)] = item
    ring.count += 1
    return True


cdef inline PyObject* ring_pop(Ring* ring) noexcept nogil:
    # the first, whose reference is the caller's now; NULL if there is none
    cdef PyObject* item
    if ring.count == 0:
        return NULL
    item = ring.slots[ring.head]
    ring.head = (ring.head + 1) & (ring.size - 1)
    ring.count -= 1
    return item


cdef inline bint ring_remove(Ring* ring, PyObject* item) noexcept nogil:
    # whether it was there; the reference is the caller's then
    cdef Py_ssize_t k, mask = ring.size - 1
    cdef bint found = False
    for k in range(ring.count):
        if found:
            ring.slots[(ring.head + k - 1) & mask] = ring.slots[(ring.head + k) & mask]
        elif ring.slots[(ring.head + k) & mask] == item:
            found = True
    ring.count -= found
    return found


cdef inline Ring ring_take(Ring* ring) noexcept nogil:
    # all of it; an empty one is left
    cdef Ring taken = ring[0]
    ring.slots = NULL
    ring.size = ring.head = ring.count = 0
    return taken


cdef inline void ring_free(Ring* ring) noexcept:
    while ring.count:
        Py_XDECREF(ring_pop(ring))
    PyMem_RawFree(ring.slots)
    ring.slots = NULL


cdef inline int ring_traverse(Ring* ring, Visit visit, void* arg) noexcept nogil:
    cdef Py_ssize_t k
    cdef int found
    for k in range(ring.count):
        found = visit(ring.slots[(ring.head + k) & (ring.size - 1)], arg)
        if found:
            return found
    return 0
