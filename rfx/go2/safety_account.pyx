"""The account of a robot's safety envelopes: what they did, what holds, and what the log was told.

A client's envelope and that of a policy's run write into one account. A command that is inside of the bounds costs an atomic
sum and an atomic load; the lock is taken where something was done, and by who reads.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

from rfx.kernels.envelope cimport ENV_KINDS, ENV_PER_JOINT, EnvelopeEvent
from rfx.kernels.seqlock cimport word_load, word_store

from rfx.errors import DTypeError
from rfx.go2.events import KINDS, Reporter, SafetyEvent
from rfx.robots.go2 import MOTOR_NAMES

cdef enum:
    MOTORS = 12


@cython.final
cdef class SafetyAccount:
    """What the safety envelopes of one robot did. Made by the first of them, handed on to those beside it."""

    def __cinit__(self):
        memset(self.counted, 0, sizeof(self.counted))
        self.commands = self.damped = self.held = 0
        self.events = 0
        self.met = self.reported = 0
        self.reporter = Reporter()

    # -- compiled callers

    # The lock is held.
    cdef void add_event(self, EnvelopeEvent event) noexcept nogil:
        self.listed[self.events % EVENTS] = event
        self.events += 1

    cdef void read(self, tally_t* to) noexcept nogil:
        with self.lock:
            memcpy(to.counted, self.counted, sizeof(to.counted))
            to.events = self.events
        to.commands, to.damped = word_load(&self.commands), word_load(&self.damped)

    # What a pickled envelope brings along.
    cdef void put_back(self, const tally_t* tally, uint32_t held, uint32_t met) noexcept nogil:
        with self.lock:
            memcpy(self.counted, tally.counted, sizeof(self.counted))
            self.met = met
        word_store(&self.commands, tally.commands)
        word_store(&self.damped, tally.damped)
        word_store(&self.held, held)

    # -- Python

    # As `read`; the log tells of the first of each kind again.
    cdef int begin_anew(self, tally_t* to) except -1:
        self.reporter.begin()
        with self.lock:
            self.met = self.reported = 0
        self.read(to)
        return 0

    cdef dict counts_since(self, const tally_t* begun):
        cdef tally_t now
        cdef int64_t n
        self.read(&now)
        out = {}
        for k in range(ENV_KINDS):
            row = {}
            for i in range(MOTORS):
                n = now.counted[12 * k + i] - begun.counted[12 * k + i]
                if n:
                    row[MOTOR_NAMES[i] if k < ENV_PER_JOINT else "robot"] = n
            if row:
                out[KINDS[k]] = row
        return out

    # Those from number `first` on that are still listed; `end` becomes the number of the next one.
    cdef list events_since(self, int64_t first, int64_t* end):
        cdef EnvelopeEvent[256] copied
        cdef EnvelopeEvent e
        cdef int64_t n, j
        with self.lock:
            n = self.events
            memcpy(copied, self.listed, sizeof(copied))
        end[0] = n
        out = []
        for j in range(max(first, n - EVENTS), n):
            e = copied[j % EVENTS]
            name = MOTOR_NAMES[e.joint] if e.joint >= 0 else "robot"
            out.append(SafetyEvent(e.tick, name, KINDS[e.kind], e.asked, e.sent))
        return out

    def counts(self):
        """Return how often each kind was met, by kind and joint (``"robot"`` for its own), those that were."""
        cdef tally_t nothing
        memset(&nothing, 0, sizeof(tally_t))
        return self.counts_since(&nothing)

    def news(self, first):
        """Return the events from number ``first`` on that are still listed, and the number of the next one."""
        cdef int64_t end
        events = self.events_since(first, &end)
        return events, end

    def report(self, final=False):
        """Log what is new; see :meth:`SafetyEnvelope.report`."""
        cdef uint32_t met
        with self.lock:
            met = self.met
        if final or met != self.reported or self.reporter.due():
            self.reported = met
            self.reporter.report(self, final)

    def __reduce__(self):
        raise DTypeError("a SafetyAccount is pickled as a part of its envelope")

    def __repr__(self):
        return f"SafetyAccount({self.counts()})"
