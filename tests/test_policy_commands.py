"""Where a policy's command comes from: a table in time, what is handed over, the hand controller, the base's velocity."""

import numpy as np
import pytest
from policy_robots import NumberRobot, random_policy
from policy_ticks import run, tick_on

from rfx.go2.command_source import CommandSource
from rfx.go2.policy_record import policy_step_class
from rfx.go2.record_ring import RecordRing


def test_commands_come_from_a_table_in_time():
    source = CommandSource(random_policy().contract, [(0.5, 0.3, 0.0, 0.0), (1.0, 5.0, -5.0, 0.2)])
    assert [source.at(t) for t in (0.0, 0.49, 0.5, 0.99, 1.0, 100.0)] == [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.3, 0.0, 0.0),
        (0.3, 0.0, 0.0),
        (1.0, -1.0, 0.2),
        (1.0, -1.0, 0.2),
    ]


def test_what_is_handed_over_counts_until_it_is_too_old():
    policy, robot = random_policy(), NumberRobot()
    source, ring = CommandSource(policy.contract, "hand", deadman_s=0.1), RecordRing()
    tick = tick_on(robot, policy, source, seconds=0.4, ring=ring)
    while tick.phase != "policy":
        tick.step(0.0)
    source.hand_over(0.5, 0.0, -0.5)
    run(tick)
    step = policy_step_class(policy.obs_dim)
    wishes = [step.from_cdr(data).command for kind, _, data in ring.drain() if kind == 2]
    assert wishes[0] == (0.0, 0.0, 0.0)
    assert wishes[1] == pytest.approx((0.5, 0.0, -0.5))
    assert wishes[-1] == (0.0, 0.0, 0.0)
    assert sum(w[0] > 0 for w in wishes) == 5
    assert source.silent == len(wishes) - 5


def test_the_sticks_of_the_hand_controller_give_the_command():
    def sticks(i, state):
        floats = np.array([0.5, -1.0, 0.0, 0.0, 0.02], "<f4").tobytes()  # lx rx ry L2 ly
        state.wireless_remote = tuple(b"\0\0\0\0" + floats + bytes(16))

    policy, ring = random_policy(), RecordRing()
    run(tick_on(NumberRobot(change=sticks), policy, "sticks", ring=ring))
    step = policy_step_class(policy.obs_dim)
    wishes = [step.from_cdr(data).command for kind, _, data in ring.drain() if kind == 2]
    assert set(wishes) == {(0.0, -0.5, 1.0)}


def test_a_layout_with_the_bases_velocity_needs_one_and_ends_without():
    policy = random_policy("legged_gym")
    tick = tick_on(NumberRobot(), policy)
    run(tick)
    assert "velocity of the base" in tick.ended
    source, ring = CommandSource(policy.contract, deadman_s=10.0), RecordRing()
    tick = tick_on(NumberRobot(), policy, source, ring=ring)
    source.hand_over_velocity([0.25, -0.5, 0.125])
    run(tick)
    assert tick.ended == "the time was over"
    steps = [policy_step_class(48).from_cdr(d) for kind, _, d in ring.drain() if kind == 2]
    assert {s.observation[:3] for s in steps} == {(0.5, -1.0, 0.25)}
