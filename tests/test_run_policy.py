"""A policy run on the simulated robot, end to end: it stands, it repeats, it refuses, it ends well and after faults."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from policy_robots import SHORT, save_holder, save_policy, simulated
from test_mlp import random_network
from waiting import wait_for

from rfx.cli import main
from rfx.errors import ConfigError, HardwareError, InvalidStateError
from rfx.go2 import Fault, Faults, Go2, Go2Config, McapReader, check_log, run_policy, topics
from rfx.go2.backends.cyclone import LOOPBACK
from rfx.go2.command_source import CommandSource
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.link import PythonLink
from rfx.go2.messages import LowCmd
from rfx.go2.policy_record import POLICY_TOPIC, policy_step_class
from rfx.go2.policy_side import PolicySide
from rfx.go2.policy_tick import PolicyTick
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.contract import PolicyContract
from rfx.nn.files import read_policy_directory
from rfx.robots import GO2

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def holder(tmp_path_factory):
    return save_holder(tmp_path_factory.mktemp("policies") / "holder")


def config(domain_id, lockstep=True):
    return Go2Config.loopback(domain_id, lockstep=lockstep)


ONCE = []


@pytest.fixture
def recorded(domain_id, holder, tmp_path_factory):
    """One run and its flight log, for all who read them."""
    if not ONCE:
        log = tmp_path_factory.mktemp("runs") / "run.mcap"
        with simulated(domain_id):
            ONCE.append((run_policy(holder, (0.3, 0.0, 0.0), config(domain_id), log=log, **SHORT), log))
    return ONCE[0]


def commands_of(path):
    return [m.data for m in McapReader(path).messages([topics.LOW_CMD])]


def test_the_robot_stands_acts_and_lies_down(domain_id, holder, tmp_path):
    pytest.importorskip("mujoco")
    heights = []
    with simulated(domain_id, "mujoco") as robot:
        step = robot.plant.step

        def watched(command):
            state = step(command)
            heights.append(float(state.position[2]))
            return state

        robot.plant.step = watched
        run = run_policy(
            holder, config=config(domain_id), seconds=0.4, ramp_s=0.5, settle_s=0.1, lie_s=0.6, damp_s=0.04
        )
    assert run.ok, run.summary()
    assert (run.policy_steps, run.seconds) == (20, pytest.approx(0.4))
    assert run.link == "native"
    assert heights[0] < 0.15
    assert 0.24 < heights[int(0.95 * 500)] < 0.36  # the policy acts
    assert heights[-1] < 0.15
    assert robot.counters.damped == robot.counters.refused == 0
    assert run.ticks - robot.counters.commands in (0, 1)  # the client's farewell may overtake the last one


def test_two_runs_send_the_same_bytes_native_or_not(domain_id, holder, tmp_path):
    def wish(seconds):
        return (0.5 * np.sin(9 * seconds), 0.1, -0.2)

    sent = []
    for name, native in (("a", True), ("b", True), ("c", False)):
        with simulated(domain_id):
            run = run_policy(holder, wish, config(domain_id), log=tmp_path / name, native=native, **SHORT)
        sent.append(commands_of(tmp_path / name))
        assert len(sent[-1]) == run.ticks
    assert sent[0] == sent[1] == sent[2]
    assert len(set(sent[0])) > 250


def test_the_flight_log_has_states_commands_and_steps(recorded):
    run, log = recorded
    report = check_log(log)
    assert report.ok, report.as_dict()
    count = {t.topic: t.messages for t in report.topics}
    assert count == {topics.LOW_STATE: run.ticks, topics.LOW_CMD: run.ticks, POLICY_TOPIC: run.policy_steps}
    steps = [policy_step_class(45).from_cdr(m.data) for m in McapReader(log).messages([POLICY_TOPIC])]
    assert [s.step for s in steps] == list(range(run.policy_steps))
    assert steps[3].command == pytest.approx((0.3, 0.0, 0.0))
    final = LowCmd.from_cdr(commands_of(log)[-1])
    assert not final.kp.any()
    assert (final.kd == 3.0).all()


def test_a_recorded_run_is_repeated_bit_for_bit_from_its_states(recorded, holder):
    _, log = recorded
    states, sent = (m.data for m in McapReader(log).messages([topics.LOW_STATE])), []
    policy = CompiledPolicy.load(holder)
    link = PythonLink(lambda timeout_s: next(states, None), sent.append)
    source = CommandSource(policy.contract, (0.3, 0.0, 0.0))
    tick = PolicyTick(PolicySide(policy), link, SafetyEnvelope(), source, lockstep=True, **SHORT)
    while tick.step(0.0):
        pass
    assert sent == commands_of(log)


def test_in_real_time_the_tick_is_paced_and_measured(domain_id, holder):
    with simulated(domain_id, lockstep=False) as robot:
        fast = config(domain_id, lockstep=False).with_limits(
            velocity=60.0
        )  # a machine that stalls makes the joints catch up
        run = run_policy(holder, config=fast, **{**SHORT, "ramp_s": 0.05, "lie_s": 0.04})
        assert robot.counters.refused == 0
    assert run.ok, run.summary()
    assert run.loop is not None
    assert run.loop.iterations > 30
    assert run.policy_steps >= 3
    assert run.stages["act"].count == run.policy_steps
    assert run.stages["total"].count == run.ticks
    assert json.loads(json.dumps(run.as_dict()))["ok"]
    for word in ("lateness", "native", "encode", "holder"):
        assert word in run.summary()


def test_a_robot_that_is_connected_is_taken_over_and_stays_connected(domain_id, holder):
    with simulated(domain_id, mode="normal") as robot, Go2.connect(config(domain_id)) as go2:
        run = run_policy(holder, go2=go2, **SHORT)
        assert run.ok
        assert robot.switcher.name == ""
        assert go2.wait_state(5.0)
        with pytest.raises(ConfigError, match="both"):
            run_policy(holder, config=config(domain_id), go2=go2)


def test_somebody_else_at_the_motors_is_refused(domain_id, holder):
    code = (
        "import sys\nfrom rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain\nfrom rfx.go2 import LowCmd\n"
        f"with CycloneDomain({domain_id}, LOOPBACK) as d:\n"
        "    w = d.writer('rt/lowcmd', LowCmd)\n    print('ready', flush=True)\n    sys.stdin.read()\n"
    )
    with (
        simulated(domain_id) as robot,
        subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as other,
    ):
        assert other.stdout.readline() == "ready\n"
        with Go2.connect(config(domain_id)) as go2:
            assert wait_for(go2.other_commanders)
            with pytest.raises(HardwareError, match="python"):
                run_policy(holder, go2=go2, **SHORT)
        other.stdin.close()
        assert robot.counters.commands == 0


# -- what is refused before anything is sent


def refused(path, match, **options):
    with pytest.raises(ConfigError, match=match):
        run_policy(path, config=Go2Config.loopback(1), **options)


def test_a_policy_without_a_contract_or_golden_pairs_is_refused(tmp_path):
    layers, tensors = random_network(np.random.default_rng(0), (45, 16, 12))
    save_policy(tmp_path / "p", layers, tensors, PolicyContract("rl_sar"))
    files = read_policy_directory(tmp_path / "p")
    from rfx.nn.files import write_policy_directory

    bare = {k: v for k, v in files.config.items() if k != "contract"}
    write_policy_directory(tmp_path / "bare", bare, files.tensors)
    refused(tmp_path / "bare", "nothing about the robot")
    unproved = {**files.config, "contract": {**files.config["contract"], "golden": None}}
    write_policy_directory(tmp_path / "unproved", unproved, files.tensors)
    refused(tmp_path / "unproved", "golden pairs")


def test_what_the_robots_side_states_differently_is_refused_by_name(holder):
    refused(holder, "kp of all joints", robot="rl_sar")
    refused(holder, "default pose", robot="unitree_rl_mjlab")


def test_a_layout_with_the_bases_velocity_is_refused_without_an_estimator(tmp_path, domain_id):
    path = save_holder(tmp_path / "lin", "legged_gym")
    refused(path, "legged_gym has base_lin_vel")
    with simulated(domain_id):
        run = run_policy(path, config=config(domain_id), base_lin_vel=lambda: np.zeros(3), **SHORT)
        assert run.ok, run.summary()
    with simulated(domain_id):
        run = run_policy(path, config=config(domain_id), base_lin_vel=lambda: None, **SHORT)
    assert "velocity of the base" in run.ended


def test_a_configuration_without_low_level_commands_is_refused(domain_id, holder):
    with simulated(domain_id) as robot:
        with pytest.raises(ConfigError, match="edu_mode"):
            run_policy(holder, config=config(domain_id).with_edu_mode(False), **SHORT)
        assert robot.counters.commands == 0


# -- ends and faults


def test_what_a_command_callable_raises_ends_the_run_and_is_raised(domain_id, holder, tmp_path):
    def broken(seconds):
        if seconds > 0.1:
            raise RuntimeError("joystick unplugged")
        return (0.1, 0.0, 0.0)

    with simulated(domain_id), pytest.raises(RuntimeError, match="unplugged"):
        run_policy(holder, broken, config(domain_id), log=tmp_path / "run.mcap", **{**SHORT, "seconds": None})
    final = LowCmd.from_cdr(commands_of(tmp_path / "run.mcap")[-1])
    assert (final.kd == 3.0).all()


def test_a_callable_that_falls_silent_gives_zero(domain_id, holder, tmp_path):
    with simulated(domain_id):
        run = run_policy(
            holder,
            lambda t: (0.5, 0.0, 0.0) if t < 0.1 else None,
            config(domain_id),
            deadman_s=0.1,
            log=tmp_path / "run.mcap",
            **SHORT,
        )
    steps = [policy_step_class(45).from_cdr(m.data) for m in McapReader(tmp_path / "run.mcap").messages([POLICY_TOPIC])]
    forward = [s.command[0] for s in steps]
    assert forward[1] == 0.5
    assert forward[-1] == 0.0
    assert run.counts["silent"] > 0


def damped(path):
    final = LowCmd.from_cdr(commands_of(path)[-1])
    return not final.kp.any() and bool((final.kd == 3.0).all())


def test_a_leg_that_is_not_measured_ends_in_damping(domain_id, holder, tmp_path):
    with simulated(domain_id, faults=Faults([Fault.parse("encoder:0.6:60:FL")])):
        run = run_policy(holder, config=config(domain_id), log=tmp_path / "a", **{**SHORT, "seconds": None})
    assert (run.ok, run.ended) == (False, "the safety envelope")
    assert "FL" in run.detail
    assert damped(tmp_path / "a")


def test_a_robot_that_vanishes_ends_in_damping(domain_id, holder, tmp_path):
    with simulated(domain_id, lockstep=False) as robot:

        def vanish(seconds):
            if seconds > 0.1:
                robot.stop()
            return (0, 0, 0)

        fast = config(domain_id, False).with_limits(velocity=60.0)  # as above
        run = run_policy(holder, vanish, fast, log=tmp_path / "a", **{**SHORT, "ramp_s": 0.5, "seconds": None})
    assert (run.ok, run.ended) == (False, "the safety envelope")
    assert "stale" in run.detail
    assert damped(tmp_path / "a")


def test_an_emergency_stop_reaches_the_tick_and_others_cannot_command(domain_id, holder, tmp_path):
    refusals = []
    with simulated(domain_id), Go2.connect(config(domain_id)) as go2:

        def stop(seconds):
            try:
                go2.send(LowCmd())
            except InvalidStateError as error:
                refusals.append(str(error))
            if seconds > 0.1:
                go2.emergency_stop()
            return (0, 0, 0)

        run = run_policy(holder, stop, go2=go2, log=tmp_path / "a", **{**SHORT, "seconds": None})
        assert go2.sender is None
    assert run.seconds < 0.2
    assert "a policy drives" in refusals[0]
    assert damped(tmp_path / "a")


SCRIPT = """
import sys
from rfx.go2 import Go2Config, run_policy
print("go", flush=True)
times = {"ramp_s": 0.1, "settle_s": 0.04, "lie_s": 0.6, "damp_s": 0.02}
patient = Go2Config.loopback(int(sys.argv[2])).with_limits(stale_s=10.0, velocity=60.0)  # with a machine that stalls
run = run_policy(sys.argv[1], config=patient, **times)
print(run.ended, flush=True)
"""


def test_ctrl_c_ends_the_run_as_if_the_time_were_over(domain_id, holder):
    with simulated(domain_id, lockstep=False) as robot:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(holder), str(domain_id)], stdout=-1, stderr=-1, text=True, cwd=ROOT
        )
        assert wait_for(lambda: robot.counters.commands > 90, 30)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
        assert out.splitlines() == ["go", "it was asked to end"]
        q, lie = robot.plant.state.q, GO2.pose("lie")
        assert np.abs(q - lie).max() < 0.5


def test_no_thread_is_left_after_a_run(domain_id, holder, tmp_path):
    with simulated(domain_id):
        before = set(threading.enumerate())
        run_policy(holder, lambda t: (0, 0, 0), config(domain_id), log=tmp_path / "run.mcap", **SHORT)
        assert wait_for(lambda: set(threading.enumerate()) <= before)


def test_the_command_line_runs_a_policy(domain_id, holder, tmp_path, capsys):
    line = ["robot", "run", str(holder), "--seconds", "0.1", "--finish", "damp", "--command", "0.2", "0", "0"]
    line += ["--at", "0.05", "-0.2", "0", "0", "--domain", str(domain_id), "--interface", LOOPBACK, "--lockstep"]
    with simulated(domain_id):
        assert main([*line, "--log", str(tmp_path / "run.mcap"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["link"], told["policy_steps"]) == (True, "native", 5)
    steps = [policy_step_class(45).from_cdr(m.data) for m in McapReader(tmp_path / "run.mcap").messages([POLICY_TOPIC])]
    assert [round(s.command[0], 3) for s in steps] == [0.2, 0.2, 0.2, -0.2, -0.2]


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert main(["robot", "run", str(tmp_path / "nothing")]) != 0
    assert "nothing" in capsys.readouterr().err
    assert main(["robot", "run", "p", "--sticks", "--command", "1", "0", "0"]) != 0
    assert "--sticks" in capsys.readouterr().err
