"""Policies that see the trunk's velocity: the tick estimates it, against the simulation's truth, and ends where it cannot."""

import dataclasses
import importlib.util
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from policy_robots import WIDE, NumberRobot, random_policy, save_holder, simulated

from rfx.cli import main
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError
from rfx.go2 import Go2Config, McapReader, SimulatedGo2, check_log, run_policy, topics
from rfx.go2.backends.cyclone import LOOPBACK
from rfx.go2.command_source import CommandSource
from rfx.go2.envelope import SafetyEnvelope
from rfx.go2.link import PythonLink
from rfx.go2.low_frame import LowFrame
from rfx.go2.messages import LowCmd, LowState
from rfx.go2.policy_record import POLICY_TOPIC, VELOCITY_TOPIC, VelocityEstimate, policy_step_class
from rfx.go2.policy_side import PolicySide
from rfx.go2.policy_tick import PolicyTick
from rfx.go2.record_ring import RecordRing
from rfx.go2.velocity_watch import VelocityWatch
from rfx.nn import PolicyContract, write_contract
from rfx.nn.compiled import CompiledPolicy
from rfx.nn.files import read_policy_directory, write_policy_directory
from rfx.robots.layouts import ObservationLayout, ObservationTerm, PolicyLayout
from rfx.sim.odometry import VelocityEstimator

EXAMPLE = Path(__file__).parent.parent / "examples" / "08_run_policy_on_go2.py"
COMMANDS = [(0.0, 0.0, 0.0, 0.0), (0.3, 0.4, 0.0, 0.0), (1.6, 0.0, 0.2, 0.4)]
LEAN = 0.25  # of the command's error is added to the command
NUMBERS = {"ramp_s": 0.02, "settle_s": 0.1, "lie_s": 0.02, "damp_s": 0.01, "seconds": 0.2}
LOST = "no leg was trusted any more to estimate the velocity of the base"


