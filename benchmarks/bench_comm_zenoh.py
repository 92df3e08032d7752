"""Messages by Zenoh: rfx.comm against eclipse-zenoh as it is, at 64 B, 1 KB and 1 MB, over TCP on loopback.

"zenoh" sends bytes with a publisher that waits, and takes them from Zenoh's own queue as bytes. "zenoh, number and time"
also sends and reads the number and the time that an envelope has, in an attachment. "shared" are the same with the
message in shared memory, as far as Zenoh's Python can go: a copy in, a copy out. Both sessions of a pair are in this
program. `python benchmarks/bench_comm_zenoh.py` prints the minima of many interleaved rounds.
"""

import itertools
import socket
import struct
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from interleaved import table

from rfx.comm import Transport
from rfx.comm.zenoh import open_session

zenoh = pytest.importorskip("zenoh")
SIZES = [64, 1024, 2**20]
NUMBER_AND_TIME = struct.Struct("<qq")
STACK = ExitStack()


def free():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"tcp/127.0.0.1:{s.getsockname()[1]}"


def ours(shared):
    end = free()
    a = STACK.enter_context(Transport.zenoh(listen=end, shared_memory=shared, pool_bytes=2**26))
    b = STACK.enter_context(Transport.zenoh(connect=end, shared_memory=shared, pool_bytes=2**26))
    subscription = b.subscribe("robot/*/camera", 2048, overflow="block", block_timeout=60.0)
    key = "robot/left/camera"
    return lambda payload: a.publish(key, payload), lambda: subscription.recv().payload


def raw_pair(shared):
    end = free()
    a = STACK.enter_context(open_session(listen=end, shared_memory=shared))
    b = STACK.enter_context(open_session(connect=end, shared_memory=shared))
    subscriber = b.raw.declare_subscriber("robot/*/camera", zenoh.handlers.FifoChannel(2048))
    publisher = a.raw.declare_publisher("robot/left/camera", congestion_control=zenoh.CongestionControl.BLOCK)
    return publisher, subscriber


def raw():
    publisher, subscriber = raw_pair(False)
    return publisher.put, lambda: subscriber.recv().payload.to_bytes()


def raw_numbered():
    publisher, subscriber = raw_pair(False)
    numbers = itertools.count(1)

    def send(payload):
        publisher.put(payload, attachment=NUMBER_AND_TIME.pack(next(numbers), time.time_ns()))

    def receive():
        sample = subscriber.recv()
        NUMBER_AND_TIME.unpack(sample.attachment.to_bytes())
        str(sample.key_expr)
        return sample.payload.to_bytes()

    return send, receive


def raw_shared():
    publisher, subscriber = raw_pair(True)
    provider = zenoh.shm.ShmProvider.default_backend(2**26)
    policy = zenoh.shm.GarbageCollect()

    def send(payload):
        buffer = provider.alloc(len(payload), policy)
        buffer[0 : len(payload)] = payload
        publisher.put(zenoh.ZBytes(buffer))

    return send, lambda: subscriber.recv().payload.to_bytes()


WAYS = {
    "rfx": lambda: ours(False),
    "zenoh": raw,
    "zenoh, number and time": raw_numbered,
    "rfx, shared": lambda: ours(True),
    "zenoh, shared": raw_shared,
}
_made = {}


def ends(who):
    """The two ends of a way, connected; made once."""
    if who not in _made:
        send, receive = WAYS[who]()
        got = threading.Event()
        threading.Thread(target=lambda: (receive(), got.set()), daemon=True).start()
        sent = 0
        while not got.wait(0.05):
            send(b"ready?")
            sent += 1
        for _ in range(sent - 1):
            receive()
        _made[who] = send, receive
    return _made[who]


def there(who, payload):
    send, receive = ends(who)

    def run():
        send(payload)
        return receive()

    return run


def many(who, payload, count):
    send, receive = ends(who)

    def work():
        for _ in range(count):
            send(payload)

    def run():
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        for _ in range(count):
            receive()
        thread.join()

    return run


def payload_of(size):
    return np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()


def ways(size):
    return [w for w in WAYS if "shared" not in w or size > 4096]


@pytest.fixture(scope="module", autouse=True)
def closed_at_the_end():
    yield
    _made.clear()
    STACK.close()


CASES = [(size, who) for size in SIZES for who in ways(size)]


@pytest.mark.parametrize(("size", "who"), CASES)
def test_one_at_a_time(benchmark, size, who):
    benchmark.group = f"Zenoh, send and receive {size} bytes"
    payload = payload_of(size)
    run = there(who, payload)
    assert bytes(run()) == payload
    benchmark(run)


@pytest.mark.parametrize(("size", "who"), CASES)
def test_many(benchmark, size, who):
    count = 500 if size < 2**20 else 20
    benchmark.group = f"Zenoh, {count} messages of {size} bytes"
    benchmark.pedantic(many(who, payload_of(size), count), rounds=10)


def main():
    with STACK:
        for size in SIZES:
            payload = payload_of(size)
            small = size < 2**20
            count = 1000 if small else 50
            for shared in (False, True):
                chosen = [w for w in ways(size) if ("shared" in w) == shared]
                if chosen:
                    calls = {w: lambda w=w, p=payload: there(w, p) for w in chosen}
                    table(f"{size} B, one at a time", calls, 2000 if small else 200)
                    calls = {w: lambda w=w, p=payload, n=count: many(w, p, n) for w in chosen}
                    table(f"{size} B x {count}", calls, 20)
        _made.clear()


if __name__ == "__main__":
    main()
