"""Unitree's low-level classes against our simulated robot: they free its motors, stand it up and read its states."""

import pytest
from simulated_robots import running
from unitree_here import needs_sdk, run_script

from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.simulated import SimulatedGo2
from rfx.sim import make_plant

pytestmark = needs_sdk

# As their stand example does: release the mode, fold the legs, stand, hold; here by the robot's own clock.
STAND = """
FOLD, UP = [0.0, 1.36, -2.65] * 4, [0.0, 0.67, -1.3] * 4
crc, heard, switcher = CRC(), [], MotionSwitcherClient()
states = channel.ChannelSubscriber("rt/lowstate", LowState_)
states.Init(heard.append, 10)
seen, sport_states = [], channel.ChannelSubscriber("rt/sportmodestate", SportModeState_)
sport_states.Init(seen.append, 10)
commands = channel.ChannelPublisher("rt/lowcmd", LowCmd_)
commands.Init()
switcher.SetTimeout(10.0)
switcher.Init()
while not (heard and seen and switcher.CheckMode()[0] == 0):
    time.sleep(0.1)
out = {"mode": switcher.CheckMode()[1]["name"], "wrong": 0, "checked": 0}
out["released"] = switcher.ReleaseMode()[0]
out["mode after"] = switcher.CheckMode()[1]["name"]

cmd = default.unitree_go_msg_dds__LowCmd_()
cmd.head[0], cmd.head[1], cmd.level_flag, cmd.gpio = 0xFE, 0xEF, 0xFF, 0
for motor in cmd.motor_cmd:
    motor.mode, motor.q, motor.dq, motor.kp, motor.kd, motor.tau = 1, 2.146e9, 16000.0, 0, 0, 0
begin = heard[-1].tick
first = [motor.q for motor in heard[-1].motor_state[:12]]
last = -1
while True:
    state = heard[-1]
    del heard[:-1], seen[:-1]
    if state.tick == last:
        time.sleep(0.001)
        continue
    last, elapsed = state.tick, (state.tick - begin) / 1000.0
    out["checked"] += 1
    out["wrong"] += state.crc != crc.Crc(state)
    if elapsed > 3.5:
        break
    fold, up = min(1.0, elapsed / 0.8), min(1.0, max(0.0, (elapsed - 0.8) / 1.2))
    for i in range(12):
        wanted = (1 - fold) * first[i] + fold * FOLD[i]
        motor = cmd.motor_cmd[i]
        motor.q, motor.dq, motor.kp, motor.kd = (1 - up) * wanted + up * UP[i], 0.0, 60.0, 5.0
    cmd.crc = crc.Crc(cmd)
    commands.Write(cmd)
    time.sleep(0.002)
out["height"] = seen[-1].body_height
out["error"] = max(abs(motor.q - q) for motor, q in zip(state.motor_state, UP))
out["stamp"] = seen[-1].stamp.sec + 1e-9 * seen[-1].stamp.nanosec
out["tick"] = state.tick
w, x, y, z = state.imu_state.quaternion
out["tilt"] = math.acos(max(-1.0, min(1.0, 1 - 2 * (x * x + y * y))))
finish(out)
"""


def test_unitrees_low_level_classes_free_the_motors_and_stand_our_robot_up(domain_id):
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    with (
        CycloneDomain(domain_id, LOOPBACK) as domain,
        running(SimulatedGo2(make_plant("mujoco"), domain, mode="normal", command_timeout_s=5.0)) as robot,
    ):
        got = run_script(STAND, domain_id)
        assert robot.mode == "commanded"
    assert (got["mode"], got["released"], got["mode after"]) == ("normal", 0, "")
    assert robot.counters.commands > 50
    assert robot.counters.refused == 0
    assert robot.counters.damped == 0
    assert got["height"] > 0.27
    assert got["tilt"] < 0.1
    assert got["error"] < 0.35  # it carries the robot's weight with kp 60
    assert got["checked"] > 50
    assert got["wrong"] == 0
    assert abs(got["stamp"] - got["tick"] / 1000.0) < 0.5
