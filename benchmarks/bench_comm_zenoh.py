"""Messages by Zenoh: rfx.comm against eclipse-zenoh as it is, at 64 B, 1 KB and 1 MB, over TCP on loopback.

The two ends are two programs, as users have them. All ways are open at once and take turns, round by round; what counts
is the ratio of the minima (and of the medians) of many short rounds, since others use the machine too.

"zenoh" sends bytes with a publisher that waits, and takes them from Zenoh's own queue (``FifoChannel``) as bytes: the
fastest that its Python has. "zenoh, callback" has them brought to a function instead. "zenoh, number and time" is
"zenoh" that also sends and reads the number and the time that an envelope has, in an attachment, and the key. "shared" are
the same with the message in shared memory, as far as Zenoh's Python can go: a copy in, a copy out.

"many" is the time from before the first message is sent to when the last was received, over their number; "there and
back" a message that the other program answers with the same. Two programs keep, for as long as they run, where their
threads and their memory came to lie, which is worth up to a third: so they are started anew several times.
`python benchmarks/bench_comm_zenoh.py [starts rounds]` prints medians over the starts.
"""

import itertools
import multiprocessing
import socket
import statistics
import struct
import sys
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest

from rfx.comm import Transport
from rfx.comm.zenoh import open_session

zenoh = pytest.importorskip("zenoh")
SIZES = [64, 1024, 2**20]
NUMBER_AND_TIME = struct.Struct("<qq")
KEYS = ("robot/left/camera", "robot/left/answer")
PATTERNS = ("robot/*/camera", "robot/*/answer")
DEPTH = 2048
MARK = b"nothing is left"


def free():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"tcp/127.0.0.1:{s.getsockname()[1]}"


# -- one end of each way: what sends under one key, and what receives under another


def ours(shared, first, stack, where):
    transport = stack.enter_context(Transport.zenoh(shared_memory=shared, pool_bytes=2**26, **where))
    subscription = transport.subscribe(PATTERNS[first], DEPTH, overflow="block", block_timeout=60.0)
    key = KEYS[not first]
    return lambda payload: transport.publish(key, payload), lambda: subscription.recv().payload


def raw_ends(shared, first, stack, where, handler=None):
    session = stack.enter_context(open_session(shared_memory=shared, **where))
    handler = handler or zenoh.handlers.FifoChannel(DEPTH)
    subscriber = session.raw.declare_subscriber(PATTERNS[first], handler)
    publisher = session.raw.declare_publisher(KEYS[not first], congestion_control=zenoh.CongestionControl.BLOCK)
    return publisher, subscriber


def raw(first, stack, where):
    publisher, subscriber = raw_ends(False, first, stack, where)
    return publisher.put, lambda: subscriber.recv().payload.to_bytes()


def raw_callback(first, stack, where):
    got = []
    there = threading.Semaphore(0)

    def bring(sample):
        got.append(sample.payload.to_bytes())
        there.release()

    def receive():
        there.acquire()
        return got.pop()

    handler = zenoh.handlers.Callback(bring, indirect=False)
    publisher, subscriber = raw_ends(False, first, stack, where, handler)
    stack.callback(subscriber.undeclare)
    return publisher.put, receive


def raw_numbered(first, stack, where):
    publisher, subscriber = raw_ends(False, first, stack, where)
    numbers = itertools.count(1)

    def send(payload):
        publisher.put(payload, attachment=NUMBER_AND_TIME.pack(next(numbers), time.time_ns()))

    def receive():
        sample = subscriber.recv()
        NUMBER_AND_TIME.unpack(sample.attachment.to_bytes())
        str(sample.key_expr)
        return sample.payload.to_bytes()

    return send, receive


def raw_shared(first, stack, where):
    publisher, subscriber = raw_ends(True, first, stack, where)
    provider = zenoh.shm.ShmProvider.default_backend(2**26)
    policy = zenoh.shm.GarbageCollect()

    def send(payload):
        buffer = provider.alloc(len(payload), policy)
        buffer[0 : len(payload)] = payload
        publisher.put(zenoh.ZBytes(buffer))

    return send, lambda: subscriber.recv().payload.to_bytes()


WAYS = {
    "rfx": lambda *a: ours(False, *a),
    "zenoh": raw,
    "zenoh, callback": raw_callback,
    "zenoh, number and time": raw_numbered,
    "rfx, shared": lambda *a: ours(True, *a),
    "zenoh, shared": raw_shared,
}


def payload_of(size):
    return np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()


# -- the other program


def other_program(commands, endpoints):
    """Do what it is told, one after the other, until the connection to the first program ends."""
    payloads = {size: payload_of(size) for size in SIZES}
    with ExitStack() as stack:
        ways = {w: WAYS[w](1, stack, {"listen": e}) for w, e in endpoints.items()}
        commands.send("ready")
        while True:
            try:
                what, who, size, count = commands.recv()
            except EOFError:
                return
            send, receive = ways[who]
            start, work = time.perf_counter(), time.process_time()  # the first is the same in both programs
            if what == "send":
                payload = payloads[size]
                for _ in range(count):
                    send(payload)
            elif what == "echo":
                for _ in range(count):
                    send(receive())
            else:
                while receive() != payloads[size]:
                    pass
                send(MARK)
            commands.send((start, time.process_time() - work))


