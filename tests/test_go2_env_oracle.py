"""Rewards and observations of the batched Go2 against a slow robot that is stepped beside it."""

import numpy as np
import pytest

pytest.importorskip("mujoco")

from go2_oracle import SlowGo2, to_pose

from rfx.robots import LAYOUTS
from rfx.sim import REWARD_TERMS, TERRAINS, Commands, Go2VecEnv, Rewards, Start, Terrain

ALL = dict.fromkeys(REWARD_TERMS, 1.0)
STEPS = 60


def run(envs, steps, width, seed=3):
    """Step environment 1 and a slow robot side by side until an end; yields both sides of each step."""
    slow, rng = SlowGo2(envs.batch, 1), np.random.default_rng(seed)
    for _ in range(steps):
        command = envs.batch.commands[1]
        actions = rng.normal(0, width, (envs.num_envs, 12)).astype(np.float32)
        step = envs.step_all(actions)
        terms = slow.step(actions[1], command)
        yield step, envs.batch.reward_terms, terms, slow
        if step.terminated[1] or step.truncated[1]:
            return


@pytest.mark.parametrize("name", REWARD_TERMS)
def test_each_term_is_what_its_formula_says(name):
    rewards = Rewards({name: 0.5}, only_positive=False, soft_dof_pos_limit=0.5, soft_torque_limit=0.1,
                      soft_dof_vel_limit=0.05, max_contact_force=30.0)  # fmt: skip
    commands = Commands((-1.0, 1.0), deadband=0.0, resampling_time=0.3, standing=0.5)
    ground, start = "flat", Start(velocity=1.0, joints=0.3)
    if name == "feet_stumble":  # needs something to stumble over
        ground = Terrain(("stairs",), levels=2, start_level=1, tile=4.0, resolution=0.03, border=2.0, seed=1)
        start = Start(velocity=2.0, position=1.0)
    envs = Go2VecEnv(3, seed=11, rewards=rewards, commands=commands, start=start, terrain=ground)
    seen = []
    for episode in range(6 if name == "feet_stumble" else 3):
        envs.reset_all()
        for step, ours, terms, _ in run(envs, STEPS, 3.0, episode):
            assert ours[name][1] == pytest.approx(0.5 * 0.02 * terms[name], rel=1e-6, abs=1e-9)
            assert step.rewards[1] == pytest.approx(ours[name][1], rel=1e-12)
            seen.append(terms[name])
    assert np.any(seen)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_observations_are_what_the_physics_says(layout):
    envs = Go2VecEnv(2, seed=5, layout=layout, commands=Commands(heading=(-3.0, 3.0)))
    slow = SlowGo2(envs.batch, 1)
    first = envs.batch.reset(mask=np.zeros(2, bool))[1]
    assert first == pytest.approx(slow.observation(envs.batch.commands[1]), abs=1e-5)
    for step, _, _, slow in run(envs, 40, 1.0):
        assert step.terminal_obs[1] == pytest.approx(slow.observation(envs.batch.commands[1]), abs=2e-5)


@pytest.mark.parametrize("terrain", ["rough", "slope", "stairs"])
def test_rewards_and_observations_are_right_on_uneven_ground(terrain):
    kinds = TERRAINS[terrain].kinds
    ground = Terrain(kinds, levels=2, start_level=1, resolution=0.2, tile=4.0, border=2.0)
    rewards = Rewards(ALL, only_positive=False)
    envs = Go2VecEnv(2, seed=1, terrain=ground, rewards=rewards, start=Start(position=1.5, velocity=0.0))
    for step, ours, terms, slow in run(envs, 40, 1.0):
        for name in REWARD_TERMS:
            assert ours[name][1] == pytest.approx(0.02 * terms[name], rel=1e-6, abs=1e-9), name
        if not step.terminated[1]:
            assert step.terminal_obs[1] == pytest.approx(slow.observation(envs.batch.commands[1]), abs=2e-5)


def test_the_reward_is_the_sum_of_its_terms_and_episodes_add_them_up():
    envs = Go2VecEnv(4, seed=2, rewards=Rewards(ALL, only_positive=False))
    total, rng = np.zeros(4), np.random.default_rng(0)
    for _ in range(10):
        step = envs.step_all(rng.normal(size=(4, 12)))
        terms = envs.batch.reward_terms
        assert step.rewards == pytest.approx(sum(terms.values()), rel=1e-12)
        total += step.rewards
    assert not step.terminated.any()
    assert sum(envs.batch.episode_sums.values()) == pytest.approx(total, rel=1e-12)


def test_only_positive_rewards_are_at_least_zero_but_for_the_termination():
    envs = Go2VecEnv(8, seed=2, rewards=Rewards({"torques": -1.0, "termination": -5.0}))
    rewards, ends = [], []
    for _ in range(30):
        step = envs.step_all(np.tile(to_pose(envs.batch.task.policy, "lie"), (8, 1)))
        rewards.append(step.rewards.copy())
        ends.append(step.terminated.copy())
    rewards, ends = np.array(rewards), np.array(ends)
    assert ends.any()
    assert np.array_equal(rewards, np.where(ends, -5.0 * 0.02, 0.0))


def test_the_sums_of_an_episode_that_is_over_can_be_read():
    envs = Go2VecEnv(2, seed=0, episode_seconds=0.2, rewards=Rewards({"alive": 1.0}))
    assert envs.batch.finished["steps"].tolist() == [0, 0]
    for _ in range(10):
        envs.step_all(np.zeros((2, 12)))
    assert envs.batch.finished["steps"].tolist() == [10, 10]
    assert envs.batch.finished["alive"] == pytest.approx([0.2, 0.2])
    assert envs.batch.episode_sums["alive"].tolist() == [0.0, 0.0]
