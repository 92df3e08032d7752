"""The batched Go2: it stands, falls, is pushed, ends, begins anew, and refuses what makes no sense."""

import numpy as np
import pytest

pytest.importorskip("mujoco")

from go2_oracle import arrays_for, to_pose

from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, RfxError, ShapeError
from rfx.robots import LAYOUTS
from rfx.sim import (
    Commands,
    Go2Batch,
    Go2VecEnv,
    Randomisation,
    Rewards,
    Start,
    Termination,
)

QUIET = Start(yaw=0.0, joints=0.0, velocity=0.0)


def heights(envs):
    return np.array([envs.batch.physics(i)[1].qpos[2] for i in range(envs.num_envs)])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_action_zero_stands_for_twenty_seconds(layout):
    envs = Go2VecEnv(1, seed=0, layout=layout)
    for k in range(1000):
        step = envs.step_all(np.zeros((1, 12)))
        assert not step.terminated.any(), k
        assert step.truncated.all() == (k == 999)
    assert np.isfinite(step.terminal_obs).all()
    assert step.terminal_obs.shape == (1, LAYOUTS[layout].observation.size)


def test_a_standing_robot_is_level_and_high():
    envs = Go2VecEnv(3, seed=4, task="stand", layout="isaac_lab")
    for _ in range(200):
        step = envs.step_all(np.zeros((3, 12)))
    gravity = step.obs[:, LAYOUTS["isaac_lab"].observation.slices["projected_gravity"]]
    assert (gravity[:, 2] < -0.95).all()
    assert (heights(envs) > 0.24).all()


@pytest.mark.parametrize("layout", ["legged_gym", "unitree_rl_lab"])
def test_lying_down_is_a_fall(layout):
    envs = Go2VecEnv(2, seed=0, layout=layout)
    action = np.zeros((2, 12))
    action[1] = to_pose(envs.batch.task.policy, "lie")
    fallen = np.zeros(2, bool)
    for _ in range(40):
        fallen |= envs.step_all(action).terminated
    assert fallen.tolist() == [False, True]


def test_lying_down_is_no_fall_where_the_trunk_may_touch():
    envs = Go2VecEnv(1, seed=0, termination=Termination(trunk_contact=False))
    for _ in range(40):
        assert not envs.step_all(to_pose(envs.batch.task.policy, "lie")[None]).terminated.any()
    envs = Go2VecEnv(1, seed=0, termination=Termination(trunk_contact=False, min_height=0.1))
    assert any(envs.step_all(to_pose(envs.batch.task.policy, "lie")[None]).terminated.any() for _ in range(40))


def test_a_tilt_beyond_the_limit_is_a_fall():
    tilted = Go2VecEnv(1, seed=0, layout="clock", termination=Termination(max_tilt=0.05, trunk_contact=False))
    assert any(tilted.step_all(np.zeros((1, 12))).terminated.any() for _ in range(200))


def test_pushes_move_the_robot():
    random = Randomisation(push_interval=0.2, push_velocity=1.0)
    pushed = Go2VecEnv(4, seed=0, start=QUIET, randomisation=random)
    quiet = Go2VecEnv(4, seed=0, start=QUIET)
    for k in range(12):
        a, b = pushed.step_all(np.zeros((4, 12))), quiet.step_all(np.zeros((4, 12)))
        same = np.array_equal(a.obs[:, :9], b.obs[:, :9])  # velocities and gravity
        assert same == (k < 9), k
    assert np.abs(a.obs[:, :2] - b.obs[:, :2]).max() > 0.2


def test_actions_move_the_joints_they_name():
    envs = Go2VecEnv(1, seed=0, layout="unitree_rl_lab", start=QUIET)
    action = np.zeros((1, 12))
    action[0, envs.batch.task.policy.action.joint_names.index("RL_thigh")] = 2.0
    for _ in range(25):
        step = envs.step_all(action)
    seen = step.obs[0, envs.batch.task.policy.observation.slices["joint_pos_rel"]]
    assert envs.batch.task.policy.observation.joint_names[int(seen.argmax())] == "RL_thigh"
    assert seen.max() > 0.2


