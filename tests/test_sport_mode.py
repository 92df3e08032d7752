"""rfx.go2.sport_mode: which request does what in which mode, on the robot in MuJoCo; no DDS."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rfx.go2.sport_mode import MOVE_LASTS_S, SportMode
from rfx.go2.topics import Key, RpcCode, SportApi, SportModeId
from rfx.sim import JointCommand, make_plant

pytest.importorskip("mujoco", reason="mujoco-core is not installed")

XYZ = '{"x": 0.1, "y": 0.0, "z": 0.0}'


class Bench:
    """The sport mode driving a plant."""

    def __init__(self, pose="lie"):
        self.plant, self.lines = make_plant("mujoco"), []
        self.state = self.plant.reset(pose)
        self.sport, self.command = SportMode(self.lines.append), JointCommand()
        self.sport.begin(self.state)

    def go(self, seconds, until=None):
        for _ in range(round(seconds / 0.002)):
            self.sport.update(self.state, self.command)
            self.state = self.plant.step(self.command)
            if until is not None and self.sport.mode == until:
                break
        return self

    def ask(self, api, **parameter):
        return self.sport.handle(api, json.dumps(parameter))

    def done(self, api, **parameter):
        code, data = self.ask(api, **parameter)
        assert code == 0, data

    def lay(self, roll, pitch=0.0):
        """Drop the robot from a little height in this attitude, motors braking."""
        x, y, z, w = Rotation.from_euler("xyz", [roll, pitch, 0.0]).as_quat()
        data = self.plant._data
        data.qpos[2], data.qpos[3:7], data.qvel[:] = 0.25, (w, x, y, z), 0.0
        self.plant._mujoco.mj_forward(self.plant._model, data)
        self.state = self.plant.step(JointCommand.damping(2.0), 500)
        return self.go(0.002)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.plant.close()


@pytest.fixture
def standing():
    made = Bench("stand").go(0.9)
    made.done(SportApi.BALANCE_STAND)
    yield made.go(0.1)
    made.plant.close()


@pytest.fixture(scope="module")
def lying_still():
    """For requests that change nothing."""
    return Bench()


@pytest.fixture(scope="module")
def standing_still():
    """For requests that change nothing."""
    made = Bench("stand").go(0.9)
    made.done(SportApi.BALANCE_STAND)
    return made.go(0.1)


# -- standing, lying, sitting


def test_it_stands_up_locks_its_joints_balances_and_lies_down(bench):
    assert bench.sport.mode == SportModeId.IDLE
    bench.done(SportApi.STAND_UP)
    bench.go(1.0)
    assert bench.sport.mode == SportModeId.JOINT_LOCK
    assert 0.4 < bench.sport.progress < 0.6
    bench.go(1.4)
    assert bench.state.position[2] == pytest.approx(0.283, abs=0.01)
    assert bench.sport.progress == 0
    bench.done(SportApi.BALANCE_STAND)
    bench.go(0.5)
    assert bench.sport.mode == SportModeId.BALANCE_STAND
    bench.done(SportApi.STAND_DOWN)
    bench.go(2.6)
    assert bench.sport.mode == SportModeId.LIE_DOWN
    assert bench.state.position[2] < 0.08
    assert bench.state.tilt < 0.1


def test_it_sits_and_rises(standing):
    standing.done(SportApi.SIT)
    standing.go(2.0)
    assert standing.sport.mode == SportModeId.SIT
    assert standing.state.tilt > 0.4
    standing.done(SportApi.RISE_SIT)
    standing.go(2.2)
    assert standing.sport.mode == SportModeId.BALANCE_STAND
    assert standing.state.tilt < 0.05


@pytest.mark.parametrize(("trick", "seconds"), [(SportApi.HELLO, 6.4), (SportApi.STRETCH, 3.6)], ids=str)
def test_tricks_end_in_balance(standing, trick, seconds):
    standing.done(trick)
    standing.go(seconds / 2)
    assert standing.sport.mode == SportModeId.POSE
    standing.go(seconds / 2 + 0.3)
    assert standing.sport.mode == SportModeId.BALANCE_STAND
    assert standing.state.tilt < 0.08


def test_a_mode_that_begins_with_a_robot_on_its_feet_keeps_it_there():
    bench = Bench("stand").go(1.0)
    assert bench.sport.mode == SportModeId.JOINT_LOCK
    assert bench.state.position[2] > 0.25


@pytest.mark.parametrize("attitude", [(3.1, 0.0), (1.6, 0.3), (-1.6, 0.0), (2.5, -0.4), (0.0, 0.0)], ids=str)
def test_recovery_stand_rises_from_any_side(bench, attitude):
    bench.lay(*attitude)
    bench.done(SportApi.RECOVERY_STAND)
    bench.go(8.0, until=SportModeId.BALANCE_STAND).go(0.5)
    assert bench.sport.mode == SportModeId.BALANCE_STAND
    assert bench.sport.error_code == 0
    assert bench.state.position[2] > 0.25
    assert bench.state.tilt < 0.05


# -- walking


def test_move_walks_and_stands_again_when_nobody_asks_any_more(standing):
    start = standing.state.position.copy()
    for _ in range(10):
        standing.done(SportApi.MOVE, x=0.4, y=0.0, z=0.0)
        standing.go(0.2)
    assert standing.sport.mode == SportModeId.LOCOMOTION
    assert standing.sport.gait_type == 1
    assert np.linalg.norm((standing.state.position - start)[:2]) > 0.5
    standing.go(MOVE_LASTS_S + 1.5)
    assert standing.sport.mode == SportModeId.BALANCE_STAND
    assert np.linalg.norm(standing.state.velocity) < 0.02


def test_stop_move_ends_walking(standing):
    standing.done(SportApi.MOVE, x=0.3, y=0.1, z=0.2)
    standing.go(0.8)
    standing.done(SportApi.STOP_MOVE)
    standing.go(1.5)
    assert standing.sport.mode == SportModeId.BALANCE_STAND


def test_speed_level_bounds_the_velocity(standing):
    standing.done(SportApi.SPEED_LEVEL, data=-1)
    standing.done(SportApi.MOVE, x=5.0, y=-5.0, z=9.0)
    standing.go(0.9)
    assert standing.sport._gait.velocity == pytest.approx((0.4, -0.2, 1.2))


def test_posture_requests_are_seen_in_the_robot(standing):
    standing.done(SportApi.BODY_HEIGHT, data=-0.04)
    standing.done(SportApi.EULER, x=0.15, y=0.1, z=0.0)
    standing.go(1.0)
    assert standing.state.position[2] == pytest.approx(0.24, abs=0.01)
    assert np.degrees(standing.state.tilt) == pytest.approx(np.degrees(np.hypot(0.15, 0.1)), abs=1.0)
    standing.done(SportApi.FOOT_RAISE_HEIGHT, data=0.02)
    assert standing.sport.foot_raise_height == pytest.approx(0.09)
    for api, value in [
        (SportApi.GET_BODY_HEIGHT, -0.04),
        (SportApi.GET_FOOT_RAISE_HEIGHT, 0.02),
        (SportApi.GET_SPEED_LEVEL, 1),
    ]:
        code, data = standing.ask(api)
        assert (code, json.loads(data)) == (0, {"data": value})


def test_continuous_gait_steps_on_the_spot(standing):
    standing.done(SportApi.CONTINUOUS_GAIT, data=1)
    standing.done(SportApi.TROT_RUN)
    standing.go(0.5)
    assert standing.sport.mode == SportModeId.LOCOMOTION
    assert standing.sport.gait_type == 2


# -- what does not fit


@pytest.mark.parametrize(
    "api",
    [
        SportApi.BALANCE_STAND,
        SportApi.MOVE,
        SportApi.EULER,
        SportApi.SIT,
        SportApi.RISE_SIT,
        SportApi.HELLO,
        SportApi.STRETCH,
        SportApi.BODY_HEIGHT,
        SportApi.SWITCH_GAIT,
    ],
    ids=str,
)
def test_a_robot_that_lies_refuses_what_needs_its_feet(lying_still, api):
    bench = lying_still
    code, reason = bench.sport.handle(api, '{"x": 0, "y": 0, "z": 0, "data": 0}')
    assert code == RpcCode.SERVER
    assert "IDLE" in reason
    assert bench.sport.mode == SportModeId.IDLE


def test_move_needs_balance_stand_after_standing_up(bench):
    bench.done(SportApi.STAND_UP)
    bench.go(2.2)
    assert bench.sport.handle(SportApi.MOVE, XYZ)[0] == RpcCode.SERVER
    bench.done(SportApi.BALANCE_STAND)
    assert bench.sport.handle(SportApi.MOVE, XYZ)[0] == 0


def test_a_motion_under_way_lets_only_damp_and_stop_through(standing):
    standing.done(SportApi.SIT)
    standing.go(0.3)
    code, reason = standing.ask(SportApi.STAND_UP)
    assert code == RpcCode.SERVER
    assert "under way" in reason
    standing.done(SportApi.STOP_MOVE)
    standing.done(SportApi.DAMP)
    assert standing.sport.mode == SportModeId.DAMPING


def test_standing_up_on_its_back_is_refused_with_advice(bench):
    bench.lay(3.1)
    code, reason = bench.ask(SportApi.STAND_UP)
    assert code == RpcCode.SERVER
    assert "RECOVERY_STAND" in reason


@pytest.mark.parametrize(
    "parameter",
    ["", "{", "[]", "null", "3", '{"x": 1}', '{"x": NaN, "y": 0, "z": 0}', '{"x": "1", "y": 0, "z": 0}',
     '{"x": 1e400, "y": 0, "z": 0}', "[" * 100_000, '{"x": [], "y": 0, "z": 0}', '{"x": 1' + "0" * 400 + ', "y": 0, "z": 0}'],
    ids=lambda p: p[:16] or "empty",
)  # fmt: skip
def test_a_parameter_that_is_not_understood_is_refused(standing_still, parameter):
    assert standing_still.sport.handle(SportApi.MOVE, parameter)[0] == RpcCode.PARAMETER
    standing_still.go(0.02)
    assert standing_still.sport.mode == SportModeId.BALANCE_STAND


@pytest.mark.parametrize(
    ("api", "value"),
    [(SportApi.BODY_HEIGHT, -0.2), (SportApi.FOOT_RAISE_HEIGHT, 0.3), (SportApi.SPEED_LEVEL, 2), (SportApi.SWITCH_GAIT, 1.5)],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused(standing_still, api, value):
    assert standing_still.ask(api, data=value)[0] == RpcCode.PARAMETER


@pytest.mark.parametrize("api", [0, 999, 1012, SportApi.FRONT_FLIP, SportApi.DANCE1, 2**40, -1])
def test_functions_that_are_not_there_say_so(lying_still, api):
    assert lying_still.sport.handle(api, "{}") == (RpcCode.NOT_IMPLEMENTED, "")


# -- falls and faults


def test_a_robot_that_falls_damps_and_recovers(standing):
    standing.plant.push((0.0, 900.0, 0.0), 0.15)
    standing.go(3.0, until=SportModeId.DAMPING)
    assert standing.sport.mode == SportModeId.DAMPING
    assert standing.sport.error_code == 1
    assert standing.sport.reason == "it fell over"
    standing.go(1.5)
    standing.done(SportApi.RECOVERY_STAND)
    standing.go(8.0, until=SportModeId.BALANCE_STAND)
    assert standing.sport.mode == SportModeId.BALANCE_STAND
    assert standing.sport.error_code == 0


def test_a_motor_that_cannot_be_used_leads_to_damping_in_the_same_tick(standing):
    standing.done(SportApi.MOVE, x=0.3, y=0, z=0)
    standing.go(0.5)
    standing.sport.update(standing.state, standing.command, "FL_calf is stuck")
    assert standing.sport.mode == SportModeId.DAMPING
    assert standing.sport.reason == "FL_calf is stuck"
    assert (standing.command.kp == 0).all()
    assert (standing.command.kd > 0).all()


@pytest.mark.parametrize(
    ("api", "parameter", "gait", "number"),
    [
        (SportApi.STATIC_WALK, {}, "walk", 5),
        (SportApi.TROT_RUN, {}, "run", 2),
        (SportApi.ECONOMIC_GAIT, {"data": True}, "economic", 6),
        (SportApi.ECONOMIC_GAIT, {"data": False}, "trot", 1),
        (SportApi.SWITCH_GAIT, {"data": 2}, "run", 2),
    ],
    ids=str,
)
def test_a_gait_that_is_asked_for_by_name_is_the_one_it_steps_in(standing, api, parameter, gait, number):
    standing.done(api, **parameter)
    standing.done(SportApi.MOVE, x=2.0, y=0.0, z=0.0)
    feet = []
    for _ in range(450):
        standing.go(0.002)
        feet.append(standing.state.foot_force > 5)
    assert standing.sport._gait.mode == gait
    assert standing.sport.gait_type == number
    on = np.array(feet[150:]).sum(axis=1)
    if gait == "walk":
        assert (on >= 3).mean() > 0.97
    else:
        assert (on == 2).mean() > 0.5
    assert (on == 0).any() == (gait == "run")


def test_stairs_are_refused_and_the_gait_stays(standing):
    standing.done(SportApi.TROT_RUN)
    for gait in (3, 4):
        code, data = standing.ask(SportApi.SWITCH_GAIT, data=gait)
        assert code == RpcCode.SERVER
        assert "stairs" in data
    standing.done(SportApi.MOVE, x=0.3, y=0.0, z=0.0)
    assert standing.go(0.3).sport.gait_type == 2


def test_a_gait_and_the_speed_level_bound_what_a_move_may_ask(standing):
    fastest = {}
    for api, parameter in ((SportApi.SWITCH_GAIT, {"data": 1}), (SportApi.TROT_RUN, {}), (SportApi.STATIC_WALK, {})):
        standing.done(api, **parameter)
        for level in (-1, 0, 1):
            standing.done(SportApi.SPEED_LEVEL, data=level)
            standing.done(SportApi.MOVE, x=3.0, y=0.0, z=0.0)
            wish = np.frombuffer(standing.sport._gait.state_dict()["wish"], np.float64, 1)[0]
            fastest[api, level] = round(wish, 3)
    assert [fastest[SportApi.SWITCH_GAIT, k] for k in (-1, 0, 1)] == [0.4, 0.64, 0.8]
    assert [fastest[SportApi.TROT_RUN, k] for k in (-1, 0, 1)] == [0.6, 0.96, 1.2]
    assert [fastest[SportApi.STATIC_WALK, k] for k in (-1, 0, 1)] == [0.125, 0.2, 0.25]


# -- the hand controller


def test_sticks_walk_and_keys_stand_damp_and_unlock(bench):
    bench.sport.sticks(0, 0, 0, Key.L2 | Key.A)
    bench.go(2.2)
    assert bench.sport.mode == SportModeId.JOINT_LOCK
    bench.sport.sticks(0, 0, 0, Key.START)
    for _ in range(10):
        bench.sport.sticks(0, 0.5, 0, 0)
        bench.go(0.1)
    assert bench.sport.mode == SportModeId.LOCOMOTION
    assert bench.sport._gait.velocity == pytest.approx((0.4, 0, 0), abs=0.01)
    bench.sport.sticks(0, 0, 0, 0)
    bench.go(1.5)
    assert bench.sport.mode == SportModeId.BALANCE_STAND
    bench.sport.sticks(0, 0, 0, Key.L2 | Key.B)
    assert bench.sport.mode == SportModeId.DAMPING


def test_sticks_that_are_switched_off_do_nothing(standing):
    standing.done(SportApi.SWITCH_JOYSTICK, data=0)
    standing.sport.sticks(0, 1.0, 0, 0)
    standing.sport.sticks(0, float("nan"), 0, 0)
    standing.go(0.3)
    assert standing.sport.mode == SportModeId.BALANCE_STAND
    assert "BALANCE_STAND" in repr(standing.sport)
