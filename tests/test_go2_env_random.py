"""Randomisation, threads and terrain of the batched Go2."""

import itertools

import numpy as np
import pytest

from rfx.errors import ConfigError, InvalidValueError
from rfx.robots import GO2, LAYOUTS
from rfx.sim import RANDOMISATIONS, TERRAINS, Commands, Go2Batch, Go2VecEnv, Randomisation, Start, Terrain
from rfx.sim.terrain import KINDS

mujoco = pytest.importorskip("mujoco")

QUIET = Start(yaw=0.0, joints=0.0, velocity=0.0)
SMALL = Terrain(KINDS, levels=3, tile=4.0, border=2.0, curriculum=True)


def rollout(threads, **options):
    envs = Go2VecEnv(9, seed=3, threads=threads, episode_seconds=0.5, **options)
    rng, seen = np.random.default_rng(0), [envs.batch.reset().tobytes()]
    for _ in range(60):
        step = envs.step_all(rng.normal(0, 2.0, (9, 12)))
        seen += [a.tobytes() for a in (step.obs, step.rewards, step.terminated, step.truncated, step.terminal_obs)]
    return seen, envs.batch.state_dict()["physics"].tobytes()


@pytest.mark.parametrize(
    "options", [{}, {"task": "walk_randomised"}, {"terrain": SMALL}], ids=["plane", "random", "rough"]
)
def test_any_number_of_threads_gives_the_same_bytes(options):
    one = rollout(1, **options)
    assert rollout(2, **options) == one
    assert rollout(4, **options) == one


def test_nothing_is_random_by_default_but_the_start_and_the_command():
    bodies = Go2Batch(8).bodies
    assert (bodies["friction"] == 0.8).all()
    assert (bodies["mass"] == 0.0).all()
    assert (bodies["strength"] == 1.0).all()
    assert (bodies["delay"] == 0).all()


def test_what_is_drawn_is_within_its_range_and_in_the_model():
    random = Randomisation(friction=(0.3, 0.9), added_mass=(-1.0, 2.0), motor_strength=(0.8, 1.2), latency=(0.0, 0.02))
    envs = Go2Batch(32, randomisation=random)
    bodies = envs.bodies
    for name, low, high in (("friction", 0.3, 0.9), ("mass", -1.0, 2.0), ("strength", 0.8, 1.2), ("delay", 0, 4)):
        assert (bodies[name] >= low).all()
        assert (bodies[name] <= high).all()
        assert len(np.unique(bodies[name])) > 3
    model, _ = envs.physics(5)
    plain, _ = Go2Batch(1).physics(0)
    for leg in ("FR", "FL", "RR", "RL"):
        assert model.geom(f"{leg}_foot").friction[0] == bodies["friction"][5]
    assert model.body("trunk").mass[0] - plain.body("trunk").mass[0] == pytest.approx(bodies["mass"][5])
    assert model.body("trunk").subtreemass[0] == pytest.approx(plain.body("trunk").subtreemass[0] + bodies["mass"][5])
    assert model.actuator_gainprm[:, 0] == pytest.approx(20.0 * bodies["strength"][5])
    assert model.actuator_biasprm[:, 2] == pytest.approx(-0.5 * bodies["strength"][5])


def test_each_episode_has_a_body_of_its_own():
    envs = Go2Batch(2, randomisation="robot")
    before = envs.bodies
    envs.reset(mask=np.array([True, False]))
    after = envs.bodies
    assert before["friction"][0] != after["friction"][0]
    assert before["friction"][1] == after["friction"][1]


