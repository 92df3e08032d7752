"""The real client behind the skills, over DDS on loopback, and links that fail."""

import threading
from dataclasses import replace

import pytest
from simulated_robots import simulated
from waiting import wait_for

from rfx.errors import HardwareError
from rfx.go2 import Go2, Go2Config
from rfx.go2.topics import SportApi
from rfx.skills import Caller, GaitGo2, Go2Robot, Go2Skills, KinematicGo2, SkillError, SkillLimits

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")


@pytest.fixture
def link(domain_id):
    """A simulated robot on its feet, without physics, in real time; the requests it got; a client."""
    asked = []
    with simulated(domain_id, pose="stand", mode="normal") as robot:
        answer = robot.sport.handle
        robot.sport.handle = lambda api_id, parameter: (asked.append(api_id), answer(api_id, parameter))[1]
        with Go2.connect(Go2Config.loopback(domain_id).with_timeouts(rpc_s=1.0)) as go2:
            yield robot, asked, go2


def test_the_client_over_dds_is_driven_and_stopped(link):
    _, asked, go2 = link
    with Go2Skills(go2) as skills:
        registry = skills.registry()
        assert registry.execute("report_state").value.posture == "standing"
        walked = registry.execute("walk", {"seconds": 0.5})
        assert walked.ok
        assert SportApi.MOVE in asked
        assert asked[-1] == SportApi.STOP_MOVE
        assert registry.execute("look", {"up": 5}).ok
        assert asked[-1] == SportApi.EULER
        assert registry.execute("stand").value.posture == "standing"
        assert "Go2Robot" in repr(Go2Robot(go2))


def test_a_robot_that_falls_silent_ends_the_walk(link):
    robot, asked, go2 = link
    skills = Go2Skills(go2, SkillLimits(stale_s=0.3))
    results = []
    walker = threading.Thread(
        target=lambda: results.append(skills.registry().execute("walk", {"seconds": 15})), daemon=True
    )
    walker.start()
    assert wait_for(lambda: SportApi.MOVE in asked)
    robot.stop()  # no state comes any more
    walker.join(40)
    assert not results[0].ok
    assert any(words in results[0].error for words in ("old", "no answer", "within"))
    assert not skills.registry().execute("report_state").ok


@pytest.mark.parametrize(("looks", "ok"), [(1, True), (10**6, False)])
def test_a_state_that_is_old_is_looked_at_once_more(looks, ok):
    """After a pause of this program the newest state is old for a moment, though the robot is there."""

    class Late(KinematicGo2):
        left = 0

        def pose(self):
            here = super().pose()
            self.left -= 1
            return replace(here, age_s=0.7) if self.left >= 0 else here

    with Late() as robot, Go2Skills(robot) as skills:
        registry = skills.registry()
        registry.execute("stand")
        robot.left = looks
        walked = registry.execute("walk", {"seconds": 0.5})
        assert walked.ok == ok
        assert ok or "0.70 s old" in walked.error


def test_a_robot_that_does_not_say_where_it_is_gets_no_skills():
    class Silent(Go2):
        def __init__(self):
            self.config = Go2Config(connect_timeout_s=0.05)

        def sport_state(self):
            return None

    with pytest.raises(HardwareError, match="no sport state"):
        Go2Skills(Silent())


@pytest.mark.parametrize("make", [GaitGo2, lambda: KinematicGo2(step_s=0.05)], ids=["gait", "point"])
def test_a_simulated_robot_never_walks_longer_than_it_was_told(make):
    if make is GaitGo2:
        pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    with make() as robot:
        robot.stand()
        for odd in (0.1, 0.0333, 0.2007, 0.0989):  # between two steps of its physics
            robot.drive(0.3, 0.0, 0.0, until_s=robot.time_s + odd)
            robot.wait(0.5)
            began, ended = robot.trips[-1]
            assert odd - 0.002 - 1e-6 <= ended - began <= odd + 1e-6
        assert robot.received.expired == 4


def test_the_guard_goes_on_trying_to_stop_a_robot_that_does_not_hear():
    class Deaf(KinematicGo2):
        deaf = False

        def stop(self):
            if self.deaf:
                type(self).deaf = False
                raise HardwareError("no answer")
            super().stop()

    with Deaf(real_time=True) as robot:
        robot._posture = "standing"
        skills, caller = Go2Skills(robot), Caller("planner")
        with caller, skills.robot.moving("mine") as move:
            move.drive(0.1, 0.0, 0.0)
            Deaf.deaf = True
            caller.gone("the connection broke")
            assert wait_for(lambda: robot.received.stops > 0)
        assert robot.pose().posture == "standing"


def test_nothing_that_is_handed_out_is_the_robot():
    robot = KinematicGo2()
    robot.stand()
    skills = Go2Skills(robot)
    with skills.robot.moving("mine") as move:
        for held in (skills, skills.robot, move):
            for name in dir(held):
                if not name.startswith("_"):
                    assert getattr(held, name) is not robot
        for name in ("limits", "_ask"):
            with pytest.raises(AttributeError):
                setattr(move, name + "x", robot)
    with pytest.raises(SkillError, match="expected pitch"), skills.robot.moving("mine") as move:
        move.look(1.0, 0.0)