def test_an_action_beyond_the_clip_is_clipped_and_seen_so():
    big, one = Go2VecEnv(1, seed=0, layout="clock"), Go2VecEnv(1, seed=0, layout="clock")
    a, b = big.step_all(np.full((1, 12), 1e6)), one.step_all(np.ones((1, 12)))
    assert np.array_equal(a.obs, b.obs)
    assert (a.obs[0, LAYOUTS["clock"].observation.slices["last_action"]] == 1.0).all()


def test_the_clock_turns_once_in_half_a_second():
    envs = Go2VecEnv(1, seed=0, layout="clock")
    clock = np.array([envs.step_all(np.zeros((1, 12))).obs[0, 45:] for _ in range(50)])
    assert clock[24] == pytest.approx([0.0, 1.0, 0.0], abs=1e-5)
    assert clock[49] == pytest.approx([0.0, 1.0, 0.0], abs=1e-5)
    assert clock[11, 1] == pytest.approx(np.cos(2 * np.pi * 12 / 25), abs=1e-5)


# -- ends and new beginnings


def test_an_episode_is_cut_at_its_time_and_begins_anew_at_once():
    envs = Go2VecEnv(2, seed=0, episode_seconds=0.1)
    assert envs.batch.max_episode_steps == 5
    for k in range(12):
        step = envs.step_all(np.ones((2, 12)))
        assert step.truncated.tolist() == [k % 5 == 4] * 2
        last = step.obs[:, LAYOUTS["legged_gym"].observation.slices["last_action"]]
        assert (last == (0.0 if k % 5 == 4 else 1.0)).all()
        if k % 5 != 4:
            assert np.array_equal(step.obs, step.terminal_obs)
        else:
            assert not np.array_equal(step.obs, step.terminal_obs)


def test_next_step_waits_one_step_before_it_begins_anew():
    envs, out = Go2Batch(2, episode_seconds=0.06), None
    lie = np.stack([to_pose(envs.task.policy, "stand"), np.zeros(12)])
    envs.reset()
    out = arrays_for(envs)
    for k in range(8):
        envs.step(lie, *out, NEXT_STEP)
        obs, rewards, terminated, truncated, led_to = out
        assert truncated.all() == (k % 4 == 2)
        assert np.array_equal(obs, led_to)
        if k % 4 == 3:
            assert not rewards.any()
            assert not terminated.any()
            assert (obs[:, LAYOUTS["legged_gym"].observation.slices["last_action"]] == 0.0).all()


def test_next_step_moves_only_those_that_go_on():
    envs, alone = Go2Batch(2), Go2Batch(2)
    lie = np.stack([to_pose(envs.task.policy, "lie"), np.zeros(12)])
    ended = False
    for k in range(60):
        out, other = arrays_for(envs), arrays_for(alone)
        envs.step(lie, *out, NEXT_STEP)
        alone.step(np.zeros((2, 12)), *other, NEXT_STEP)
        assert np.array_equal(out[0][1], other[0][1]), k
        if ended:
            assert not any(values[0] for values in envs.reward_terms.values())
            assert not out[2][0]
            assert out[1][0] == 0.0
        ended = out[2][0]
    assert envs.finished["steps"][0] > 0


def test_disabled_waits_for_a_reset():
    envs = Go2Batch(3, episode_seconds=0.04)
    out = arrays_for(envs)
    envs.step(np.zeros((3, 12)), *out, DISABLED)
    envs.step(np.zeros((3, 12)), *out, DISABLED)
    assert out[3].all()
    assert np.array_equal(out[0], out[4])
    for mode in (DISABLED, SAME_STEP):
        with pytest.raises(InvalidStateError, match="environment 0"):
            envs.step(np.zeros((3, 12)), *out, mode)
    envs.reset(mask=np.array([True, False, True]))
    with pytest.raises(InvalidStateError, match="environment 1"):
        envs.step(np.zeros((3, 12)), *out, DISABLED)
    envs.reset()
    envs.step(np.zeros((3, 12)), *out, DISABLED)


def test_a_reset_of_some_leaves_the_others():
    envs = Go2Batch(3)
    out = arrays_for(envs)
    envs.step(np.full((3, 12), 0.3), *out)
    obs = envs.reset(mask=np.array([False, True, False]))
    assert np.array_equal(obs[[0, 2]], out[0][[0, 2]])
    assert not np.array_equal(obs[1], out[0][1])


