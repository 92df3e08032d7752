"""The queue under channels and subscriptions: many threads put, many take, and whoever waits can be interrupted."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject

from rfx.comm.ring cimport Ring, Visit, ring_free, ring_pop, ring_push, ring_remove, ring_take, ring_traverse

import threading
from time import monotonic

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, InvalidStateError

cdef tuple OVERFLOWS = ("drop_oldest", "drop_newest", "block")
cdef enum:
    LINGER = 8    # looks before who takes goes to sleep
cdef double LONGEST = 1e6    # seconds of one wait; who waits longer looks again
cdef double GLANCE = 0.1     # of the main thread: a signal that comes just before it sleeps does not wake it
cdef Py_ssize_t ENDLESS = 2**62


cdef object owned(PyObject* item):
    # as an object of ours; None for NULL
    if item == NULL:
        return None
    result = <object>item
    Py_XDECREF(item)
    return result


# What waits in a mailbox is seen by the garbage collector, so that a cycle by way of it is freed. Cython writes the two
# functions for the attributes that are objects; the rings are added to them. No lock is needed: rings change only while a
# thread runs Python's C interface (with the GIL; without one, attached), and the collector waits for such a thread.

cdef extern from "Python.h":
    ctypedef int (*Traverse "traverseproc")(PyObject*, Visit, void*) noexcept nogil
    ctypedef int (*Clear "inquiry")(PyObject*) noexcept
    ctypedef struct Type "PyTypeObject":
        Traverse tp_traverse
        Clear tp_clear

cdef Traverse traverse_attributes
cdef Clear clear_attributes


cdef int wake(PyObject* waiter) except -1:
    if waiter != NULL:
        owned(waiter).release()
    return 0


cdef int wake_all(Ring* ring) except -1:
    while ring.count:
        wake(ring_pop(ring))
    ring_free(ring)
    return 0


@cython.final
cdef class Mailbox:
    """A queue of objects with a largest length, a rule for what comes when it is full, and counters.

    Parameters
    ----------
    capacity : int or None
        Most objects in it, at least 1; None for no limit.
    overflow : {"block", "drop_oldest", "drop_newest"}
        Where it is full: wait for room, drop what has waited longest, or drop what comes.

    Notes
    -----
    Objects are handed over as they are; nothing is copied. No order is promised among threads that wait. Safe under
    threads, also without a GIL; signal handlers (Ctrl+C) run while the main thread waits.
    """

    def __cinit__(self, capacity=None, overflow="block"):
        if overflow not in OVERFLOWS:
            raise ConfigError(f'expected overflow to be "block", "drop_oldest" or "drop_newest", got {overflow!r}')
        self.capacity = None if capacity is None else arrays.integer(capacity, "capacity", minimum=1, maximum=ENDLESS)
        self.room = ENDLESS if capacity is None else self.capacity
        self.overflow = overflow
        self.rule = OVERFLOWS.index(overflow)

    def __dealloc__(self):
        ring_free(&self.items)
        ring_free(&self.getters)
        ring_free(&self.putters)

    # -- in

    def put(self, item, timeout=None):
        """Put an object in; return whether it is in now.

        Parameters
        ----------
        item : object
            Anything but None.
        timeout : float, optional
            For "block": most seconds to wait for room; None for as long as it takes, 0 for not at all.

        Returns
        -------
        bool
            False where it was dropped ("drop_newest"), or there was no room in time.

        Raises
        ------
        InvalidStateError
            Closed, before or while it waited.
        DTypeError, InvalidValueError
            None; a timeout that is no number, NaN or below 0.
        """
        cdef bint good, wait
        if item is None:
            raise DTypeError("expected an object to send, got None, which stands for nothing")
        if not (timeout is None or type(timeout) is float and <double>timeout >= 0.0):
            deadline(timeout)    # refuses what is no time
        wait = self.rule == 2 and (timeout is None or timeout > 0)
        good = self.offer(item, wait)
        if wait and not good:
            end = deadline(timeout)
            while not good and not self.closed and (end is None or monotonic() < end):
                self.await_(False, end)
                good = self.offer(item, True)
            good = good or self.offer(item)    # counts what is lost
        if not good and self.closed:
            raise InvalidStateError("expected an open channel, got one that is closed")
        return good

    cdef bint offer(self, item, bint again=False) except -1:
        # put without waiting; `again` says that there will be another try, so that nothing is lost yet
        cdef PyObject* given = <PyObject*>item
        cdef PyObject* old = NULL
        cdef PyObject* waiter = NULL
        cdef bint good = False, memory = True
        Py_INCREF(item)
        with self.lock:
            if not self.closed:
                good = self.items.count < self.room
                if self.rule == 0 and not good:
                    old = ring_pop(&self.items)
                    good = True
                    self.dropped += 1
                elif not good and not again:
                    self.dropped += 1
                if good:
                    memory = good = ring_push(&self.items, given)
                if good:
                    self.accepted += 1
                    waiter = ring_pop(&self.getters)
        if not good:
            Py_XDECREF(given)
        wake(waiter)
        owned(old)    # let go outside of the lock: that may run code of others
        if not memory:
            raise MemoryError
        return good

    # -- out

    def get(self, timeout=None):
        """Take what has waited longest; None if nothing came within ``timeout`` seconds (None: as long as it takes).

        Raises
        ------
        InvalidStateError
            Closed, and nothing is left in it.
        DTypeError, InvalidValueError
            A timeout that is no number, NaN or below 0.
        """
        cdef bint closed
        item = self.poll()
        if item is not None:
            return item
        end = deadline(timeout)
        if not self.closed and (timeout is None or timeout > 0):
            item = self.linger()
            if item is not None:
                return item
        while True:
            closed = self.closed    # before the look: what comes after it, with the end behind, is not missed
            item = self.poll()
            if item is not None:
                return item
            if closed:
                raise InvalidStateError("expected an open channel, got one that is closed and empty")
            if not self.await_(True, end):
                return self.poll()

    cdef object poll(self):
        # the oldest, or None
        cdef PyObject* item
        cdef PyObject* waiter = NULL
        with self.lock:
            item = ring_pop(&self.items)
            if item != NULL:
                self.taken += 1
                waiter = ring_pop(&self.putters)
        wake(waiter)
        return owned(item)

    cdef bint pass_by(self) noexcept:
        # count one that goes straight to who takes it; False where others wait before it, or it is closed
        cdef bint good
        with self.lock:
            good = not self.closed and self.items.count == 0
            if good:
                self.accepted += 1
                self.taken += 1
        return good

    cdef object linger(self):
        # the oldest, if one comes while others have the processor a few times: cheaper than to sleep and be woken
        cdef int _k
        for _k in range(LINGER):
            with nogil:
                rfx_step_back()
            if self.items.count:
                return self.poll()
        return None

    def get_now(self):
        """Take what has waited longest, or None; see :meth:`get`."""
        cdef bint closed = self.closed    # before the look, as in get()
        item = self.poll()
        if item is None and closed:
            raise InvalidStateError("expected an open channel, got one that is closed and empty")
        return item

    def latest(self):
        """Take the newest and drop the others (counted as ``skipped``); None if there is nothing."""
        cdef bint closed = self.closed    # before the look, as in get()
        cdef list found = self.empty(True)
        if found:
            return found.pop()
        if closed:
            raise InvalidStateError("expected an open channel, got one that is closed and empty")
        return None

    def drain(self):
        """Take all, as a list."""
        return self.empty(False)

    cdef list empty(self, bint skip):
        cdef Ring old, waiters
        cdef list found = []
        with self.lock:
            old, waiters = ring_take(&self.items), ring_take(&self.putters)
            if skip and old.count:
                self.taken += 1
                self.skipped += old.count - 1
            else:
                self.taken += old.count
        wake_all(&waiters)
        while old.count:
            found.append(owned(ring_pop(&old)))
        ring_free(&old)
        return found

    def __len__(self):
        return self.items.count

    # -- waiting

    cdef bint await_(self, bint getter, end) except -1:
        # wait for one release; whether it is worth another look: False where the time is up
        cdef object waiter = threading.Lock()
        cdef bint mine = False
        waiter.acquire()
        if not self.line_up(getter, waiter):
            return True
        try:
            longest = GLANCE if threading.get_ident() == threading.main_thread().ident else LONGEST
            while True:
                left = longest if end is None else min(max(end - monotonic(), 0.0), longest)
                mine = waiter.acquire(True, left)
                if mine or left < longest:
                    break
                PyErr_CheckSignals()
        finally:
            if not mine:
                self.leave(getter, waiter)
        return mine or end is None or monotonic() < end

    cdef bint line_up(self, bint getter, waiter) except -1:
        # False where there is nothing to wait for
        cdef PyObject* given = <PyObject*>waiter
        cdef bint ready, memory = True
        Py_INCREF(waiter)
        with self.lock:
            ready = self.closed or (self.items.count > 0 if getter else self.items.count < self.room)
            if not ready:
                memory = ring_push(&self.getters if getter else &self.putters, given)
        if ready or not memory:
            Py_XDECREF(given)
        if not memory:
            raise MemoryError
        return not ready

    cdef int leave(self, bint getter, waiter) except -1:
        # out of the line; a release that came meanwhile belongs to the next
        cdef Ring* line = &self.getters if getter else &self.putters
        cdef PyObject* given = <PyObject*>waiter
        cdef PyObject* other = NULL
        cdef bint found
        with self.lock:
            found = ring_remove(line, given)
            if not found:
                other = ring_pop(line)
        if found:
            Py_XDECREF(given)
        wake(other)
        return 0

    def enlist(self, waiter):
        """Have ``waiter.release()`` called once, when there is something to take or it closes; False: there is already."""
        return self.line_up(True, waiter)

    def withdraw(self, waiter):
        """Take back :meth:`enlist`; if it was called meanwhile, another that waits is called instead."""
        self.leave(True, waiter)

    def close(self):
        """Take no more objects; what is in it can still be taken. Who waits is woken. A second time does nothing."""
        cdef Ring getters, putters
        with self.lock:
            self.closed = True
            getters, putters = ring_take(&self.getters), ring_take(&self.putters)
        wake_all(&getters)
        wake_all(&putters)

    def __repr__(self):
        return (f"Mailbox(capacity={self.capacity}, overflow={self.overflow!r}, len={len(self)}, dropped={self.dropped}"
                f"{', closed' if self.closed else ''})")


cdef class Taker:
    """Who takes from a mailbox, or from what fills one."""

    cdef public object _source

    def recv(self):
        """Wait for the next message and return it. InvalidStateError when the subscription has ended and is empty."""
        return self._source.get()

    def recv_timeout(self, seconds):
        """Return the next message, or None if there was none within so many seconds; see :meth:`recv`."""
        return self._source.get(seconds)

    def try_recv(self):
        """Return the next message, or None if there is none; see :meth:`recv`."""
        return self._source.get_now()

    def latest(self):
        """Return the newest message and drop the older ones (counted as ``skipped``), or None; see :meth:`recv`."""
        return self._source.latest()

    def drain(self):
        """Return all messages that wait, also after the end."""
        return self._source.drain()


def deadline(timeout):
    """Return the moment (monotonic) that is so many seconds away, None for None."""
    if timeout is None:
        return None
    cdef double seconds = arrays.number(timeout, "timeout", minimum=0.0)
    return monotonic() + seconds


cdef int mailbox_traverse(PyObject* self, Visit visit, void* arg) noexcept nogil:
    cdef int found = traverse_attributes(self, visit, arg)
    found = found or ring_traverse(&(<Mailbox>self).items, visit, arg)
    found = found or ring_traverse(&(<Mailbox>self).getters, visit, arg)
    return found or ring_traverse(&(<Mailbox>self).putters, visit, arg)


cdef int mailbox_clear(PyObject* self) noexcept:
    cdef Ring items = ring_take(&(<Mailbox>self).items)
    cdef Ring getters = ring_take(&(<Mailbox>self).getters)
    cdef Ring putters = ring_take(&(<Mailbox>self).putters)
    ring_free(&items)
    ring_free(&getters)
    ring_free(&putters)
    return clear_attributes(self)


traverse_attributes, clear_attributes = (<Type*>Mailbox).tp_traverse, (<Type*>Mailbox).tp_clear
(<Type*>Mailbox).tp_traverse, (<Type*>Mailbox).tp_clear = mailbox_traverse, mailbox_clear
