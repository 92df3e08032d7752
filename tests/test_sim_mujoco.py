"""The physics of the Go2 in MuJoCo: it stands up, takes a push, falls, lies down, and its sensors tell the truth."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rfx.errors import InvalidStateError
from rfx.sim import JointCommand, make_plant
from rfx.sim.core import cast_rays
from rfx.sim.go2_model import JOINTS, LINKS, LOWER, SHAPES, TORQUE_LIMIT, UPPER, inertial
from rfx.sim.joint_plant import INERTIA
from rfx.sim.kinematics import foot_positions, link_poses, standing_height
from rfx.sim.render import world_shapes

mujoco = pytest.importorskip("mujoco", reason="mujoco-core is not installed")

STAND = np.array([-0.1, 0.8, -1.6, 0.1, 0.8, -1.6] * 2)
KP, KD = 60.0, 5.0
WEIGHT = 15.206408 * 9.81


def glide(plant, start, end, seconds, kp=KP, kd=KD):
    """Move the targets from one pose to another with no jerk at the ends."""
    command = JointCommand(q=start, kp=kp, kd=kd)
    steps = round(seconds / plant.timestep)
    for i in range(1, steps + 1):
        s = i / steps
        command.q[:] = start + (end - start) * s**3 * (10 - 15 * s + 6 * s * s)
        state = plant.step(command)
    return state


def hold(plant, seconds, pose=STAND):
    return plant.step(JointCommand(q=pose, kp=KP, kd=KD), round(seconds / plant.timestep))


def knock(plant, force, duration=0.2):
    """Push the standing robot; the largest tilt in degrees over two seconds, and the state after them."""
    plant.push(force, duration)
    tilts = []
    for _ in range(100):
        state = hold(plant, 0.02)
        tilts.append(np.degrees(state.tilt))
    return max(tilts), state


@pytest.fixture(scope="module")
def stood_up():
    """The state after two seconds of standing up and one of standing, from lying."""
    with make_plant("mujoco") as plant:
        glide(plant, plant.state.q, STAND, 2.0)
        hold(plant, 1.0)
        return plant.state_dict()


@pytest.fixture
def plant():
    with make_plant("mujoco") as made:
        yield made


@pytest.fixture
def standing(plant, stood_up):
    plant.load_state_dict(stood_up)
    return plant


def test_auto_is_mujoco_where_it_is_installed():
    plant = make_plant()
    assert plant.name == "mujoco"
    assert plant.can_fall


def test_the_robot_weighs_what_a_go2_weighs(plant):
    assert plant.total_mass == pytest.approx(15.206, abs=0.001)
    assert sum(inertial(link).mass for link in LINKS) == pytest.approx(plant.total_mass)


def test_joints_and_motors_carry_the_names_and_limits_of_the_robot(plant):
    for name, low, high, most in zip(JOINTS, LOWER, UPPER, TORQUE_LIMIT, strict=True):
        assert plant.model.joint(name).range == pytest.approx([low, high])
        assert plant.model.actuator(name).forcerange == pytest.approx([-most, most])


def test_left_and_right_mirror_each_other(plant):
    for right, left in (("FR", "FL"), ("RR", "RL")):
        for part in ("hip", "thigh", "calf"):
            a, b = plant.model.body(f"{right}_{part}"), plant.model.body(f"{left}_{part}")
            assert a.ipos * (1, -1, 1) == pytest.approx(b.ipos)
            assert a.inertia == pytest.approx(b.inertia)


def test_it_lies_at_rest_braked_and_limp(plant):
    start = plant.state
    assert 0.05 < start.position[2] < 0.08
    assert np.degrees(start.tilt) < 3.0
    for command in (JointCommand.damping(3.0), JointCommand()):
        state = plant.step(command, 500)
        assert np.abs(state.position - start.position).max() < 0.004
        assert np.abs(state.q - start.q).max() < 0.06
        assert np.abs(state.dq).max() < 0.1


def test_it_stands_up_in_two_seconds(standing):
    state = standing.state
    assert state.time == pytest.approx(3.0)
    assert 0.27 < state.position[2] < 0.32
    assert np.degrees(state.tilt) < 3.0
    assert np.abs(state.q - STAND).max() < 0.15
    assert np.abs(state.velocity).max() < 0.01


def test_standing_up_leaves_the_motors_most_of_their_torque(plant):
    command = JointCommand(q=plant.state.q, kp=KP, kd=KD)
    start, worst = plant.state.q, 0.0
    for i in range(1, 201):
        s = i / 200
        command.q[:] = start + (STAND - start) * s**3 * (10 - 15 * s + 6 * s * s)
        worst = max(worst, float(np.max(np.abs(plant.step(command, 5).tau_est) / TORQUE_LIMIT)))
    assert worst < 0.5


def test_standing_feet_carry_the_weight(standing):
    force = standing.state.foot_force
    assert force.sum() == pytest.approx(WEIGHT, rel=0.005)
    assert (force > 0.15 * WEIGHT).all()
    assert force[[0, 2]] == pytest.approx(force[[1, 3]], rel=0.01)


def test_each_foot_force_belongs_to_its_foot(standing):
    # Shorten one leg: its foot and the opposite one lose load, the other two take it.
    for foot in range(4):
        pose = STAND.copy()
        pose[3 * foot + 1] += 0.15
        pose[3 * foot + 2] -= 0.30
        saved = standing.state_dict()
        lifted = glide(standing, STAND, pose, 0.4).foot_force
        assert np.argmin(lifted) in (foot, 3 - foot)
        other = [i for i in range(4) if i not in (foot, 3 - foot)]
        assert lifted[foot] < lifted[other].min()
        standing.load_state_dict(saved)


def test_the_accelerometer_at_rest_reads_gravity_upwards(standing):
    state = standing.state
    assert np.linalg.norm(state.accelerometer) == pytest.approx(9.81, abs=0.01)
    assert Rotation.from_quat(state.quaternion, scalar_first=True).apply(state.accelerometer) == pytest.approx(
        [0, 0, 9.81], abs=0.02
    )


def test_the_accelerometer_in_free_fall_reads_nothing(plant):
    plant.reset("stand")
    state = plant.step(JointCommand(), 10)
    assert state.velocity[2] == pytest.approx(-9.81 * 0.02, rel=0.01)
    assert np.abs(state.accelerometer).max() < 0.05
    assert (state.foot_force == 0).all()


def test_the_gyroscope_is_the_turning_of_the_quaternion(standing):
    standing.push([30.0, 90.0, 0.0], 0.2)
    hold(standing, 0.15)
    before = standing.state
    after = hold(standing, standing.timestep)
    turn = Rotation.from_quat(before.quaternion, scalar_first=True).inv() * Rotation.from_quat(
        after.quaternion, scalar_first=True
    )
    assert np.linalg.norm(after.gyroscope) > 0.2
    assert turn.as_rotvec() / standing.timestep == pytest.approx(after.gyroscope, abs=0.02)


def test_falling_to_the_left_is_a_negative_roll_rate(standing):
    standing.push([0.0, 250.0, 0.0], 0.2)
    assert hold(standing, 0.3).gyroscope[0] < -1.0


def test_velocities_are_the_change_of_the_positions(standing):
    standing.push([60.0, 60.0, 0.0], 0.2)
    hold(standing, 0.1)
    before = standing.state
    after = hold(standing, standing.timestep)
    assert (after.position - before.position) / standing.timestep == pytest.approx(after.velocity, abs=1e-9)
    assert (after.q - before.q) / standing.timestep == pytest.approx(after.dq, abs=1e-9)
    body = Rotation.from_quat(after.quaternion, scalar_first=True).inv().apply(after.velocity)
    assert body == pytest.approx(after.velocity_body, abs=1e-12)


def test_joint_accelerations_are_the_change_of_the_velocities_when_the_motors_do_not_brake(plant):
    plant.reset("stand")
    before = plant.step(JointCommand(tau=0.5), 3)
    after = plant.step(JointCommand(tau=0.5))
    # joint damping is taken implicitly, which changes an acceleration by h d / I, about 2 per cent at most
    assert (after.dq - before.dq) / plant.timestep == pytest.approx(after.ddq, rel=0.05, abs=0.1)


def test_the_torque_is_the_law_at_the_state_before_the_step(standing):
    standing.push([0.0, 80.0, 0.0], 0.1)
    hold(standing, 0.05)
    before = standing.state
    command = JointCommand(q=STAND + 0.1, dq=0.5, tau=1.0, kp=80, kd=2)
    torque = standing.step(command).tau_est
    law = 1.0 + 80 * (STAND + 0.1 - before.q) + 2 * (0.5 - before.dq)
    assert torque == pytest.approx(np.clip(law, -TORQUE_LIMIT, TORQUE_LIMIT), abs=1e-9)


@pytest.mark.parametrize("force", [(0, 80, 0), (0, -80, 0), (80, 0, 0), (-80, 0, 0), (55, 55, 0)], ids=str)
def test_it_holds_its_stance_against_a_push_of_80_newtons_for_a_fifth_of_a_second(standing, force):
    start = standing.state.position
    worst, state = knock(standing, force)
    assert worst < 25.0
    assert np.degrees(state.tilt) < 15.0
    assert state.position[2] > 0.26
    assert np.linalg.norm((state.position - start)[:2]) > 0.005


def test_a_push_from_the_other_side_is_the_mirror_image(standing):
    saved = standing.state_dict()
    standing.push([0.0, 60.0, 0.0], 0.2)
    left = hold(standing, 0.3)
    standing.load_state_dict(saved)
    standing.push([0.0, -60.0, 0.0], 0.2)
    right = hold(standing, 0.3)
    assert left.position == pytest.approx(right.position * (1, -1, 1), abs=1e-6)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_push_of_200_newtons_fells_it_and_the_tilt_tells(standing, side):
    worst, state = knock(standing, (0.0, 200.0 * side, 0.0))
    assert worst > 60.0
    assert np.degrees(state.tilt) > 45.0


def test_a_push_gives_the_momentum_it_should_and_then_ends(plant):
    plant.reset("stand")
    plant.push([100.0, -50.0, 0.0], 0.02)
    plant.step(JointCommand(), 4)
    plant.step(JointCommand(), 16)
    mujoco.mj_subtreeVel(plant._model, plant._data)
    momentum = plant._data.subtree_linvel[plant._trunk] * plant.total_mass
    assert momentum[:2] == pytest.approx([2.0, -1.0], rel=0.01)


def test_a_new_push_replaces_the_one_under_way_and_reset_ends_it(plant):
    plant.push([0.0, 500.0, 0.0], 10.0)
    plant.push([0.0, 0.0, 1.0], 0.002)
    plant.step(JointCommand.damping(), 100)
    assert abs(plant.state.position[1]) < 0.001
    plant.push([0.0, 500.0, 0.0], 10.0)
    plant.reset()
    plant.step(JointCommand.damping(), 100)
    assert abs(plant.state.position[1]) < 0.001


def test_it_lies_down_again(standing):
    lie = make_plant("mujoco").state.q
    glide(standing, STAND, lie, 2.0)
    state = standing.step(JointCommand.damping(3.0), 500)
    assert state.position[2] < 0.09
    assert np.degrees(state.tilt) < 5.0
    assert np.abs(state.dq).max() < 0.2


def test_a_limp_robot_only_loses_energy(standing):
    def energy():
        mujoco.mj_energyPos(standing._model, standing._data)
        mujoco.mj_energyVel(standing._model, standing._data)
        return float(standing._data.energy.sum())

    seen = []
    for _ in range(60):
        standing.step(JointCommand(), 10)
        mujoco.mj_forward(standing._model, standing._data)
        seen.append(energy())
    assert max(np.diff(seen)) < 1.0  # contacts are springs: a little comes back
    assert seen[-1] < seen[0] - 20.0


def test_a_state_that_blows_up_is_reported_and_reset_heals_it(plant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warning to a file where it stands
    saved = plant.state_dict()
    saved["physics"][1 + 19 + 3] = 1e200
    plant.load_state_dict(saved)
    with pytest.raises(InvalidStateError, match="reset"):
        plant.step(JointCommand(), 20)
    assert 0.05 < plant.reset().position[2] < 0.08
    assert np.isfinite(plant.step(JointCommand.damping(), 10).q).all()


def test_our_kinematics_are_those_of_the_model(plant):
    rng = np.random.default_rng(0)
    data = mujoco.MjData(plant.model)
    for _ in range(20):
        q = rng.uniform(LOWER, UPPER)
        data.qpos[:7] = 0, 0, 0.4, 1, 0, 0, 0
        for name, value in zip(JOINTS, q, strict=True):
            data.joint(name).qpos[0] = value
        mujoco.mj_kinematics(plant.model, data)
        positions, rotations = link_poses(q, 0.4)
        for i, link in enumerate(LINKS):
            assert data.body(link).xpos == pytest.approx(positions[i], abs=1e-12)
            assert data.body(link).xmat == pytest.approx(rotations[i].ravel(), abs=1e-12)
        for i, leg in enumerate(("FR", "FL", "RR", "RL")):
            assert data.geom(f"{leg}_foot").xpos - (0, 0, 0.4) == pytest.approx(foot_positions(q)[i], abs=1e-12)


def test_the_stand_in_has_about_the_inertia_that_the_model_has(standing):
    full = np.zeros((18, 18))
    mujoco.mj_fullM(standing.model, standing._data, full)
    assert np.diag(full)[6:] == pytest.approx(np.tile(INERTIA, 4), rel=0.25)


def test_the_height_of_stiff_legs_is_the_height_it_stands_at(standing):
    state = standing.state
    assert standing_height(state.q) == pytest.approx(state.position[2], abs=0.01)


def test_our_rays_meet_what_those_of_mujoco_meet(standing):
    model, data = standing._model, standing._data
    mujoco.mj_kinematics(model, data)
    places = data.xpos[standing._bodies], data.xmat[standing._bodies].reshape(-1, 3, 3)
    rng = np.random.default_rng(1)
    eye = np.array([1.0, -0.9, 0.6])
    rays = rng.uniform([-0.4, -0.25, 0.0], [0.4, 0.25, 0.4], (2000, 3)) - eye
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    distance, index, normal = cast_rays(world_shapes(*places), eye, rays)
    theirs, slope = np.empty(2000), np.empty((2000, 3))
    groups = np.array([1, 1, 0, 0, 0, 0], np.uint8)
    for i in range(2000):  # one by one: mj_multiRay leaves out a few grazing hits that mj_ray finds
        theirs[i] = mujoco.mj_ray(model, data, eye, rays[i], groups, 0, -1, None, slope[i])
    robot = theirs >= 0
    assert robot.sum() > 400
    assert (robot == (index >= 0)).all()
    assert np.abs(distance[robot] - theirs[robot]).max() < 1e-7
    assert np.abs(normal[robot] - slope[robot]).max() < 1e-5
    assert len({SHAPES[i].link for i in index[robot]}) > 8