def test_a_range_that_is_a_point_leaves_the_other_draws_as_they_were():
    a = Go2Batch(4, randomisation=Randomisation(friction=(0.3, 0.9)))
    b = Go2Batch(4, randomisation=Randomisation(friction=(0.3, 0.9), motor_strength=(0.5, 1.5)))
    assert np.array_equal(a.bodies["friction"], b.bodies["friction"])
    assert np.array_equal(a.commands, b.commands)


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.015, 0.02, 0.03, 0.04])
def test_an_action_takes_effect_after_its_latency(seconds):
    envs = Go2VecEnv(2, seed=0, start=QUIET, randomisation=Randomisation(latency=(seconds, seconds)))
    model, data = envs.batch.physics(1)
    targets = [GO2.reorder(LAYOUTS["legged_gym"].action.default_pose, LAYOUTS["legged_gym"].action.joint_names)] * 3
    rng, late = np.random.default_rng(1), round(seconds / 0.005)
    for _ in range(6):
        action = rng.normal(0, 1, 12).astype(np.float32)
        envs.step_all(np.tile(action, (2, 1)))
        targets = [*targets, LAYOUTS["legged_gym"].action.targets(action)]
        for s in range(4):
            data.ctrl[:] = targets[(4 * len(targets) - 4 + s - late) // 4]
            mujoco.mj_step(model, data)
    assert np.array_equal(envs.batch.physics(1)[1].qpos, data.qpos)


def test_noise_is_on_what_it_is_asked_for_and_as_wide():
    noise = {"joint_pos": 0.5, "base_ang_vel": 0.2}
    noisy = Go2VecEnv(500, seed=0, start=QUIET, randomisation=Randomisation(noise=noise))
    clean = Go2VecEnv(500, seed=0, start=QUIET)
    away = noisy.batch.reset(mask=np.zeros(500, bool)) - clean.batch.reset(mask=np.zeros(500, bool))
    slices = LAYOUTS["legged_gym"].observation.slices
    for name, width in (("joint_pos_rel", 0.5), ("base_ang_vel", 0.2 * 0.25)):
        part = away[:, slices[name]]
        assert np.abs(part).max() == pytest.approx(width, rel=0.02)
        assert part.std() == pytest.approx(width / np.sqrt(3), rel=0.1)
        assert abs(part.mean()) < 0.05 * width
        away[:, slices[name]] = 0.0
    assert not away.any()


def test_commands_stay_within_their_ranges_and_are_drawn_anew_in_time():
    commands = Commands((0.3, 1.0), (-0.2, 0.4), (-0.5, 0.1), resampling_time=0.1, deadband=0.0)
    envs = Go2VecEnv(64, seed=0, commands=commands)
    seen = [envs.batch.commands]
    for _ in range(10):
        envs.step_all(np.zeros((64, 12)))
        seen.append(envs.batch.commands)
    changed = [not np.array_equal(a, b) for a, b in itertools.pairwise(seen)]
    assert changed == [False] * 4 + [True] + [False] * 4 + [True]
    every = np.concatenate(seen)
    assert (every.min(0) >= [0.3, -0.2, -0.5]).all()
    assert (every.max(0) <= [1.0, 0.4, 0.1]).all()
    assert (every.max(0) - every.min(0) > [0.5, 0.4, 0.4]).all()


def test_slow_commands_are_none_and_some_are_to_stand():
    slow = Go2Batch(64, commands=Commands((-0.1, 0.1), (-0.1, 0.1)))
    assert not slow.commands[:, :2].any()
    assert slow.commands[:, 2].all()
    some = Go2Batch(400, commands=Commands(standing=0.25))
    assert (some.commands == 0.0).all(1).mean() == pytest.approx(0.25, abs=0.08)


def test_a_heading_is_turned_to():
    envs = Go2VecEnv(16, seed=2, commands=Commands(heading=(-3.0, 3.0)), start=QUIET)
    for _ in range(5):
        envs.step_all(np.zeros((16, 12)))
    robots = envs.batch.state_dict()["robots"]
    for i in range(16):
        w, x, y, z = envs.batch.physics(i)[1].qpos[3:7]
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        error = (robots["heading"][i] - yaw + np.pi) % (2 * np.pi) - np.pi
        assert envs.batch.commands[i, 2] == pytest.approx(np.clip(0.5 * error, -1, 1))


# -- terrain


def test_a_terrain_is_the_same_for_the_same_seed():
    rough = Terrain(("rough",), levels=2)
    assert rough.heights().tobytes() == Terrain(("rough",), levels=2).heights().tobytes()
    assert rough.heights().tobytes() != Terrain(("rough",), levels=2, seed=1).heights().tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_meet_at_height_zero_and_grow_harder(kind):
    terrain = Terrain((kind,), levels=3, tile=4.0, border=2.0)
    field = terrain.heights()
    assert field.shape == (81, 161)
    assert not field[20].any() and not field[60].any()  # noqa: PT018
    assert not field[:, [0, 20, 60, 100, 140, 160]].any()
    spans = [np.ptp(field[21:60, 20 + 40 * k : 60 + 40 * k]) for k in range(3)]
    assert spans == sorted(spans)
    assert (spans[0] > 0.0) == (kind != "flat")


def test_the_ground_is_where_the_physics_has_it():
    envs = Go2Batch(1, terrain=SMALL)
    model, data = envs.physics(0)
    rng = np.random.default_rng(0)
    along, across = SMALL.size
    hit = np.zeros(1, np.int32)
    for x, y in rng.uniform(-0.5, 0.5, (300, 2)) * (along, across):
        down = mujoco.mj_ray(model, data, [x, y, 5.0], [0, 0, -1.0], None, 1, model.body("trunk").id, hit)
        if hit[0] == model.geom("floor").id:
            assert 5.0 - down == pytest.approx(envs.ground_height(x, y), abs=1e-6)


@pytest.mark.parametrize("terrain", ["rough", "slope", "stairs"])
def test_robots_begin_on_the_ground_and_stand_there(terrain):
    kinds = TERRAINS[terrain].kinds
    ground = Terrain(kinds, levels=3, start_level=2, tile=4.0, border=2.0)
    envs = Go2VecEnv(6, seed=0, layout="isaac_lab", terrain=ground, commands=Commands((0, 0), (0, 0), (0, 0)))
    assert len(np.unique(envs.batch.bodies["level"])) > 1
    for _ in range(75):
        assert not envs.step_all(np.zeros((6, 12))).terminated.any()
    for i in range(6):
        _, data = envs.batch.physics(i)
        over = data.qpos[2] - envs.batch.ground_height(*data.qpos[:2])
        assert 0.2 < over < 0.32
        feet = np.array([data.geom(f"{leg}_foot").xpos for leg in ("FR", "FL", "RR", "RL")])
        under = [z - envs.batch.ground_height(x, y) for x, y, z in feet]
        assert under == pytest.approx([0.022] * 4, abs=0.006)


def test_the_curriculum_moves_robots_up_and_down():
    ground = Terrain(("flat", "rough"), levels=3, tile=4.0, border=2.0, curriculum=True, start_level=1)
    envs = Go2Batch(12, terrain=ground, commands=Commands((1.0, 1.0), (0, 0), (0, 0)), start=QUIET)
    envs.reset()
    level = envs.bodies["level"]
    out = [
        np.empty((12, 48), np.float32),
        np.empty(12),
        np.empty(12, bool),
        np.empty(12, bool),
        np.empty((12, 48), np.float32),
    ]
    envs.step(np.zeros((12, 12)), *out)
    envs._state[0][:6, 0] += 2.5  # these came further than half a tile
    envs.reset()
    up, down = envs.bodies["level"][:6], envs.bodies["level"][6:]
    assert (up == level[:6] + 1).all()
    assert (down == np.maximum(level[6:] - 1, 0)).all()
    assert {0, 1} <= set(level.tolist())


def test_who_leaves_the_ground_is_cut_not_terminated():
    ground = Terrain(("flat", "rough"), levels=1, tile=4.0, border=2.0)
    envs = Go2Batch(2, terrain=ground, start=QUIET)
    out = [
        np.empty((2, 48), np.float32),
        np.empty(2),
        np.empty(2, bool),
        np.empty(2, bool),
        np.empty((2, 48), np.float32),
    ]
    envs._state[0][1, 0] = 3.2
    envs.step(np.zeros((2, 12)), *out)
    assert out[3].tolist() == [False, True]
    assert not out[2].any()


def test_terrain_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="stairs"):
        Terrain(("lava",))
    with pytest.raises(ConfigError, match="at least one"):
        Terrain(())
    with pytest.raises(InvalidValueError, match="start_level"):
        Terrain(("rough",), levels=2, start_level=2)
    with pytest.raises(InvalidValueError, match="resolution"):
        Terrain(("rough",), resolution=0.0)


def test_the_presets_are_what_they_are_called():
    assert RANDOMISATIONS["none"] == Randomisation()
    assert RANDOMISATIONS["legged_gym"].friction == (0.5, 1.25)
    assert TERRAINS["flat"].is_plane
    assert not TERRAINS["mixed"].is_plane
