"""Simulated robots on a DDS domain of their own, each in a thread."""

import contextlib
import threading

from rfx.go2 import SimulatedGo2
from rfx.sim import make_plant


@contextlib.contextmanager
def running(robot):
    """A simulated robot runs in a thread."""
    thread = threading.Thread(target=robot.run)
    thread.start()
    try:
        yield robot
    finally:
        robot.stop()
        thread.join(60)
        assert not thread.is_alive()


@contextlib.contextmanager
def simulated(domain_id, plant="joint", lockstep=False, pose=None, kind=SimulatedGo2, **options):
    """A simulated robot on loopback; one on its feet (``pose="stand"``) under a motion mode knows that it stands."""
    from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain

    made = make_plant(plant)
    if pose is not None:
        made.reset(pose)
    with CycloneDomain(domain_id, LOOPBACK) as domain:
        robot = kind(made, domain, lockstep=lockstep, **options)
        if pose == "stand" and options.get("mode"):
            robot.sport._on_feet()
        with running(robot):
            yield robot
