"""Other people's Cython may cimport our kernels: a foreign package is built and run against this rfx."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rfx

pytest.importorskip("Cython")
SOURCES = Path(__file__).parent / "extending"

CHECK = """
import math
import foreign
from rfx.math import Quaternion

x, y, z = foreign.turned(0.1, 0.2, 0.3, 1, 0, 0)
assert (round(x, 5), round(y, 5), round(z, 5)) == (0.93629, 0.28963, -0.19867), (x, y, z)
bad, rows = foreign.many_turned(math.pi / 2, 3)
assert bad == 0 and len(rows) == 3
assert all(abs(x) < 1e-6 and abs(y - 1) < 1e-6 and z == 0 for x, y, z in rows), rows
assert max(abs(a - b) for a, b in zip(foreign.back_and_forth(2.0, 0.7), (0, 0, 0, 1))) < 1e-15
a, b = Quaternion.from_euler(0, 0, 0.2), Quaternion.from_euler(0, 0, 0.6)
assert foreign.halfway(a, b).is_close(Quaternion.from_euler(0, 0, 0.6))
print("foreign works")
"""

CHECK_ENVIRONMENT = """
import numpy as np
import foreign_env
from rfx.envs import Drift, VecEnv
from rfx.envs.custom import CustomBatch
from rfx.envs.engine import NEXT_STEP
from rfx.errors import RfxError

envs = VecEnv(foreign_env.sledges(100), seed=3)
assert repr(envs) == "VecEnv('CustomBatch', num_envs=100)" and envs.num_envs == 100
obs = envs.reset_all(3)
assert (abs(obs[:, 0]) <= 0.5).all() and len(np.unique(obs[:, 0])) == 100 and not obs[:, 1].any()
place, speed, rng = obs[:, 0].astype(float), np.zeros(100), np.random.default_rng(0)
states = envs.engine.states
np.testing.assert_array_equal(states.astype(np.float32), obs)
ended = 0
for _ in range(300):
    actions = rng.integers(3, size=100)
    batch = envs.step_all(actions)
    speed = states[:, 1] + (actions - 1) / 2.0 * 0.1
    place = states[:, 0] + speed * 0.1
    np.testing.assert_array_equal(batch.terminal_obs, np.stack([place, speed], 1).astype(np.float32))
    np.testing.assert_array_equal(batch.terminated, abs(place) > 1.0)
    np.testing.assert_array_equal(batch.rewards, 1.0 - abs(place))
    ended += int((batch.terminated | batch.truncated).sum())
    states = envs.engine.states
assert ended > 100
for bad in ([0, 1, 3], [0.5] * 100, [3] * 100):
    try:
        envs.step_all(bad)
    except RfxError:
        np.testing.assert_array_equal(envs.engine.states, states)
    else:
        raise AssertionError(bad)
assert VecEnv(foreign_env.sledges(100), seed=3).reset_all().tobytes() != obs.tobytes()
assert VecEnv(foreign_env.sledges(100)).reset_all(3).tobytes() == obs.tobytes()

batch = foreign_env.sledges(4, max_episode_steps=2)
batch.reset()
out = [np.empty((4, 2), np.float32), np.empty(4), np.empty(4, bool), np.empty(4, bool), np.empty((4, 2), np.float32)]
batch.step([1] * 4, *out, NEXT_STEP)
batch.step([1] * 4, *out, NEXT_STEP)
assert out[3].all()
batch.step([99] * 4, *out, NEXT_STEP)
assert not out[3].any() and not out[1].any() and batch.episode_steps.tolist() == [0] * 4

drifting = foreign_env.sledges(5)
drifting.set_drift({"mass": Drift(kind="linear", size=1.0, low=1.0, high=4.0)})
envs = VecEnv(drifting)
assert envs.physics["mass"].tolist() == [2.0] * 5
states = drifting.states
envs.step_all([2] * 5)
np.testing.assert_array_equal(drifting.states[:, 1], states[:, 1] + 1 / 2.0 * 0.1)
envs.step_all([2] * 5)
np.testing.assert_array_equal(drifting.states[:, 1], (states[:, 1] + 1 / 2.0 * 0.1) + 1 / 3.0 * 0.1)

for wrong in (None, 3, foreign_env.capsule_of_another_kind(), foreign_env.capsule_without_functions()):
    try:
        CustomBatch(2, wrong, observation_space=drifting.observation_space, action_space=drifting.action_space,
                    max_episode_steps=5)
    except RfxError:
        continue
    raise AssertionError(wrong)
print("environment works")
"""


@pytest.mark.timeout(280)
def test_a_foreign_package_compiles_and_runs(tmp_path):
    for source in SOURCES.iterdir():
        if source.suffix in {".py", ".pyx"}:
            shutil.copy(source, tmp_path)
    home = str(Path(rfx.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), home])}

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    run("setup.py", "build_ext", "--inplace", "-q")
    assert run("-c", CHECK).strip() == "foreign works"
    assert run("-c", CHECK_ENVIRONMENT).strip() == "environment works"
