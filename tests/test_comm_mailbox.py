"""rfx.comm.mailbox and the garbage collector."""

import gc
import threading
import weakref

from rfx.comm import Topic, Transport, channel
from rfx.comm.mailbox import Mailbox


class Thing:
    def __init__(self, *held):
        self.held = held


def test_a_cycle_by_way_of_what_waits_is_freed():
    mailbox = Mailbox()
    for _ in range(20):  # more than the ring has at first, and not from its beginning
        mailbox.put(1)
        mailbox.get()
        mailbox.put(thing := Thing(mailbox))
    gone = weakref.ref(thing)
    del thing, mailbox
    gc.collect()
    assert gone() is None


def test_ends_of_a_channel_sent_through_itself_are_freed():
    sender, receiver = channel(4)
    sender.send(thing := Thing(sender, receiver))
    gone = weakref.ref(thing)
    del sender, receiver, thing
    gc.collect()
    assert gone() is None


def test_a_subscription_that_waits_for_itself_is_freed():
    topic, transport = Topic("a"), Transport()
    receiver = topic.subscribe()
    topic.publish(thing := Thing(topic, receiver, transport))
    gone = weakref.ref(thing)
    del topic, receiver, thing, transport
    gc.collect()
    assert gone() is None


def test_the_collector_sees_what_waits_and_leaves_it():
    mailbox = Mailbox(4, "drop_oldest")
    things = [Thing() for _ in range(6)]
    for thing in things:
        mailbox.put(thing)
    assert [r for r in gc.get_referents(mailbox) if isinstance(r, Thing)] == things[2:]
    gc.collect()
    assert mailbox.drain() == things[2:]


def test_what_is_freed_in_a_cycle_may_look_at_its_mailbox():
    seen = []

    class Last(Thing):
        def __del__(self):
            seen.append((len(self.held[0]), self.held[0].drain(), self.held[0].closed))

    mailbox = Mailbox(3)
    mailbox.put(Last(mailbox))
    del mailbox
    gc.collect()
    assert len(seen) == 1
    seen.clear()


def test_the_collector_runs_while_threads_put_and_take():
    sender, receiver = channel(8)
    stop = threading.Event()

    def collect():
        while not stop.is_set():
            gc.collect(0)

    def send():
        for k in range(1000):
            sender.send([k])

    got = []
    threads = [threading.Thread(target=t, daemon=True) for t in (collect, send, lambda: got.extend(receiver))]
    for thread in threads:
        thread.start()
    threads[1].join(60)
    sender.close()
    threads[2].join(60)
    stop.set()
    threads[0].join(60)
    assert got == [[k] for k in range(1000)]