def test_physics_that_is_no_longer_finite_ends_the_episode_with_the_last_good_observation():
    envs = Go2VecEnv(2, seed=0)
    before = envs.step_all(np.zeros((2, 12)))
    seen = before.obs.copy()
    envs.batch._state[1][1, 4] = np.nan
    step = envs.step_all(np.zeros((2, 12)))
    assert step.terminated.tolist() == [False, True]
    assert np.array_equal(step.terminal_obs[1], seen[1])
    assert np.isfinite(step.obs).all()
    assert np.isfinite(step.rewards).all()
    after = envs.step_all(np.zeros((2, 12)))
    assert not after.terminated.any()
    assert np.isfinite(after.obs).all()


# -- what is refused

BAD = [
    (np.full((2, 12), np.nan), InvalidValueError, "finite"),
    (np.full((2, 12), np.inf), InvalidValueError, "finite"),
    (np.full((2, 12), 1e300), InvalidValueError, "finite"),
    (np.zeros((2, 11)), ShapeError, "(2, 12)"),
    (np.zeros(12), ShapeError, "(2, 12)"),
    (np.zeros((2, 12), complex), DTypeError, "numbers"),
    ([["a"] * 12] * 2, DTypeError, "numbers"),
]


@pytest.mark.parametrize(("action", "error", "text"), BAD)
def test_a_bad_action_moves_nothing(action, error, text):
    envs, twin = Go2VecEnv(2, seed=0), Go2VecEnv(2, seed=0)
    with pytest.raises(error) as caught:
        envs.step_all(action)
    with pytest.raises(DTypeError, match="StepBatch"):
        envs.step_all(np.zeros((2, 12)), out=())
    assert text in str(caught.value)
    assert np.array_equal(envs.step_all(np.zeros((2, 12))).obs, twin.step_all(np.zeros((2, 12))).obs)


def test_arrays_that_do_not_fit_are_refused_and_nothing_moves():
    envs, twin = Go2Batch(2), Go2Batch(2)
    good = arrays_for(envs)
    for k, wrong in enumerate(
        [
            np.empty((2, 47), np.float32),
            np.empty(3),
            np.empty(2, np.uint8),
            np.empty((2, 1), np.bool_),
            np.empty((2, 48)),
        ]
    ):
        with pytest.raises(RfxError, match="expected"):
            envs.step(np.zeros((2, 12)), *good[:k], wrong, *good[k + 1 :])
    with pytest.raises(ConfigError, match="autoreset"):
        envs.step(np.zeros((2, 12)), *good, 3)
    envs.step(np.zeros((2, 12)), *good)
    twin.step(np.zeros((2, 12)), *(other := arrays_for(twin)))
    assert np.array_equal(good[0], other[0])


def test_options_that_make_no_sense_are_refused():
    for options, text in [
        ({"task": "run"}, "walk"),
        ({"colour": 1}, "colour"),
        ({"layout": "x"}, "legged_gym"),
        ({"terrain": "lava"}, "stairs"),
        ({"randomisation": "all"}, "legged_gym"),
        ({"substeps": 5}, "0.02"),
        ({"randomisation": Randomisation(latency=(0.0, 0.1))}, "latency"),
        ({"rewards": {"alive": 1.0}}, "Rewards"),
        ({"threads": 0}, "threads"),
    ]:
        with pytest.raises(RfxError, match=text):
            Go2Batch(1, **options)
    with pytest.raises(ConfigError, match="tracking_speed"):
        Rewards({"tracking_speed": 1.0})
    with pytest.raises(InvalidValueError, match="weight of alive"):
        Rewards({"alive": float("nan")})
    with pytest.raises(InvalidValueError, match="smaller"):
        Commands((1.0, -1.0))
    with pytest.raises(ConfigError, match="unknown signals"):
        Randomisation(noise={"clock": 1.0})


def test_masks_and_seeds_that_do_not_fit_are_refused():
    envs = Go2Batch(2)
    with pytest.raises(DTypeError, match="bool"):
        envs.reset(mask=np.ones(2))
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        envs.reset(mask=np.ones(3, bool))
    with pytest.raises(ShapeError, match="2 seeds"):
        envs.seed([1])
    with pytest.raises(InvalidValueError, match="at least 0"):
        envs.seed([1, -1])
    with pytest.raises(DTypeError, match="integers"):
        envs.seed([0.5, 1.0])
