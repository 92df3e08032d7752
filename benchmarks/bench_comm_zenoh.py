"""Messages by Zenoh: rfx.comm against eclipse-zenoh as it is, at 64 B, 1 KB and 1 MB, over TCP on loopback.

The two ends are two programs, as users have them. All ways are open at once and take turns, round by round; what counts
is the ratio of the minima (and of the medians) of many short rounds, since others use the machine too.

"zenoh" sends bytes with a publisher that waits, and takes them from Zenoh's own queue (``FifoChannel``) as bytes: the
fastest that its Python has. "zenoh, callback" has them brought to a function instead. "zenoh, number and time" is
"zenoh" that also sends and reads the number and the time that an envelope has, in an attachment, and the key. "shared" are
the same with the message in shared memory, as far as Zenoh's Python can go: a copy in, a copy out.

"many" is the time from before the first message is sent to when the last was received, over their number; "there and
back" a message that the other program answers with the same. `python benchmarks/bench_comm_zenoh.py [rounds]` prints both.
"""

import itertools
import math
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
            else:
                for _ in range(count):
                    send(receive())
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
        time.sleep(0.2)
        # nothing is under way any more: what is received next is what is asked for
        marker = payload_of(SIZES[0])[::-1]
        self.commands.send(("echo", who, 0, 0))
        self.commands.recv()
        send(marker)
        sent = 1
        while True:
            self.commands.send(("echo", who, 0, 1))
            self.commands.recv()
            if receive() == marker:
                return
            sent += 1

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


def table(title, measure, chosen, count, rounds):
    """Microseconds of each in interleaved rounds, and ours over Zenoh as it is."""
    took = {who: [] for who in chosen}
    for k in range(rounds):
        for who in chosen[k % len(chosen) :] + chosen[: k % len(chosen)]:
            took[who].append([1e6 * t / count for t in measure(who, count)])
    seen = {
        w: (min(t[0] for t in took[w]), *(statistics.median(t[k] for t in took[w]) for k in range(3))) for w in chosen
    }
    print(f"{title}: us, minimum and median; medians of processor time here and there")
    for who, (least, middle, here, there) in seen.items():
        ratios = [a / b for a, b in zip(seen[chosen[0]], seen[who], strict=True)]
        work = (seen[chosen[0]][2] + seen[chosen[0]][3]) / (here + there)
        over = f"; {chosen[0]} / it {ratios[0]:.2f} {ratios[1]:.2f} work {work:.2f}" if who != chosen[0] else ""
        print(f"  {who:24}{least:9.2f} {middle:9.2f} {here:9.2f} {there:9.2f}{over}")


def main(rounds):
    made = Ends()
    for size, shared in itertools.product(SIZES, (False, True)):
        chosen, payload = ways(size, shared), payload_of(size)
        if chosen:
            big = size == 2**20
            k = math.ceil(rounds / 4) if big else rounds
            back = lambda who, n, p=payload: made.there_and_back(who, p, n)  # noqa: E731
            many = lambda who, n, p=payload: made.many(who, p, n)  # noqa: E731
            table(f"{size} B, there and back", back, chosen, 5 if big else 50, k)
            table(f"{size} B, many", many, chosen, 20 if big else 1000, k)
    made.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
