"""Commands and states, what both plants promise, and how a plant is chosen."""

import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, MissingDependencyError, ShapeError
from rfx.robots.go2 import GO2
from rfx.sim import Camera, JointCommand, JointSpacePlant, Plant, make_plant
from rfx.sim.go2_model import JOINTS, LOWER, TORQUE_LIMIT, UPPER

PLANTS = ["joint", "mujoco"]


@pytest.fixture(params=PLANTS)
def plant(request):
    if request.param == "mujoco":
        pytest.importorskip("mujoco", reason="mujoco-core is not installed")
    with make_plant(request.param) as made:
        yield made


def hold(plant, kp=60.0, kd=5.0):
    return JointCommand(q=plant.state.q, kp=kp, kd=kd)


def test_a_command_takes_numbers_for_all_or_twelve():
    command = JointCommand(q=np.arange(12.0), kp=40, kd=2)
    assert command.q[3] == 3.0
    assert command.kp.tolist() == [40.0] * 12
    assert command == pickle.loads(pickle.dumps(command))
    assert command != JointCommand(q=np.arange(12.0), kp=41, kd=2)
    assert repr(command) == "JointCommand(enabled=12, kp=40, kd=2)"


def test_a_fresh_command_does_nothing_and_damping_only_brakes():
    law = np.empty((12, 3))
    JointCommand().write_law(law)
    assert (law == 0).all()
    JointCommand.damping(3.0).write_law(law)
    assert (law == [0, 0, 3]).all()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"q": np.nan}, InvalidValueError),
        ({"kp": -1.0}, InvalidValueError),
        ({"tau": np.zeros(11)}, ShapeError),
        ({"q": "up"}, DTypeError),
        ({"enabled": [True] * 13}, ShapeError),
    ],
)
def test_bad_commands_are_refused(arguments, error):
    with pytest.raises(error):
        JointCommand(**arguments)


def test_it_is_a_plant(plant):
    assert isinstance(plant, Plant)
    assert plant.timestep == 0.002
    assert plant.name in repr(type(plant)).lower()
    assert len(plant.description) > 30


def test_time_counts_steps_and_starts_again_with_reset(plant):
    plant.step(hold(plant), 3)
    assert (plant.state.steps, plant.state.time) == (3, 0.006)
    assert plant.reset().steps == 0


def test_a_state_is_a_copy(plant):
    before = plant.state
    before.q[:] = 99.0
    assert plant.state.q.max() < 10.0
    kept = plant.state
    plant.step(JointCommand(tau=3.0), 50)
    assert not np.array_equal(kept.q, plant.state.q)


@pytest.mark.parametrize("motor", range(12))
def test_each_motor_moves_the_joint_of_its_name(plant, motor):
    plant.reset("stand")
    rest = plant.state.q
    target = rest.copy()
    target[motor] += 0.1
    moved = plant.step(JointCommand(q=target, kp=60, kd=2), 15).q - plant.reset("stand").q
    assert np.argmax(np.abs(moved)) == motor
    assert moved[motor] > 0.01, JOINTS[motor]


def test_torques_are_clipped(plant):
    plant.reset("stand")
    torque = plant.step(JointCommand(tau=[1000.0, -1000.0] * 6)).tau_est
    assert torque == pytest.approx(np.array([1, -1] * 6) * TORQUE_LIMIT)


def test_a_disabled_motor_gives_no_torque(plant):
    command = hold(plant)
    command.tau[:] = 5.0
    command.enabled[4] = False
    torque = plant.step(command).tau_est
    assert torque[4] == 0.0
    assert (np.delete(torque, 4) > 1.0).all()


@pytest.mark.parametrize("gains", [(500.0, 0.0), (0.0, 20.0), (500.0, 20.0), (5000.0, 500.0)])
def test_high_gains_stay_finite_and_within_travel(plant, gains):
    plant.reset("stand")
    target = plant.state.q + 0.2 * np.array([1, -1] * 6)
    state = plant.step(JointCommand(q=target, kp=gains[0], kd=gains[1]), 500)
    assert np.isfinite(state.dq).all()
    assert (np.abs(state.dq) < 60.0).all()
    assert (state.q > LOWER - 0.15).all()
    assert (state.q < UPPER + 0.15).all()


def test_the_law_is_evaluated_at_every_step_not_once_a_command(plant):
    command = hold(plant)
    command.q += 0.05
    at_once = plant.step(command, 40)
    plant.reset()
    for _ in range(40):
        singly = plant.step(command)
    assert at_once == singly


def test_same_inputs_give_the_same_bytes(plant):
    def run(robot):
        robot.reset()
        rng = np.random.default_rng(3)
        for _ in range(40):
            state = robot.step(JointCommand(q=rng.uniform(LOWER, UPPER), kp=40, kd=1), 5)
        return state

    first = run(plant)
    assert first == run(plant)
    with type(plant)() as other:
        assert first == run(other)