@pytest.fixture(scope="module")
def walker(tmp_path_factory):
    """The example's trot with 48 numbers, the trunk's velocity at half scale among them: it corrects what it is slow by."""
    spec = importlib.util.spec_from_file_location("example_08", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    names = ("base_lin_vel", *example.NAMES[1:])
    terms = ObservationLayout(
        tuple(ObservationTerm(name, 0.5 if name == "base_lin_vel" else 1.0) for name in names),
        example.GO2.joint_names,
    )
    example.LAYOUT = PolicyLayout("trot by velocity", terms, example.ACTION, gait_period=example.PERIOD)
    folder = tmp_path_factory.mktemp("policies")
    example.make_policy(folder / "blind", samples=1500)
    files = read_policy_directory(folder / "blind")
    inner = files.tensors["w0"].copy()
    inner[:, 0:2] = -2.0 * LEAN * inner[:, 6:8]
    inner[:, 6:8] *= 1.0 + LEAN
    plain = {key: value for key, value in files.config.items() if key != "contract"}
    write_policy_directory(folder / "walker", plain, {**files.tensors, "w0": inner})
    assert terms.size == 48
    return write_contract(folder / "walker", PolicyContract(example.LAYOUT, command_ranges=example.RANGES))


class NoisyGo2(SimulatedGo2):
    """Measures with the noise of tests/test_odometry.py, the same in each run."""

    def __init__(self, *parts, **options):
        super().__init__(*parts, **options)
        rng, measure = np.random.default_rng(1), self.faults.measure
        bias = 0.1 * rng.normal(size=3)

        def measured(state):
            state = measure(state)
            return dataclasses.replace(
                state,
                dq=state.dq + 0.1 * rng.normal(size=12),
                gyroscope=state.gyroscope + 0.02 * rng.normal(size=3),
                accelerometer=state.accelerometer + bias + 0.3 * rng.normal(size=3),
            )

        self.faults.measure = measured


def noisy(domain_id, plant="mujoco", lockstep=True, **options):
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    return simulated(domain_id, plant, lockstep, pose=None, kind=NoisyGo2, timeout_s=0.2, **options)


def walk(domain_id, walker, log, native=True, **options):
    """The run, and the true velocities of the trunk by the tick of the state that carried them."""
    truth = {}
    options = {"seconds": 3.0, "ramp_s": 0.5, "settle_s": 0.2, "finish": "damp", "damp_s": 0.02, **options}
    with noisy(domain_id, watch=lambda s: truth.update({round(1000 * s.time): s.velocity_body})) as robot:
        config = Go2Config.loopback(domain_id, lockstep=True)
        run = run_policy(walker, COMMANDS, config, log=log, native=native, base_lin_vel="estimate", **options)
        start = robot.plant.state.position
    return run, truth, start


ONCE = []


@pytest.fixture
def walked(domain_id, walker, tmp_path_factory):
    """One run for all who look at it: the run, the truth, where it came to, its log."""
    if not ONCE:
        log = tmp_path_factory.mktemp("runs") / "run.mcap"
        ONCE.append((*walk(domain_id, walker, log), log))
    return ONCE[0]


def messages(path, topic, kind=None):
    data = [m.data for m in McapReader(path).messages([topic])]
    return data if kind is None else [kind.from_cdr(d) for d in data]


def test_a_policy_that_sees_the_velocity_walks_by_the_estimate(walked):
    run, _, where, _ = walked
    assert run.ok, run.summary()
    assert run.link == "native"
    assert where[0] > 0.3
    assert where[2] > 0.2
    assert run.stages["estimate"].count == run.counts["states"] == run.ticks


def test_the_recorded_estimate_agrees_with_the_simulations_velocity(walked):
    """The bounds of tests/test_odometry.py: those of a trot, up and down those of a run, for this trot stamps."""
    run, truth, _, log = walked
    seen = messages(log, VELOCITY_TOPIC, VelocityEstimate)
    assert len(seen) == run.counts["states"]
    acting = [e for e in seen if e.tick >= 1000]
    errors = np.array([np.array(e.velocity) - truth[e.tick] for e in acting])
    assert len(errors) > 1300
    x, y, z = np.sqrt((errors**2).mean(axis=0))
    assert max(x, y) < 0.03
    assert z < 0.045
    assert np.abs(errors).max() < 3 * 0.045
    assert np.abs(errors[:, :2].mean(axis=0)).max() < 0.02
    assert max(e.velocity[0] for e in acting) > 0.3
    assert all(0.0 <= share <= 1.0 for e in acting for share in e.trust)


def test_two_runs_send_and_estimate_the_same_bytes_native_or_not(domain_id, walker, walked, tmp_path):
    """The second one ends earlier; by then it walks."""
    run, _, _ = walk(domain_id, walker, tmp_path / "again", native=False, seconds=1.0)
    assert run.link == "python"
    for topic, n in ((topics.LOW_CMD, 850), (VELOCITY_TOPIC, 850), (POLICY_TOPIC, 50)):
        first, again = messages(walked[-1], topic), messages(tmp_path / "again", topic)
        assert len(again) >= n
        assert first[:n] == again[:n]
    assert check_log(tmp_path / "again").ok


def test_the_observation_has_the_estimate_in_the_layouts_scale_and_the_states_repeat_it(walker, walked):
    """A slow loop over the recorded states with the estimator's Python face says the same to the bit."""
    log, estimator, slow = walked[-1], VelocityEstimator(), {}
    for low in messages(log, topics.LOW_STATE, LowState):
        imu = low.imu_state
        v = estimator.update(
            low.q, low.dq, list(imu.quaternion), list(imu.gyroscope), list(imu.accelerometer), list(low.foot_force)
        )
        slow[low.tick] = np.float32(v), np.float32(estimator.trust)
    seen = messages(log, VELOCITY_TOPIC, VelocityEstimate)
    assert [e.tick for e in seen] == list(slow)
    np.testing.assert_array_equal([e.velocity for e in seen], [v for v, _ in slow.values()])
    np.testing.assert_array_equal([e.trust for e in seen], [t for _, t in slow.values()])
    steps = messages(log, POLICY_TOPIC, policy_step_class(48))
    begun = seen[0].tick + 700  # the ramp and the settling
    for step in steps[::10]:
        np.testing.assert_allclose(step.observation[:3], 0.5 * slow[begun + 20 * step.step][0], rtol=1e-6)


def test_a_recorded_run_is_repeated_bit_for_bit_from_its_states(walker, walked):
    log, sent = walked[-1], []
    states = iter(messages(log, topics.LOW_STATE))
    policy, ring = CompiledPolicy.load(walker), RecordRing(16)
    tick = PolicyTick(
        PolicySide(policy),
        PythonLink(lambda timeout_s: next(states, None), sent.append),
        SafetyEnvelope(),
        CommandSource(policy.contract, COMMANDS),
        ring=ring,
        velocity=VelocityWatch(VelocityEstimator()),
        lockstep=True,
        seconds=3.0,
        ramp_s=0.5,
        settle_s=0.2,
        finish="damp",
        damp_s=0.02,
    )
    while tick.step(0.0):
        pass
    assert sent == messages(log, topics.LOW_CMD)
    assert [data for kind, _, data in ring.drain() if kind == 3] == messages(log, VELOCITY_TOPIC)


# -- a robot made of numbers


def standing(feet=lambda i: 80, accelerometer=(0.0, 0.0, 9.81)):
    """What changes the states of a NumberRobot into those of one that stands still, with so much force on each foot."""

    def change(i, state):
        state.imu_state.quaternion = (1.0, 0.0, 0.0, 0.0)
        state.imu_state.gyroscope = (0.0, 0.0, 0.0)
        state.imu_state.accelerometer = accelerometer
        state.set_motors(q=[0.0, 0.8, -1.6] * 4, dq=0.0, temperature=30)
        state.foot_force = (feet(i),) * 4

    return change


def tick_on(robot, layout="legged_gym", patience_s=0.1, **options):
    policy = random_policy(layout)
    return PolicyTick(
        PolicySide(policy),
        robot.link,
        SafetyEnvelope(WIDE),
        CommandSource(policy.contract),
        velocity=VelocityWatch(VelocityEstimator(), patience_s=patience_s),
        **{"lockstep": True, **NUMBERS, **options},
    )


def run(tick):
    phases = [tick.phase]
    while tick.step(0.0):
        phases.append(tick.phase)
    return phases


def test_a_robot_whose_feet_lose_the_ground_ends_in_damping_after_the_patience():
    robot = NumberRobot(change=standing(lambda i: 80 if i < 100 else 0))
    tick = tick_on(robot)
    phases = run(tick)
    assert tick.ended == LOST
    assert phases.index("damping") - 1 == 100 + 50  # 0.1 s of 2 ms
    assert "lying down" not in phases
    assert tick.velocity.blind_s > 0.1
    assert not robot.decoded[-1].kp.any()


def test_feet_that_leave_the_ground_for_a_moment_end_nothing():
    tick = tick_on(NumberRobot(change=standing(lambda i: 80 if i % 50 < 10 else 0)))
    run(tick)
    assert tick.ended == "the time was over"


@pytest.mark.parametrize(("finish", "after"), [("lie", "lying down"), ("damp", "damping")])
def test_a_policy_does_not_begin_while_no_leg_is_trusted(finish, after):
    tick = tick_on(NumberRobot(change=standing(lambda i: 0)), finish=finish)
    phases = run(tick)
    assert tick.ended == LOST
    assert "policy" not in phases
    assert after in phases
    assert tick.policy_steps == 0


def test_before_the_policy_a_robot_without_trust_lies_still():
    """An accelerometer that is off by 1 m/s^2 for 0.8 s would say 0.8 m/s."""
    robot = NumberRobot(change=standing(lambda i: 0 if i < 400 else 80, accelerometer=(1.0, 0.0, 9.81)))
    tick, fastest = tick_on(robot, ramp_s=0.9, settle_s=0.2), 0.0
    while tick.step(0.0) and tick.phase != "policy":
        fastest = max(fastest, np.abs(tick.velocity.last).max())
    assert tick.phase == "policy"
    assert fastest < 0.11


def test_a_layout_without_the_velocity_has_it_recorded_and_never_ends_by_it():
    robot, ring = NumberRobot(change=standing(lambda i: 0)), RecordRing()
    tick = tick_on(robot, "unitree_rl_lab", ring=ring)
    run(tick)
    assert tick.ended == "the time was over"
    seen = [VelocityEstimate.from_cdr(data) for kind, _, data in ring.drain() if kind == 3]
    assert [e.tick for e in seen] == [s.tick for s in robot.states]


def test_time_is_that_of_the_robots_tick():
    robot = NumberRobot(change=standing(lambda i: 0, accelerometer=(1.0, 0.0, 9.81)))
    inner = robot.take
    robot.link = PythonLink(lambda timeout_s: (inner(timeout_s), inner(timeout_s))[1], robot.commands.append)
    tick = tick_on(robot, patience_s=10.0, ramp_s=1.0)
    for _ in range(51):
        tick.step(0.0)
    np.testing.assert_allclose(tick.velocity.last, [0.002 + 50 * 0.004, 0.0, 0.0], atol=1e-6)
    assert tick.velocity.blind_s == pytest.approx(0.1 + 0.202)


def test_numbers_that_no_robot_measures_count_as_no_trust():
    def change(i, state):
        standing()(i, state)
        if i >= 100:
            state.imu_state.accelerometer = (float("nan"), 0.0, 0.0)

    tick = tick_on(NumberRobot(change=change))
    run(tick)
    assert tick.ended == LOST
    assert np.isfinite(tick.velocity.last).all()


def test_in_real_time_each_state_is_estimated_and_timed():
    from rfx.control import ControlLoop

    tick = tick_on(NumberRobot(change=standing()), lockstep=False)
    ControlLoop(500.0, tick.tick, name="policy").run()
    assert tick.ended == "the time was over"
    assert tick.histograms["estimate"].count == tick.counts["states"] > 100


def test_a_frame_reads_the_accelerometer_and_the_feet():
    state = LowState(tick=3)
    state.imu_state.accelerometer = (0.5, -1.0, 9.75)
    state.foot_force = (-5, 20, 300, 32767)
    numbers = LowFrame().read(state.to_cdr())
    assert list(numbers["accelerometer"]) == [0.5, -1.0, 9.75]
    assert list(numbers["foot_force"]) == [-5, 20, 300, 32767]


# -- how it is asked for


def test_the_refusal_says_how_to_turn_it_on(tmp_path):
    path, config = save_holder(tmp_path / "lin", "legged_gym"), Go2Config.loopback(1)
    with pytest.raises(ConfigError, match=r"base_lin_vel='estimate' .rfx robot run --estimate-velocity"):
        run_policy(path, config=config)
    with pytest.raises(ConfigError, match="'estimate', an estimator or a callable, got 'guess'"):
        run_policy(path, config=config, base_lin_vel="guess")
    with pytest.raises(DTypeError, match="got float"):
        run_policy(path, config=config, base_lin_vel=0.5)


def test_a_robot_without_foot_forces_lies_down_again(domain_id, tmp_path):
    path = save_holder(tmp_path / "lin", "playground")
    with noisy(domain_id, "joint"):
        short = {"ramp_s": 0.2, "settle_s": 0.04, "lie_s": 0.1, "damp_s": 0.02, "seconds": 0.2}
        config = Go2Config.loopback(domain_id, lockstep=True)
        run = run_policy(path, config=config, log=tmp_path / "a", base_lin_vel=VelocityEstimator(light=20.0), **short)
    assert (run.ok, run.ended, run.policy_steps) == (False, LOST, 0)
    assert "foot forces were 0, 0, 0, 0" in run.detail
    assert "foot forces" in run.summary()
    assert not messages(tmp_path / "a", topics.LOW_CMD, LowCmd)[-1].kp.any()


def test_the_command_line_estimates_it(domain_id, walker, tmp_path, capsys):
    line = ["robot", "run", str(walker), "--seconds", "0.1", "--finish", "damp", "--domain", str(domain_id)]
    line += ["--interface", LOOPBACK, "--lockstep", "--json"]
    with noisy(domain_id):
        assert main([*line, "--estimate-velocity", "--foot-force", "10", "40"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["stages"]["estimate"]["count"] == told["ticks"]
    assert main(line) != 0
    assert "--estimate-velocity" in capsys.readouterr().err
    assert main([*line, "--foot-force", "10", "40"]) != 0
    assert "--foot-force with" in capsys.readouterr().err


def test_a_watch_checks_its_parts_and_belongs_to_a_run():
    watch, policy = VelocityWatch(VelocityEstimator()), random_policy("legged_gym")
    for wrong, error in ((None, DTypeError), ("estimate", DTypeError)):
        with pytest.raises(error, match="VelocityEstimator"):
            VelocityWatch(wrong)
    with pytest.raises(InvalidValueError, match="patience_s"):
        VelocityWatch(VelocityEstimator(), patience_s=0.0)
    with pytest.raises(InvalidStateError, match="once"):
        watch.__init__(VelocityEstimator())
    with pytest.raises(DTypeError, match="pickled"):
        pickle.dumps(watch)
    assert "blind_s" in repr(watch)
    parts = (PolicySide(policy), NumberRobot().link, SafetyEnvelope(), CommandSource(policy.contract))
    with pytest.raises(DTypeError, match="velocity"):
        PolicyTick(*parts, velocity=VelocityEstimator())
    with pytest.raises(InvalidStateError, match="set up"):
        PolicyTick(*parts, velocity=VelocityWatch.__new__(VelocityWatch))
