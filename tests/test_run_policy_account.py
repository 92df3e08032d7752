"""What the safety envelope does in a policy's run is in the account of the client: while it runs, after it, and in the log."""

import logging

import pytest
from policy_robots import SHORT, save_holder, simulated

from rfx.errors import HardwareError
from rfx.go2 import Fault, Faults, Go2, Go2Config, LowCmd, SafetyLimits, run_policy

TIGHT = SafetyLimits(step=0.004)  # standing up is faster than that


@pytest.fixture(scope="module")
def holder(tmp_path_factory):
    return save_holder(tmp_path_factory.mktemp("policies") / "holder")


def config(domain_id, **limits):
    return Go2Config.loopback(domain_id, lockstep=True).with_limits(**limits)


def total(counts):
    return sum(n for row in counts.values() for n in row.values())


def hold(go2):
    """Ask for the measured posture, without stiffness."""
    cmd = LowCmd()
    cmd.set_motors(q=go2.low_state().q, dq=0.0, tau=0.0, kp=0.0, kd=1.0)
    return go2.send(cmd)


def test_what_is_bounded_in_runs_is_in_the_clients_account_by_kind_and_joint(domain_id, holder):
    with simulated(domain_id), Go2.connect(config(domain_id, step=0.004)) as go2:
        first = run_policy(holder, go2=go2, **SHORT)
        assert first.envelope["step"]["FR_thigh"] > 10
        assert go2.safety.counts == first.envelope
        assert go2.safety.n_commands == first.ticks
        assert go2.safety.events[0].what == "step"
        second = run_policy(holder, go2=go2, **SHORT)
        assert go2.safety.n_commands == first.ticks + second.ticks
        assert second.envelope["step"]["FR_thigh"] > 10
        assert total(go2.safety.counts) == total(first.envelope) + total(second.envelope)


def test_a_run_with_limits_of_its_own_writes_into_the_same_account(domain_id, holder):
    with simulated(domain_id), Go2.connect(config(domain_id)) as go2:
        before = go2.safety.limits
        run = run_policy(holder, go2=go2, limits=TIGHT, **SHORT)
        assert total(run.envelope) > 10
        assert go2.safety.counts == run.envelope
        assert go2.safety.limits == before


def test_the_account_is_live_while_the_policy_runs(domain_id, holder):
    seen = []
    with simulated(domain_id), Go2.connect(config(domain_id, step=0.004)) as go2:

        def look(seconds):
            seen.append((go2.safety.n_commands, total(go2.safety.counts), len(go2.safety.events)))
            return (0.0, 0.0, 0.0)

        run = run_policy(holder, look, go2=go2, **SHORT)
    commands, bounded, events = zip(*seen, strict=True)
    assert list(commands) == sorted(commands)
    assert (commands[0], bounded[0], events[0]) == (0, 0, 0)
    assert 100 < commands[-1] <= run.ticks
    assert 10 < bounded[-1] <= total(run.envelope)
    assert events[-1] > 0


def test_own_commands_after_a_run_are_counted_with_it(domain_id, holder):
    with simulated(domain_id), Go2.connect(config(domain_id, step=0.004, kd=2.0)) as go2:
        run = run_policy(holder, go2=go2, **{**SHORT, "seconds": 0.05})
        before = go2.safety.n_commands
        assert before == run.ticks
        assert go2.wait_state(5.0)
        hold(go2)
        assert go2.safety.n_commands == before + 1


def test_a_reason_that_holds_after_a_run_holds_for_own_commands_until_the_next_run(domain_id, holder):
    faults = Faults([Fault.parse("encoder:0.3:0.4:FL")])
    with simulated(domain_id, faults=faults) as robot, Go2.connect(config(domain_id)) as go2:
        run = run_policy(holder, go2=go2, **{**SHORT, "seconds": 5.0})
        assert run.ended == "the safety envelope"
        assert go2.safety.latched == ("lost",)
        assert go2.safety.counts == run.envelope
        assert {event.what for event in go2.safety.events} >= {"lost"}
        while robot.plant.state.time < 0.8:
            go2._pass_time()
        with pytest.raises(HardwareError, match=r"lost seen before holds until safety\.reset"):
            hold(go2)
        again = run_policy(holder, go2=go2, **SHORT)
        assert again.ok, again.summary()
        assert again.envelope.get("lost") is None
        assert go2.safety.latched == ()
        assert "lost" in go2.safety.counts


def test_the_log_tells_of_each_run(domain_id, holder, caplog):
    with (
        caplog.at_level(logging.WARNING, "rfx.go2"),
        simulated(domain_id),
        Go2.connect(config(domain_id, step=0.004)) as go2,
    ):
        told = []

        def look(seconds):
            told.append("envelope: step of" in caplog.text)
            return (0.0, 0.0, 0.0)

        for _ in range(2):
            caplog.clear()
            run_policy(holder, look, go2=go2, **SHORT)
            assert caplog.text.count("envelope: step of") == 1
            assert told[-1]
            assert f"step {sum(go2.safety.counts['step'].values())} times" in caplog.text
        caplog.clear()
    assert "envelope" not in caplog.text  # the client has nothing to add when it lets go
