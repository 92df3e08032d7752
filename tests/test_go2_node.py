"""rfx.go2.node, rfx.go2.node_sim: the Go2 and what stands in for it, held by a node."""

import threading

import numpy as np
import pytest
from simulated_robots import simulated
from waiting import wait_for

from rfx.comm import NodeState, RobotClient, RobotNode, ServiceError, Transport, pack_value, unpack_value
from rfx.errors import (
    ConfigError,
    DTypeError,
    HardwareError,
    InvalidStateError,
    InvalidValueError,
    RfxConnectionError,
    RfxError,
)
from rfx.go2 import Go2, Go2Config
from rfx.go2.node import Go2NodeRobot
from rfx.go2.node_sim import BackendNodeRobot, SimNodeRobot
from rfx.go2.topics import SportApi
from rfx.sim import SimConfig, make_backend

FIELDS = {
    "tick", "q", "dq", "tau", "quaternion", "gyroscope", "accelerometer", "foot_force", "battery_percent", "position",
    "velocity", "body_height", "mode",
}  # fmt: skip


@pytest.fixture
def transport():
    with Transport() as transport:
        yield transport


@pytest.fixture
def sim(transport):
    with RobotNode(transport, lambda: SimNodeRobot("joint", "stand"), "go2", command_timeout_s=0.6) as node:
        yield node


@pytest.fixture
def client(transport, sim):
    with RobotClient(transport, "go2") as client:
        yield client


@pytest.fixture
def go2_on_dds(domain_id):
    """A simulated robot on DDS, on its feet, without physics."""
    with simulated(domain_id, pose="stand", mode="normal") as robot:
        yield robot


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def test_the_simulated_robot_walks_by_command_and_stands_when_commands_cease(sim, client):
    assert client.state()["mode"] == "BALANCE_STAND"
    for _ in range(20):
        client.send("walk", vx=0.3)
        if client.state()["mode"] == "LOCOMOTION":
            break
    assert sim.robot.sport.mode.name == "LOCOMOTION"
    assert wait_for(lambda: sim.status()["counts"]["dead_man_stops"] == 1)
    assert wait_for(lambda: sim.robot.sport.mode.name == "BALANCE_STAND")


def test_a_velocity_lasts_as_long_as_it_is_held_and_no_longer():
    robot = SimNodeRobot("joint", "stand", hold_s=0.6)
    try:
        robot.command("walk", {"vx": 0.2})
        began = robot.state()["tick"]
        assert wait_for(lambda: robot.state()["mode"] == "LOCOMOTION")
        assert wait_for(lambda: robot.state()["mode"] == "BALANCE_STAND")
        assert robot.state()["tick"] - began >= 600
    finally:
        robot.close()


def test_the_state_of_the_simulation_travels_whole(sim):
    state = sim.robot.state()
    assert set(state) == FIELDS
    again = unpack_value(pack_value(state))
    assert all(same(state[name], again[name]) for name in FIELDS)
    assert len(pack_value(state)) < 1200


@pytest.mark.parametrize(
    ("name", "arguments", "error", "text"),
    [
        ("walk", {"vx": 3.0}, InvalidValueError, r"vx within -1..1, got 3"),
        ("walk", {"vyaw": -9}, InvalidValueError, "vyaw within"),
        ("walk", {"vx": "fast"}, DTypeError, "vx"),
        ("walk", {"speed": 1}, ConfigError, "expected vx, vy, vyaw"),
        ("stand", {"now": 1}, ConfigError, "no arguments"),
        ("dance", {}, ConfigError, "dance"),
        ("euler", {"roll": 0.1}, ConfigError, "roll, pitch, yaw"),
        ("body_height", {"offset": 5.0}, ServiceError, "3204"),
        ("rise_sit", {}, HardwareError, "does nothing in mode BALANCE_STAND"),
    ],
)
def test_what_the_robot_refuses_reaches_the_caller_and_nothing_moves(sim, client, name, arguments, error, text):
    with pytest.raises(error, match=text):
        client.call(name, **arguments)
    assert sim.robot.sport.mode.name == "BALANCE_STAND"


def test_the_simulated_robot_lies_down_and_stands_up_by_command(sim, client):
    client.call("stand_down", timeout=60)
    assert client.state()["mode"] == "LIE_DOWN"
    with pytest.raises(HardwareError, match="LIE_DOWN"):
        client.call("walk", vx=0.1)
    client.call("stand", timeout=60)
    assert client.state()["mode"] == "BALANCE_STAND"
    client.call("damp")
    assert client.state()["mode"] == "DAMPING"


def test_a_simulation_that_breaks_is_a_failing_node(transport, sim, monkeypatch):
    def broken(*_):
        raise HardwareError("diverged")

    monkeypatch.setattr(sim.robot.sport, "update", broken)
    assert wait_for(lambda: sim.state == NodeState.Failing)
    assert "HardwareError: diverged" in str(sim.error)


