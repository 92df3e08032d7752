"""Transports over Zenoh between programs that are killed, forget to close, or bring a session of their own."""

import contextlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from loopback import free_endpoint
from waiting import wait_for
from zenoh_lines import LINUX

from rfx.comm import Transport, ZenohTransport
from rfx.comm.zenoh import open_session

pytest.importorskip("zenoh")

CHILD = """
import sys, numpy as np
from rfx.comm import Transport
transport = Transport.zenoh(connect=sys.argv[1], timeout=10)
subscription = transport.subscribe("ask/*")
for message in subscription:
    total = int(np.asarray(message.payload).sum())
    transport.publish("answer", np.full(5000, total), {"shared": subscription.counts["shared"]})
"""


@contextlib.contextmanager
def child(end):
    process = subprocess.Popen([sys.executable, "-c", CHILD, end])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@LINUX
def test_another_program_answers_by_shared_memory_and_is_killed():
    end = free_endpoint()
    with Transport.zenoh(listen=end) as here, here.subscribe("answer") as answers, child(end) as process:
        question = np.ones((300, 100), np.int32)

        def asked():
            here.publish("ask/sum", question)
            return answers.recv_timeout(0.2)

        assert wait_for(asked, 20)
        here.publish("ask/sum", question)
        answer = answers.recv_timeout(10)
        assert (answer.payload == 30_000).all()
        assert answer.metadata["shared"] >= 1
        assert answers.counts["shared"] >= 1
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert wait_for(lambda: not here.session.peers())
        assert (answer.payload == 30_000).all()
        here.publish("ask/sum", question)
        answers.drain()
        with child(end):
            assert wait_for(asked, 20)


FORGETFUL = """
import threading
from rfx.comm import Transport
transport = Transport.zenoh()
subscription = transport.subscribe("k")
slow = transport.subscribe("k", 1, overflow="block", block_timeout=60.0)
latched = transport.subscribe("k", qos="state")
called = transport.subscribe("k", callback=lambda message: None)
def publish():
    for _ in range(100):
        transport.publish("k", b"x" * 5000)
threading.Thread(target=publish).start()
for _ in range(20):
    subscription.recv()
    slow.recv()
"""


def test_a_program_that_forgets_to_close_in_the_middle_of_it_ends():
    done = subprocess.run([sys.executable, "-c", FORGETFUL], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_session_of_ones_own_can_be_handed_over():
    session = open_session()
    with ZenohTransport(session) as transport, transport.subscribe("a") as subscription:
        assert repr(transport) == "ZenohTransport(Session(mode='peer'), subscribers=1)"
        sent = transport.publish("a", b"1")
        assert subscription.recv_timeout(5).sequence == sent.sequence == 1
        assert transport.pool_full == 0
    assert session.closed
