"""What takes messages out of Zenoh's own queue: whoever receives, in its own thread, or else a thread that is kept for it."""

cimport cython
from cpython.ref cimport Py_INCREF

from rfx.comm.envelope cimport TransportEnvelope
from rfx.comm.mailbox cimport Mailbox, rfx_step_back
from rfx.comm.post cimport Inbox

import threading
from time import monotonic, sleep

cdef enum:
    MOST_AT_ONCE = 256    # messages that one call takes out of Zenoh's queue
    FEW_AT_ONCE = 32      # the same where senders wait: what is taken soon after is still in the processor's cache
    LARGE = 16384         # bytes of a payload that is not taken before it is asked for, where senders wait
    LOOKS = 3             # before who receives goes to sleep
    YIELDS = 4            # before each look
cdef double NAP = 0.002    # seconds without a receiver after which the thread goes to work
cdef double SHORT_NAP = 0.0005    # where messages are dropped and no sender should wait
cdef double LONG_NAP = 0.25
cdef double PATIENCE = 5.0


def never_free(thing):
    """Keep an object, also when the program ends and nobody has a reference to it any more."""
    Py_INCREF(thing)


@cython.final
cdef class Feed:
    """Takes messages out of Zenoh's queue and puts them into a mailbox by way of an inbox; one thread at a time does.

    A message then goes from the thread that brings it to the one that waits for it, and not by way of a third. The thread
    of the feed works while nobody waits in :meth:`get` without a timeout: it counts, drops and wakes. Where a receiver
    comes back soon, it leaves the queue to it; 2 to 4 ms after the last one left it takes over, 0.5 to 1 ms where messages
    are dropped.

    Parameters
    ----------
    subscriber : zenoh.Subscriber
        With a queue.
    inbox : Inbox
        Called with each message; it puts it into the mailbox.
    mailbox : Mailbox
    ended : type
        What Zenoh raises when its queue has ended.
    feeds : set
        Of a session: those that are open.
    """

    cdef object subscriber, receive, more, ended, bell, thread
    cdef Inbox inbox
    cdef Mailbox mailbox
    cdef set feeds
    cdef bint patient           # whether what comes waits for room in the mailbox
    cdef bint held              # somebody takes from the queue
    cdef bint recent            # a receiver was there since the thread of the feed looked
    cdef bint naps, naps_long
    cdef double rest            # of its naps, seconds
    cdef bint over
    cdef cython.pymutex lock    # around the four flags; held around C code only

    def __init__(self, subscriber not None, Inbox inbox not None, Mailbox mailbox not None, ended not None, set feeds not None):
        handler = subscriber.handler
        self.subscriber, self.receive, self.more = subscriber, handler.recv, handler.try_recv
        self.inbox, self.mailbox, self.ended, self.feeds = inbox, mailbox, ended, feeds
        self.patient = mailbox.overflow == "block"
        self.rest = NAP if self.patient else SHORT_NAP
        self.bell = threading.Lock()
        self.bell.acquire()
        self.thread = threading.Thread(target=self._work, name="rfx:feed", daemon=True)
        feeds.add(self)
        try:
            self.thread.start()
        except RuntimeError:    # no more threads
            feeds.discard(self)
            subscriber.undeclare()
            raise

    # -- who takes from the queue

    cdef bint grab(self) noexcept:
        cdef bint free
        with self.lock:
            free = not self.held
            self.held = True
        return free

    cdef int let_go(self, bint receiver) except -1:
        # a thread of the feed that sleeps until then is told
        cdef bint told
        with self.lock:
            self.held = False
            if receiver:
                self.recent = True
            told = self.naps_long
        if told or (receiver and self.mailbox.getters.count):
            self.ring()
        return 0

    cdef int ring(self) except -1:
        # have the thread of the feed look
        cdef bint naps
        with self.lock:
            naps = self.naps
            self.naps = self.naps_long = False
        if naps and self.bell.locked():
            try:
                self.bell.release()
            except RuntimeError:    # another did just now
                return 0
        return 0

    # -- for those who receive

    def get(self, timeout=None):
        """Take what has waited longest, as :meth:`Mailbox.get` does."""
        cdef object item
        if timeout is not None:
            item = self.get_now()
            if item is None:
                self.call()
                item = self.mailbox.get(timeout)
            return item
        while not self.over:
            self.recent = True
            if self.patient:    # what waits leaves no room to fill
                item = self.mailbox.poll()
                if item is not None:
                    return item
            if not self.grab():
                break
            try:
                self.fill()
                item = self.mailbox.poll()
                if item is None:
                    if self.mailbox.closed:
                        break
                    item = self.straight(self.next())
            except self.ended:
                break
            finally:
                self.let_go(True)
            if item is not None:
                return item
        return self.mailbox.get()

    def get_now(self):
        """Take what has waited longest, or None; see :meth:`Mailbox.get_now`."""
        self.settle()
        return self.mailbox.get_now()

    def latest(self):
        """Take the newest; see :meth:`Mailbox.latest`."""
        self.settle()
        return self.mailbox.latest()

    def drain(self):
        """Take all, as a list."""
        self.settle()
        return self.mailbox.drain()

    def enlist(self, waiter):
        """Have ``waiter.release()`` called; see :meth:`Mailbox.enlist`."""
        self.settle()
        self.call()
        return self.mailbox.enlist(waiter)

    cdef object next(self):
        # if one comes while others have the processor a few times, that is cheaper than to sleep and be woken
        cdef int _k, _j
        for _k in range(LOOKS):
            with nogil:
                for _j in range(YIELDS):
                    rfx_step_back()
            sample = self.more()
            if sample is not None:
                return sample
        return self.receive()

    cdef object straight(self, sample):
        # what comes while nothing waits does not go by way of the mailbox; it is counted there
        cdef TransportEnvelope made = self.inbox.read(sample)
        if made is None or self.mailbox.pass_by():
            return made
        self.inbox.store(made, sample)
        return self.mailbox.poll()

    cdef int settle(self) except -1:
        # what has come is in the mailbox, if nobody else is at it
        if self.over or not self.grab():
            return 0
        try:
            self.fill()
        except self.ended:
            return 0
        finally:
            self.let_go(False)
        return 0

    cdef int call(self) except -1:
        # somebody waits at the mailbox now
        self.recent = False
        self.ring()
        return 0

    cdef int fill(self) except -1:
        # take in what is there. Where senders wait for room, no more than there is room for: then only if nothing waits; and
        # of large ones one, since a copy goes faster into memory that was free a moment ago
        cdef int _k
        if self.patient and self.mailbox.items.count:
            return 0
        for _k in range(MOST_AT_ONCE if not self.patient else min(FEW_AT_ONCE, self.mailbox.room)):
            sample = self.more()
            if sample is None:
                break
            self.inbox.bring(sample)
            if self.patient and self.inbox.size >= LARGE:
                break
        return 0

    # -- the thread of the feed

    def _work(self):
        cdef bint mine
        try:
            while not self.over:
                mine = not self.recent and self.grab()
                if not mine:
                    self.nap()
                    continue
                try:
                    self.inbox.bring(self.receive())
                    while not self.recent:
                        sample = self.more()
                        if sample is None:
                            break
                        self.inbox.bring(sample)
                finally:
                    self.let_go(False)
            self.finish()
        except self.ended:
            return

    cdef int nap(self) except -1:
        with self.lock:
            self.naps = True
            self.naps_long = self.held and not self.recent
            self.recent = False
        if self.over:
            return 0
        self.bell.acquire(True, LONG_NAP if self.naps_long else self.rest)
        with self.lock:
            self.naps = self.naps_long = False
        return 0

    cdef int finish(self) except -1:
        # what is left goes in. Who holds the queue gives it back at once, but for a signal handler that closes
        end = monotonic() + 1.0
        while not self.grab():
            if monotonic() > end:
                return 0
            sleep(0.001)
        try:
            while True:
                sample = self.more()
                if sample is None:
                    break
                self.inbox.bring(sample)
        finally:
            self.let_go(False)
        return 0

    # -- the end

    def undeclare(self):
        """Take no more; what was there is put into the mailbox first. A second time does nothing."""
        try:
            self.feeds.remove(self)
        except KeyError:    # by another just now, or the session has ended
            pass
        else:
            self.subscriber.undeclare()
        self.over = True
        self.ring()
        self.join()

    def stop(self):
        """Wait no more for room, close the mailbox, and have the thread end; for a session that is closed."""
        self.inbox.stop()
        self.over = True
        self.ring()

    def join(self):
        """Wait for the thread of the feed, which ends when nothing comes any more."""
        if self.thread is not threading.current_thread():
            self.thread.join(PATIENCE)

    def __repr__(self):
        return f"Feed({self.mailbox!r})"
