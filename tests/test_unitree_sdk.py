"""Unitree's own Python SDK against our simulated robot: it asks, our robot answers and moves. Skipped without it."""

import pytest
from simulated_robots import running
from unitree_here import needs_sdk, run_script

from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain
from rfx.go2.simulated import SimulatedGo2
from rfx.go2.topics import RpcCode
from rfx.sim import make_plant

pytestmark = needs_sdk

SCRIPT = """
sport, low = [], []
seen = channel.ChannelSubscriber("rt/sportmodestate", SportModeState_)
seen.Init(sport.append, 10)
states = channel.ChannelSubscriber("rt/lowstate", LowState_)
states.Init(low.append, 10)
client, switcher, out = SportClient(), MotionSwitcherClient(), {}
for each in (client, switcher):
    each.SetTimeout(10.0)
    each.Init()
while not (sport and low and switcher.CheckMode()[0] == 0 and client.GetServerApiVersion()[0] == 0):
    time.sleep(0.1)

def until(reached):
    while not reached(sport[-1]):
        time.sleep(0.02)

out["mode"] = switcher.CheckMode()[1]["name"]
out["stand up"] = client.StandUp()
until(lambda s: s.mode == 6 and s.body_height > 0.25 and s.progress == 0)
out["balance"] = client.BalanceStand()
start = list(sport[-1].position)
while abs(sport[-1].position[0] - start[0]) < 0.3:
    out["move"] = client.Move(0.4, 0.0, 0.0)
    time.sleep(0.1)
out["walking"] = sport[-1].mode
out["stop"] = client.StopMove()
until(lambda s: s.mode == 1)
out["sit"] = client.Sit()
until(lambda s: s.mode == 10 and s.progress == 0)
out["rise"] = client.RiseSit()
until(lambda s: s.mode == 1)
out["stand down"] = client.StandDown()
until(lambda s: s.mode == 5 and s.body_height < 0.1 and s.progress == 0)
out["unknown"] = client.FrontFlip()
out["release"] = switcher.ReleaseMode()[0]
out["released"] = client.StandUp()
state = low[-1]
out["checksum"] = state.crc == CRC().Crc(state)
finish(out)
"""


def test_unitrees_sport_client_stands_walks_sits_and_lies_down_our_robot(domain_id):
    pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    with (
        CycloneDomain(domain_id, LOOPBACK) as domain,
        running(SimulatedGo2(make_plant("mujoco"), domain, mode="normal")) as robot,
    ):
        got = run_script(SCRIPT, domain_id)
    assert got.pop("mode") == "normal"
    assert got.pop("walking") == 3
    assert got.pop("unknown") == RpcCode.NOT_IMPLEMENTED
    assert got.pop("released") == RpcCode.SPORT_NOT_INIT
    assert got.pop("checksum")
    assert set(got.values()) == {0}
    assert robot.counters.damped == 0
