"""Robots for the tests of the sport client; they remember the requests that came."""

import contextlib

import pytest
from simulated_robots import simulated

from rfx.go2 import Go2, Go2Config


@contextlib.contextmanager
def sport_robot(domain_id, plant="joint", pose="stand", mode="normal", **options):
    """A simulated robot in a thread; it remembers the sport requests that came."""
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    with simulated(domain_id, plant, pose=pose, mode=mode, **options) as robot:
        robot.asked = []
        answer = robot.sport.handle

        def handle(api_id, parameter):
            robot.asked.append((api_id, parameter))
            return answer(api_id, parameter)

        robot.sport.handle = handle
        yield robot


@pytest.fixture
def link(domain_id):
    """A robot on its feet, without physics, in real time."""
    with sport_robot(domain_id) as robot, Go2.connect(Go2Config.loopback(domain_id)) as go2:
        yield robot, go2