def test_a_saved_state_goes_on_to_the_byte(plant):
    command = hold(plant)
    command.q += 0.1
    plant.step(command, 30)
    saved, copy = plant.state_dict(), pickle.loads(pickle.dumps(plant))
    expected = plant.step(command, 30)
    assert copy.step(command, 30) == expected
    plant.load_state_dict(saved)
    assert plant.step(command, 30) == expected


def test_a_bad_saved_state_changes_nothing(plant):
    plant.step(hold(plant), 5)
    before, good = plant.state, plant.state_dict()
    for name in good:
        with pytest.raises(InvalidValueError, match=name):
            plant.load_state_dict({k: v for k, v in good.items() if k != name})
    key = "physics" if "physics" in good else "joints"
    with pytest.raises(InvalidValueError):
        plant.load_state_dict({**good, key: good[key] * np.nan})
    with pytest.raises(ShapeError):
        plant.load_state_dict({**good, key: good[key][:3]})
    assert plant.state.q.tolist() == before.q.tolist()
    assert plant.state.steps == 5


def test_bad_steps_and_poses_are_refused_and_change_nothing(plant):
    command = hold(plant)
    before = plant.state
    for n in (0, -1, 10**9):
        with pytest.raises(InvalidValueError):
            plant.step(command, n)
    with pytest.raises(DTypeError):
        plant.step(command, 1.5)
    with pytest.raises(ConfigError, match="lie"):
        plant.reset("fly")
    command.q[2] = np.nan
    with pytest.raises(InvalidValueError, match=r"q\[2\]"):
        plant.step(command)
    assert plant.state == before


def test_bad_pushes_are_refused(plant):
    with pytest.raises(ShapeError):
        plant.push([1.0, 2.0], 0.1)
    with pytest.raises(InvalidValueError):
        plant.push([0.0, np.nan, 0.0], 0.1)
    with pytest.raises(InvalidValueError):
        plant.push([0.0, 1.0, 0.0], 0.0)


def test_a_closed_plant_says_so(plant):
    command = hold(plant)
    plant.close()
    plant.close()
    for call in (plant.reset, lambda: plant.step(command), lambda: plant.state, plant.render, plant.state_dict):
        with pytest.raises(InvalidStateError, match="closed"):
            call()
    assert "closed" in repr(plant)


def test_threads_that_share_a_plant_take_turns(plant):
    command = hold(plant)
    threads = [threading.Thread(target=lambda: [plant.step(command, 2) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plant.state.steps == 400


def test_a_picture_shows_something_dark_and_something_white_over_the_floor(plant):
    plant.reset("stand")
    picture = plant.render(120, 90)
    assert picture.shape == (90, 120, 3)
    assert picture.dtype == np.uint8
    middle = picture[30:65, 35:85].astype(int).sum(axis=2)
    assert middle.min() < 150
    assert middle.max() > 630
    assert (picture == plant.render(120, 90)).all()
    assert not (picture == plant.render(120, 90, camera="front")).all()
    assert plant.render(1, 1, Camera(azimuth=10.0)).shape == (1, 1, 3)


def test_bad_pictures_are_refused(plant):
    with pytest.raises(InvalidValueError):
        plant.render(0, 10)
    with pytest.raises(ConfigError, match="corner"):
        plant.render(10, 10, "behind")
    with pytest.raises(DTypeError):
        plant.render(10, 10, 3)
    with pytest.raises(InvalidValueError):
        Camera(elevation=0.0)


def test_the_stand_in_says_what_it_is():
    plant = make_plant("joint")
    assert isinstance(plant, JointSpacePlant)
    assert not plant.can_fall
    for word in ("fixed base", "cannot fall", "walk", "rfx[sim]"):
        assert word in plant.description
    with pytest.raises(InvalidStateError, match="cannot be pushed"):
        plant.push([0.0, 60.0, 0.0], 0.2)


def test_the_stand_in_reaches_its_target():
    plant = make_plant("joint")
    target = GO2.pose("stand")
    state = plant.step(JointCommand(q=target, kp=60, kd=3), 1000)
    # Coulomb friction holds a joint up to 0.2 Nm / kp away from its target.
    assert state.q == pytest.approx(target, abs=0.2 / 60 + 1e-6)
    assert np.abs(state.dq).max() < 1e-6


def test_an_unknown_plant_is_an_error():
    with pytest.raises(ConfigError, match="auto"):
        make_plant("isaac")


def test_without_mujoco_auto_falls_back_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    plant = make_plant("auto")
    assert plant.name == "joint"
    assert "chosen because" in plant.description
    with pytest.raises(MissingDependencyError, match=r"rfx\[sim\]"):
        make_plant("mujoco")


def test_importing_the_room_loads_no_mujoco():
    code = "import sys, rfx.sim; rfx.sim.make_plant('joint'); assert 'mujoco' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
