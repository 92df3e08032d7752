"""What a policy's tick records: every state, command and step, and what does not fit is counted."""

import threading

import numpy as np
from policy_robots import NumberRobot, random_policy
from policy_ticks import run, tick_on

from rfx.go2.policy_record import policy_step_class
from rfx.go2.record_ring import RecordRing


def test_every_state_command_and_step_is_recorded():
    policy, robot, ring = random_policy(), NumberRobot(), RecordRing()
    tick = tick_on(robot, policy, ring=ring)
    run(tick)
    records = ring.drain()
    assert [d for kind, _, d in records if kind == 1] == robot.commands
    assert [d for kind, _, d in records if kind == 0] == [s.to_cdr() for s in robot.states]
    steps = [policy_step_class(policy.obs_dim).from_cdr(d) for kind, _, d in records if kind == 2]
    assert [s.step for s in steps] == list(range(10))
    np.testing.assert_allclose(steps[-1].observation, tick.side.last_observation)
    np.testing.assert_allclose(steps[-1].action, tick.side.last_action)
    times = [t for _, t, _ in records]
    assert times == sorted(times)
    assert ring.dropped == 0


def test_a_full_ring_drops_and_counts_and_holds_nothing_up():
    ring = RecordRing(1)
    data, put = bytes(1000), 0
    while ring.add(1, 5, data):
        put += 1
    assert put == ring.capacity // 1016
    assert ring.dropped == 1
    assert [len(d) for _, _, d in ring.drain()] == [1000] * put
    assert ring.add(2, 6, b"")
    assert ring.drain() == [(2, 6, b"")]


def test_records_keep_their_bytes_between_threads():
    ring, got, rng = RecordRing(1), [], np.random.default_rng(0)
    sent = [rng.bytes(int(n)) for n in rng.integers(0, 3000, 3000)]

    def read():
        while len(got) < len(sent):
            got.extend(d for _, _, d in ring.drain(50))

    reader = threading.Thread(target=read)
    reader.start()
    for i, data in enumerate(sent):
        while not ring.add(i, i, data):
            pass
    reader.join()
    assert got == sent
