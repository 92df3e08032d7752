"""The compiled side of a policy and its frames give the bits of the slow side."""

import pickle

import numpy as np
import pytest
from policy_robots import NumberRobot, random_policy
from policy_ticks import run, tick_on

from rfx.errors import ConfigError, InvalidValueError
from rfx.go2.messages import LowCmd, LowState
from rfx.go2.policy_side import PolicySide
from rfx.nn.contract_side import ContractSide, golden_readings, replay
from rfx.robots import LAYOUTS

MEASURED = [name for name, layout in LAYOUTS.items() if "base_lin_vel" not in layout.observation.slices]


def oracle(policy, states, command):
    """Joint targets for each state, policy steps every ten states, by the slow side."""
    side, twin, out = ContractSide(policy.contract), pickle.loads(pickle.dumps(policy)), []
    twin.reset()
    side.reset()
    for i, state in enumerate(states):
        if i % 10 == 0:
            quaternion = np.array(state.imu_state.quaternion)
            if policy.contract.quaternion_order == "xyzw":
                quaternion = quaternion[[1, 2, 3, 0]]
            readings = {
                "quaternion": quaternion,
                "base_lin_vel": np.zeros(3),
                "base_ang_vel": np.array(state.imu_state.gyroscope),
                "velocity_commands": np.array(command),
                "joint_pos": state.q,
                "joint_vel": state.dq,
            }
            targets = side.targets(twin(side.observe(readings)))
        out.append(targets)
    return np.array(out)


@pytest.mark.parametrize("last_action", ["clipped", "raw"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_the_compiled_side_gives_the_bits_of_the_slow_one(layout, last_action):
    policy = random_policy(layout, history=3, last_action=last_action, quaternion_order="xyzw")
    readings = golden_readings(policy.contract, 40)
    ours, slow = (replay(policy, side, readings) for side in (PolicySide(policy), ContractSide(policy.contract)))
    for a, b in zip(ours, slow, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("history", [1, 3])
@pytest.mark.parametrize("layout", MEASURED)
def test_commands_are_those_of_the_slow_path(layout, history):
    policy, robot, command = (
        random_policy(layout, history=history, history_stacking="terms"),
        NumberRobot(),
        (0.4, -0.2, 0.3),
    )
    tick = tick_on(robot, policy, command)
    phases = run(tick)
    first, last = phases.index("policy"), len(phases) - phases[::-1].index("policy")
    assert last - first == 100
    targets = oracle(policy, robot.states[first:last], command)
    action = policy.contract.layout.action
    for cmd, wanted in zip(robot.decoded[first:last], targets, strict=True):
        np.testing.assert_allclose(cmd.q, wanted, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(cmd.kp, action.in_motor_order("kp"), rtol=1e-6)
        np.testing.assert_allclose(cmd.kd, action.in_motor_order("kd"), rtol=1e-6)
        assert not cmd.dq.any()
        assert cmd.crc_ok
    assert tick.policy_steps == 10


def test_a_side_checks_its_readings():
    policy = random_policy()
    side = PolicySide(policy)
    readings = {name: rows[0] for name, rows in golden_readings(policy.contract).items()}
    assert side(readings).shape == (12,)
    with pytest.raises(ConfigError, match="joint_vel"):
        side.observe({k: v for k, v in readings.items() if k != "joint_vel"})
    with pytest.raises(InvalidValueError):
        side.observe({**readings, "joint_vel": np.full(12, np.nan)})


def test_a_frame_reads_and_writes_what_the_messages_do():
    from rfx.errors import CodecError
    from rfx.go2.low_frame import LowFrame

    state = LowState(tick=9)
    state.set_motors(q=np.arange(12), dq=-np.arange(12), tau_est=0.5, temperature=41)
    frame = LowFrame()
    numbers = frame.read(state.to_cdr())
    np.testing.assert_array_equal(numbers["q"], state.q)
    np.testing.assert_array_equal(numbers["dq"], state.dq)
    assert numbers["tick"] == 9
    with pytest.raises(CodecError, match="length"):
        frame.read(b"")
    wanted = LowCmd(reserve=3)
    wanted.set_motors(q=1.0, dq=2.0, tau=3.0, kp=4.0, kd=5.0)
    assert frame.write(np.repeat([[1.0], [2], [3], [4], [5]], 12, 1), 3) == wanted.to_cdr()
