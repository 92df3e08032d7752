"""``rfx envs``: what it writes can be read by Pillow and shows the frames of the episode."""

import numpy as np
import pytest
from python_envs import Walk

from rfx import cli
from rfx.cli.envs import episode, make
from rfx.cli.gif import gif_bytes, strip_bytes
from rfx.envs import Box
from rfx.envs.registration import IDS
from rfx.envs.vector import Transition
from rfx.errors import ConfigError, DTypeError, RfxError, ShapeError

Image = pytest.importorskip("PIL.Image")


class Bar:
    """A bar that grows with the steps; the policy says how bright it is."""

    observation_space = Box(-1.0, 100.0, (1,))
    action_space = Box(0.0, 1.0, (1,))

    def reset(self, seed=None):
        self.steps, self.bright = 0, 0.0
        return np.zeros(1, np.float32)

    def step(self, action):
        self.steps, self.bright = self.steps + 1, float(action[0])
        return Transition(np.full(1, self.steps, np.float32), 1.0, False, self.steps >= 12)

    def render(self, mode="ansi"):
        frame = np.full((20, 30, 3), 255, np.uint8)
        frame[5:15, : 2 * self.steps] = (200, int(99 * self.bright), 0)
        return frame if mode == "rgb_array" else f"bar {self.steps}"


class Theirs(Bar):
    """Renders as Gymnasium's environments do, by the mode it was made with."""

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return super().render(self.render_mode)


def run(*words):
    return cli.main(["envs", *map(str, words)])


@pytest.mark.parametrize("name", ["Bar", "Theirs"])
def test_a_gif_has_all_frames_and_their_colours(tmp_path, capsys, name):
    out = tmp_path / "bar.gif"
    assert run("view", f"test_gym_view:{name}", "--out", out, "--policy", "zero", "--fps", 25) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 12 steps, reward 12, ")
    with Image.open(out) as gif:
        assert (gif.size, gif.n_frames, gif.info["duration"], gif.info["loop"]) == ((30, 20), 13, 40, 0)
        for i in range(13):
            gif.seek(i)
            seen = np.asarray(gif.convert("RGB")).astype(int)
            want = np.full((20, 30, 3), 255)
            want[5:15, : 2 * i] = (200, 0, 0)
            assert abs(seen - want).max() <= 8


def test_a_strip_has_so_many_pictures(tmp_path):
    out = tmp_path / "bar.png"
    assert run("view", "test_gym_view:Bar", "--out", out, "--pictures", 4, "--steps", 3) == 0
    with Image.open(out) as png:
        assert png.size == (4 * 30 + 3 * 6, 20)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    files = []
    for seed in (1, 1, 2):
        out = tmp_path / f"{len(files)}.gif"
        assert run("view", "test_gym_view:Bar", "--out", out, "--seed", seed) == 0
        files.append(out.read_bytes())
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/Such-v0"], "rfx/CartPole-v1"),
        (["no_such_module:Bar"], "no_such_module"),
        (["test_gym_view:Nothing"], "Nothing"),
        (["python_envs:Walk"], "rgb_array"),
        (["test_gym_view:Bar", "--out", "a.mp4"], ".gif or .png"),
        (["test_gym_view:Bar", "--out", "/no/such/folder/a.gif"], "folder"),
        (["test_gym_view:Bar", "--steps", "0"], "--steps"),
        (["test_gym_view:Bar", "--seed", "-1"], "--seed"),
        (["test_gym_view:Bar", "--fps", "nan"], "--fps"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("view", *words) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_list_has_every_environment(capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"rfx/{name}" for name in IDS]
    assert "2 actions" in lines[0]


@pytest.mark.parametrize("name", list(IDS))
def test_each_environment_can_be_had_by_its_id(name):
    assert make(name).env_id == make(f"rfx/{name}").env_id == name


def test_a_moving_cart_pole(tmp_path):
    out = tmp_path / "cartpole.gif"
    assert run("view", "rfx/CartPole-v1", "--out", out, "--steps", 8) == 0
    with Image.open(out) as gif:
        assert (gif.size, gif.n_frames) == ((600, 400), 9)


def test_an_episode_ends_where_it_ends_or_after_so_many_steps():
    frames, steps, total = episode(Bar(), 100, 0, "random")
    assert (len(frames), steps, total) == (13, 12, 12.0)
    frames, steps, _ = episode(Bar(), 5, 0, "random")
    assert (len(frames), steps) == (6, 5)
    with pytest.raises(ConfigError):
        episode(Walk(), 5, 0, "random")


def test_frames_that_are_none_are_refused():
    frame = np.zeros((4, 4, 3), np.uint8)
    for frames, error in [
        ([], ShapeError),
        ([frame, frame[:2]], ShapeError),
        ([frame[..., 0]], ShapeError),
        ([frame / 2], DTypeError),
        (["x"], DTypeError),
    ]:
        with pytest.raises(error):
            gif_bytes(frames, 10.0)
        with pytest.raises(error):
            strip_bytes(frames)
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(RfxError):
            gif_bytes([frame], rate)


def test_an_environment_that_raises_is_closed():
    class Broken(Bar):
        closed = 0

        def step(self, action):
            raise KeyboardInterrupt

        def close(self):
            self.closed += 1

    env = Broken()
    with pytest.raises(KeyboardInterrupt):
        episode(env, 5, 0, "random")
    assert env.closed == 1