def test_a_closed_simulation_says_so():
    robot = SimNodeRobot("joint")
    robot.close()
    for ask in (robot.state, robot.stop, lambda: robot.command("stand", {})):
        with pytest.raises(RfxConnectionError, match="closed"):
            ask()
    with pytest.raises(RfxError):
        SimNodeRobot("joint", "fly")


def test_the_joints_of_a_backend_follow_and_hold_when_commands_cease(transport):
    def make():
        return BackendNodeRobot(make_backend(SimConfig.joint()))

    with RobotNode(transport, make, "arm", command_timeout_s=0.3) as node, RobotClient(transport, "arm") as client:
        goal = client.state()["q"].astype(np.float64)
        goal[2] -= 0.3
        for _ in range(40):
            client.send("joints", targets=goal)
            if abs(client.state()["q"][2] - goal[2]) < 0.1:
                break
        assert abs(client.state()["q"][2] - goal[2]) < 0.15
        assert wait_for(lambda: node.status()["counts"]["dead_man_stops"] == 1)
        held = node.robot._targets
        assert abs(held[2] - goal[2]) < 0.3
        for bad, error in (([9.0] * 12, InvalidValueError), ([0.0], ValueError), ([np.nan] * 12, InvalidValueError)):
            with pytest.raises(error):
                client.call("joints", targets=np.array(bad))
        assert node.robot._targets is held
        client.call("reset")
        assert client.state()["fallen"] is False
    with pytest.raises(DTypeError):
        BackendNodeRobot(3)


def test_a_go2_over_dds_walks_by_command_and_stops_when_commands_cease(transport, go2_on_dds, domain_id):
    go2 = Go2.connect(Go2Config.loopback(domain_id))
    with (
        RobotNode(transport, lambda: Go2NodeRobot(go2), "go2", command_timeout_s=0.4) as node,
        RobotClient(transport, "go2") as client,
        client.subscribe("events") as heard,
    ):
        state = client.state()
        assert set(state) == FIELDS
        assert state["q"].dtype == np.float32
        assert client.call("walk", vx=0.2, vyaw=0.1) == [0.2, 0.0, 0.1]
        assert wait_for(lambda: go2_on_dds.sport.mode.name == "LOCOMOTION")
        with pytest.raises(InvalidValueError, match="vx within"):
            client.call("walk", vx=2.0)
        assert wait_for(lambda: go2_on_dds.sport.mode.name == "BALANCE_STAND")
        assert node.status()["counts"]["dead_man_stops"] == 1
        client.call("sit", timeout=30)
        assert wait_for(lambda: client.state()["mode"] == "SIT")
        told = [unpack_value(m.payload)["event"] for m in heard.drain()]
        assert told == ["refused", "dead_man"]
    with pytest.raises(InvalidStateError, match="disconnected"):
        go2.state()


def test_a_go2_that_falls_silent_makes_the_node_fail_and_shows_no_old_state(transport, go2_on_dds, domain_id):
    def make():
        return Go2NodeRobot.connect(Go2Config.loopback(domain_id))

    with RobotNode(transport, make, "go2") as node, RobotClient(transport, "go2") as client:
        client.state()
        go2_on_dds.stop()
        assert wait_for(lambda: node.state == NodeState.Failing)
        assert "no valid state from the robot" in str(node.error)
        sent = node.status()["counts"]["states"]
        assert not wait_for(lambda: node.status()["counts"]["states"] > sent, 0.3)


def test_a_stop_that_comes_while_a_simulated_robot_is_told_to_walk_holds():
    robot = SimNodeRobot("joint", "stand")
    try:
        handle, threads = robot.sport.handle, []

        def gated(api_id, parameter):
            if api_id == SportApi.MOVE and not threads:
                threads.append(threading.Thread(target=robot.stop))
                threads[0].start()
                threads[0].join(0.05)
            return handle(api_id, parameter)

        robot.sport.handle = gated
        robot.command("walk", {"vx": 0.2})
        threads[0].join(10)
        assert robot._velocity is None
    finally:
        robot.close()


@pytest.mark.parametrize("stop", [lambda robot: robot.stop(), lambda robot: robot.command("damp", {})])
def test_a_stop_that_comes_while_a_simulated_robot_stands_up_keeps_it_from_going_on(stop):
    robot = SimNodeRobot("joint", "lie")
    try:
        handle, asked = robot.sport.handle, []
        robot.sport.handle = lambda api_id, parameter: (asked.append(api_id), handle(api_id, parameter))[1]
        plan, threads = robot.sport._plan_runs, []

        def gated():
            if asked and not threads and threading.current_thread() is threading.main_thread():
                threads.append(threading.Thread(target=stop, args=(robot,)))
                threads[0].start()
            return plan()

        robot.sport._plan_runs = gated
        with pytest.raises(InvalidStateError, match="came before"):
            robot.command("stand", {})
        threads[0].join(10)
        assert SportApi.BALANCE_STAND not in asked
    finally:
        robot.close()
