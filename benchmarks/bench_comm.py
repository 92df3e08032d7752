"""Messages within one program: rfx.comm against queue.Queue, which everybody has, at 64 B, 1 KB and 1 MB.

queue.Queue hands over whatever it is given, so that a receiver and a sender then share memory that both may write to.
Who wants what a transport gives, a message that the receiver cannot change and that belongs to it, copies: that is
"queue.Queue, copy". "queue.Queue" hands over the reference alone, and adds the key, number and time that an envelope
has. `python benchmarks/bench_comm.py` prints the minima of many interleaved rounds, and two threads at work.
"""

import itertools
import queue
import threading
import time

import numpy as np
import pytest
from interleaved import table

from rfx.comm import Transport, channel

SIZES = [64, 1024, 2**20]


def payload_of(size):
    return np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)


def by_transport(payload):
    transport = Transport()
    subscription = transport.subscribe("robot/*/camera")

    def run():
        transport.publish("robot/left/camera", payload)
        return subscription.recv().payload

    return run


def by_channel(payload):
    sender, receiver = channel(1024)

    def run():
        sender.send(payload)
        return receiver.recv()

    return run


def by_queue(payload):
    line, numbers = queue.Queue(1024), itertools.count(1)

    def run():
        line.put(("robot/left/camera", next(numbers), time.time_ns(), None, payload))
        return line.get()[-1]

    return run


def by_queue_copy(payload):
    line = queue.Queue(1024)

    def run():
        line.put(payload.tobytes())
        return np.frombuffer(line.get(), np.uint8)

    return run


WAYS = {
    "rfx": by_transport,
    "rfx channel": by_channel,
    "queue.Queue": by_queue,
    "queue.Queue, copy": by_queue_copy,
}


@pytest.mark.parametrize("who", WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_one_thread(benchmark, size, who):
    benchmark.group = f"publish and receive {size} bytes, one thread"
    payload = payload_of(size)
    run = WAYS[who](payload)
    np.testing.assert_array_equal(run(), payload)
    benchmark(run)


def through_transport(payload, count):
    transport = Transport()
    subscription = transport.subscribe("a", 1024, overflow="block", block_timeout=60.0)
    return lambda: transport.publish("a", payload), subscription.recv


def through_channel(payload, count):
    sender, receiver = channel(1024)
    return lambda: sender.send(payload), receiver.recv


def through_queue(payload, count):
    line = queue.Queue(1024)
    return lambda: line.put(payload), line.get


def through_queue_copy(payload, count):
    line = queue.Queue(1024)
    return lambda: line.put(payload.tobytes()), line.get


THREADS = {
    "rfx": through_transport,
    "rfx channel": through_channel,
    "queue.Queue": through_queue,
    "queue.Queue, copy": through_queue_copy,
}


def two_threads(way, payload, count):
    """Send so many from a thread of their own, receive them here."""
    send, receive = way(payload, count)

    def work():
        for _ in range(count):
            send()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for _ in range(count):
        last = receive()
    thread.join()
    return last


@pytest.mark.parametrize("who", THREADS)
@pytest.mark.parametrize("size", SIZES)
def test_two_threads(benchmark, size, who):
    benchmark.group = f"500 messages of {size} bytes from one thread to another"
    benchmark.pedantic(two_threads, (THREADS[who], payload_of(size), 500), rounds=10)


def there_and_back(end_a, end_b, count):
    """Mean time of one way, of messages that one thread answers to another."""
    (send_a, receive_a), (send_b, receive_b) = end_a, end_b

    def answer():
        for _ in range(count):
            receive_a()
            send_b()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    for _ in range(count):
        send_a()
        receive_b()
    thread.join()


def main():
    for size in SIZES:
        payload = payload_of(size)
        table(f"{size} B, one thread", {k: lambda f=f, p=payload: f(p) for k, f in WAYS.items()}, 2000)
        calls = {k: lambda f=f, p=payload: lambda: two_threads(f, p, 1000) for k, f in THREADS.items()}
        table(f"{size} B x 1000, two threads", calls, 10)
    payload = payload_of(64)
    calls = {k: lambda f=f: lambda: there_and_back(f(payload, 0), f(payload, 0), 500) for k, f in THREADS.items()}
    table("64 B x 500, there and back", calls, 10)


if __name__ == "__main__":
    main()
