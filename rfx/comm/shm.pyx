"""Arrays in the shared memory of Zenoh, without a copy more than the one into it.

Zenoh's Python objects for shared memory say what is in it by making a copy of it; where it lies they do not say. It is
found out once: a buffer is filled by way of Zenoh with random bytes, and the one word of the object that points to these
bytes, within a shared mapping of this program, is what tells of other buffers. Where there is no such word (another
build of Zenoh, another system), :func:`place_known` says so and Zenoh's own copies are used. No word is followed that
does not point into a mapping of shared memory.
"""

cimport numpy as cnp
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdint cimport uintptr_t
from libc.string cimport memcmp

import os
from bisect import bisect_right

import numpy as np

cnp.import_array()

MAPPINGS = ((), ())    # where the shared mappings start, in order, and their ends; replaced whole, for other threads
cdef Py_ssize_t WORD = -2    # which word of a buffer's object points to it; -1: not known, -2: not looked for
cdef Py_ssize_t NONCE = 64


def place_known(zenoh):
    """Return whether it is known where a buffer of shared memory lies. Looks for it the first time."""
    global WORD
    if WORD == -2:
        try:
            WORD = find_word(zenoh)
        except (zenoh.ZError, OSError, ValueError):
            WORD = -1
    return WORD >= 0


def in_shared(buffer, size, shape=None, dtype=None):
    """Return an array over the memory of a ZShm or ZShmMut, which it keeps; None where that memory is not found.

    Parameters
    ----------
    buffer : ZShm or ZShmMut
    size : int
        Its length in bytes.
    shape, dtype : optional
        Of the array; (size,) of bytes without them.
    """
    cdef cnp.npy_intp extent = size
    cdef cnp.ndarray flat
    cdef uintptr_t at
    if WORD < 0 or extent <= 0 or (WORD + 1) * <Py_ssize_t>sizeof(void*) > type(buffer).__basicsize__:
        return None
    at = (<uintptr_t*><PyObject*>buffer)[WORD]
    if not mapped(at, extent):
        return None
    flat = cnp.PyArray_SimpleNewFromData(1, &extent, cnp.NPY_UINT8, <void*>at)
    Py_INCREF(buffer)
    cnp.PyArray_SetBaseObject(flat, buffer)
    return flat if dtype is None else np.ndarray(shape, dtype, flat)


cdef bint mapped(uintptr_t at, Py_ssize_t size) except -1:
    if within(at, size):
        return True
    read_mappings()
    return within(at, size)


cdef bint within(uintptr_t at, Py_ssize_t size) except -1:
    starts, ends = MAPPINGS
    k = bisect_right(starts, at) - 1
    return k >= 0 and at + <uintptr_t>size <= ends[k]


cdef int read_mappings() except -1:
    # those of Zenoh's segments; neighbours count as one
    global MAPPINGS
    found = []
    try:
        with open("/proc/self/maps") as file:
            for line in file:
                if "/dev/shm/" in line and ".zenoh" in line and " rw-s " in line:
                    start, _, end = line.split(None, 1)[0].partition("-")
                    found.append((int(start, 16), int(end, 16)))
    except OSError:
        return 0
    found.sort()
    MAPPINGS = tuple(start for start, _ in found), tuple(end for _, end in found)
    return 0


cdef Py_ssize_t find_word(zenoh) except -2:
    # the same word of both kinds of objects, and no other; -1 if there is none
    cdef bytes nonce = os.urandom(NONCE)
    provider = zenoh.shm.ShmProvider.default_backend(65536)
    mine = provider.alloc(NONCE)
    mine[0:NONCE] = nonce
    first = pointing(mine, nonce)
    theirs = zenoh.ZBytes(mine).as_shm()
    if theirs is None or len(first) != 1 or pointing(theirs, nonce) != first:
        return -1
    return first[0]


cdef list pointing(buffer, bytes nonce):
    cdef uintptr_t* words = <uintptr_t*><PyObject*>buffer
    cdef Py_ssize_t k
    cdef list found = []
    for k in range(<Py_ssize_t>type(buffer).__basicsize__ // <Py_ssize_t>sizeof(void*)):
        if mapped(words[k], NONCE) and memcmp(<void*>words[k], <char*>nonce, NONCE) == 0:
            found.append(k)
    return found
