"""Our client against a robot side that is built from Unitree's own classes: its publishers, its RPC server, its checksum."""

import contextlib
import json
import subprocess

import numpy as np
import pytest
from unitree_here import command, needs_sdk

from rfx.go2 import Go2, Go2Config, RpcError
from rfx.go2.topics import SportApi

pytestmark = needs_sdk

# A robot of words: it stands up when it is told to, and remembers what it was asked. It ends when its input closes.
ROBOT = """
FOLD, UP = [0.0, 1.36, -2.65] * 4, [0.0, 0.8, -1.6] * 4
crc, calls, commands, posture = CRC(), [], [], {"up": 0.0, "goal": 0.0, "mode": 0}
heard = channel.ChannelSubscriber("rt/lowcmd", LowCmd_)
heard.Init(commands.append, 10)
low_states = channel.ChannelPublisher("rt/lowstate", LowState_)
low_states.Init()
sport_states = channel.ChannelPublisher("rt/sportmodestate", SportModeState_)
sport_states.Init()

class Sport(Server):
    def Init(self):
        self._SetApiVersion("9.8.7.6")
        for api, mode, goal in ((1002, 1, 1.0), (1003, 1, 1.0), (1004, 6, 1.0), (1005, 5, 0.0), (1008, 3, 1.0)):
            self._RegistHandler(api, self.handler(api, mode, goal), False)
        self._RegistHandler(1009, lambda parameter: (4201, ""), False)

    def handler(self, api, mode, goal):
        def handle(parameter):
            calls.append((api, parameter))
            posture["mode"], posture["goal"] = mode, goal
            return 0, ""
        return handle

server = Sport("sport")
server.Init()
server.Start(False)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
low, sport = default.unitree_go_msg_dds__LowState_(), default.unitree_go_msg_dds__SportModeState_()
tick = 0
while not ended.is_set():
    tick += 10
    change = max(-0.02, min(0.02, posture["goal"] - posture["up"]))
    posture["up"] += change
    low.tick = tick
    low.imu_state.quaternion = [1.0, 0.0, 0.0, 0.0]
    low.foot_force = [7, -3, 300, 0]
    low.bms_state.soc = 77
    for i in range(12):
        low.motor_state[i].mode = 1
        low.motor_state[i].q = FOLD[i] + posture["up"] * (UP[i] - FOLD[i])
        low.motor_state[i].dq = change / 0.01 * (UP[i] - FOLD[i])
        low.motor_state[i].temperature = 30 + i
    low.crc = crc.Crc(low)
    low_states.Write(low)
    sport.mode, sport.body_height = posture["mode"], 0.07 + 0.22 * posture["up"]
    sport.stamp.sec, sport.stamp.nanosec = divmod(tick * 1000000, 1000000000)
    sport_states.Write(sport)
    time.sleep(0.01)
last = commands[-1] if commands else None
finish({
    "calls": calls, "commands": len(commands), "right": sum(c.crc == crc.Crc(c) for c in commands),
    "modes": [m.mode for m in last.motor_cmd[:12]] if last else [], "kd": [m.kd for m in last.motor_cmd[:12]] if last else [],
    "q": [c.motor_cmd[4].q for c in commands],
})
"""


class TheirRobot:
    def __init__(self, domain_id):
        self.config = Go2Config.loopback(domain_id, connect_timeout_s=60.0).with_timeouts(stale_s=1.0, rpc_s=10.0)
        self.child = subprocess.Popen(
            command(ROBOT, domain_id), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self):
        out, err = self.child.communicate(timeout=30)
        assert self.child.returncode == 0, err
        return json.loads(out.splitlines()[-1])


@pytest.fixture
def theirs(domain_id):
    robot = TheirRobot(domain_id)
    yield robot
    with contextlib.suppress(ValueError):
        robot.child.communicate(timeout=30)


def test_our_client_reads_their_states_and_their_robot_stands_and_walks(theirs):
    with Go2.connect(theirs.config) as go2:
        low = go2.low_state()
        assert low.crc_ok
        assert low.bms_state.soc == 77
        assert tuple(low.foot_force) == (7, -3, 300, 0)
        np.testing.assert_allclose(low.q, [0.0, 1.36, -2.65] * 4, atol=1e-6)
        assert go2.rpc.call("sport", 1, "", 10.0) == "9.8.7.6"
        go2.stand()
        np.testing.assert_allclose(go2.low_state().q, [0.0, 0.8, -1.6] * 4, atol=0.05)
        go2.walk(0.4, 0.0, 0.2)
        go2.wait(0.5)
        assert go2.state().sport.mode == 3
        go2.stop()
        with pytest.raises(RpcError) as refused:
            go2.sit()
        assert refused.value.code == 4201
        with pytest.raises(RpcError) as unknown:
            go2.trick("hello")
        assert unknown.value.code == 3203
    got = theirs.end()
    apis = [api for api, _ in got["calls"]]
    assert apis[:2] == [SportApi.STAND_UP, SportApi.BALANCE_STAND]
    moves = [json.loads(parameter) for api, parameter in got["calls"] if api == SportApi.MOVE]
    assert len(moves) >= 3  # it is sent again and again
    assert all(move == {"x": 0.4, "y": 0.0, "z": 0.2} for move in moves)
    assert apis[-1] == SportApi.STOP_MOVE
    assert got["commands"] == 0


def test_their_checksum_agrees_with_every_command_of_ours(theirs):
    with Go2.connect(theirs.config) as go2:
        wanted = np.clip(go2.low_state().q, -2.6, 1.2)  # near enough for one step of the envelope
        for i in range(20):
            go2.set_motor_positions(wanted + 0.01 * i, kp=30.0, kd=1.5)
            go2.wait_state(1.0)
    got = theirs.end()
    assert got["commands"] >= 15
    assert got["right"] == got["commands"]
    assert got["modes"] == [1] * 12
    assert got["kd"] == [3.0] * 12  # the farewell is damping
    assert max(q for q in got["q"] if q < 100) == pytest.approx(wanted[4] + 0.19, abs=0.02)