class Ends:
    """The first program's end of each way, and the other program."""

    def __init__(self):
        self.stack = ExitStack()
        endpoints = {w: free() for w in WAYS}
        context = multiprocessing.get_context("spawn")
        self.commands, theirs = context.Pipe()
        self.process = context.Process(target=other_program, args=(theirs, endpoints), daemon=True)
        self.process.start()
        theirs.close()
        assert self.commands.recv() == "ready"
        self.ways = {w: make(0, self.stack, {"connect": endpoints[w]}) for w, make in WAYS.items()}
        for who in WAYS:
            self.meet(who)

    def meet(self, who):
        """Have the way there and the way back connected."""
        send, receive = self.ways[who]
        self.commands.send(("echo", who, 0, 1))
        got = threading.Event()
        threading.Thread(target=lambda: (receive(), got.set()), daemon=True).start()
        while not self.commands.poll(0.1):
            send(b"ready?")
        self.commands.recv()
        while not got.wait(0.1):
            self.commands.send(("send", who, SIZES[0], 1))
            self.commands.recv()
        # what is still under way comes before a message that each end waits for
        self.commands.send(("clear", who, SIZES[0], 1))
        send(payload_of(SIZES[0]))
        while receive() != MARK:
            pass
        self.commands.recv()

    def many(self, who, payload, count):
        """Seconds from the first message that the other program sends to the last that is received here; of processors."""
        receive, work = self.ways[who][1], time.process_time()
        self.commands.send(("send", who, len(payload), count))
        for _ in range(count):
            receive()
        end, work = time.perf_counter(), time.process_time() - work
        began, theirs = self.commands.recv()
        return end - began, work, theirs

    def there_and_back(self, who, payload, count):
        """Seconds for that many messages, each sent when the one before came back; and of processors."""
        (send, receive), work = self.ways[who], time.process_time()
        self.commands.send(("echo", who, 0, count))
        start = time.perf_counter()
        for _ in range(count):
            send(payload)
            receive()
        end, work = time.perf_counter(), time.process_time() - work
        return end - start, work, self.commands.recv()[1]

    def close(self):
        self.commands.close()
        self.process.join(10)
        self.stack.close()


def ways(size, shared=None):
    return [w for w in WAYS if (size > 4096 or "shared" not in w) and shared in (None, "shared" in w)]


@pytest.fixture(scope="module")
def ends():
    made = Ends()
    yield made
    made.close()


CASES = [(size, who) for size in SIZES for who in ways(size)]


@pytest.mark.parametrize(("size", "who"), CASES)
def test_there_and_back(benchmark, ends, size, who):
    benchmark.group = f"Zenoh, {size} bytes there and back"
    payload, (send, receive) = payload_of(size), ends.ways[who]
    ends.commands.send(("echo", who, 0, 1))
    send(payload)
    assert bytes(receive()) == payload
    ends.commands.recv()
    benchmark.pedantic(ends.there_and_back, (who, payload, 20), rounds=20)


@pytest.mark.parametrize(("size", "who"), CASES)
def test_many(benchmark, ends, size, who):
    count = 500 if size < 2**20 else 20
    benchmark.group = f"Zenoh, {count} messages of {size} bytes"
    benchmark.pedantic(ends.many, (who, payload_of(size), count), rounds=10)


def rounds_of(measure, chosen, count, rounds):
    """(seconds, of processors here, there) per message, for each round of each way."""
    took = {who: [] for who in chosen}
    for k in range(rounds):
        for who in chosen[k % len(chosen) :] + chosen[: k % len(chosen)]:
            took[who].append([t / count for t in measure(who, count)])
    return took


def ratios(mine, peer):
    """Ours over theirs within one start: of the minima, the median of the rounds', of the work at both ends."""
    work = [statistics.median(here + there for _, here, there in of) for of in (mine, peer)]
    rounds = statistics.median(a[0] / b[0] for a, b in zip(mine, peer, strict=True))
    return min(a[0] for a in mine) / min(b[0] for b in peer), rounds, work[0] / work[1]


def table(title, starts):
    """Microseconds of each, and ours over the others: medians over the starts, and their range."""
    print(f"{title}: least us; rfx / it by minima (least to most), by rounds, by processor time")
    first, *others = starts[0]
    for who in starts[0]:
        print(f"  {who:24}{1e6 * min(t[0] for took in starts for t in took[who]):9.2f}", end="")
        if who in others:
            found = [ratios(took[first], took[who]) for took in starts]
            minima, rounds, work = (statistics.median(f[k] for f in found) for k in range(3))
            least, most = min(f[0] for f in found), max(f[0] for f in found)
            print(f"   {minima:.2f} ({least:.2f} to {most:.2f})  {rounds:.2f}  {work:.2f}", end="")
        print()


def main(starts, rounds):
    found = {}
    for _ in range(starts):
        made = Ends()
        for size, shared in itertools.product(SIZES, (False, True)):
            chosen, payload = ways(size, shared), payload_of(size)
            for title, measure, small, big in (
                ("there and back", made.there_and_back, 40, 5),
                ("many", made.many, 1000, 20),
            ):
                if chosen:
                    count, times = (small, rounds) if size < 2**20 else (big, rounds // 2)
                    took = rounds_of(lambda w, n, p=payload, m=measure: m(w, p, n), chosen, count, times)
                    found.setdefault(f"{size} B, {title}{', shared' * shared}", []).append(took)
        made.close()
    for title, of in found.items():
        table(title, of)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3] or (8, 20)))
