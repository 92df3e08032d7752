"""A cart, and a node and a client for it, for the tests of nodes."""

import threading
from typing import ClassVar

import numpy as np
import pytest

from rfx import arrays
from rfx.comm import (
    RobotClient,
    RobotNode,
    unpack_value,
)


class Cart:
    """A robot on one axis. It writes down what it was told."""

    kind = "cart"
    commands: ClassVar = {"drive": "moves", "park": "rests", "brake": "stops", "paint": "sets", "slow": "sets"}

    def __init__(self):
        self.speed, self.told, self.closed = 0.0, [], False
        self.broken = self.stuck = None
        self.gate = threading.Event()
        self.entered = threading.Event()

    def state(self):
        if self.broken is not None:
            raise self.broken
        if self.stuck is not None:
            self.stuck.wait(30)
        return {"speed": self.speed, "wheels": np.full(4, self.speed, np.float32)}

    def command(self, name, arguments):
        if name == "drive":
            speed = arrays.number(arguments.get("speed"), "speed", minimum=-1, maximum=1)
            if arguments.get("slowly"):
                self.entered.set()
                self.gate.wait(10)
            self.speed = speed
        elif name == "slow":
            self.entered.set()
            self.gate.wait(10)
        elif name == "brake":
            self.speed = 0.0
        self.told.append(name)
        return {"did": name}

    def stop(self):
        self.speed = 0.0
        self.told.append("stop")

    def close(self):
        self.closed = True


@pytest.fixture
def quick_beat(monkeypatch):
    monkeypatch.setattr("rfx.comm.node.BEAT_S", 0.1)


@pytest.fixture
def cart():
    return Cart()


@pytest.fixture
def node(transport, cart):
    with RobotNode(transport, cart, "cart", rate_hz=100, command_timeout_s=0.2) as node:
        yield node


@pytest.fixture
def client(transport, node):
    with RobotClient(transport, "cart") as client:
        yield client


def events(subscription):
    return [unpack_value(m.payload) for m in subscription.drain()]
