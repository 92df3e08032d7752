"""``rfx envs``: which environments there are, and a moving picture of one."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rfx import arrays
from rfx.errors import ConfigError, MissingDependencyError, RfxError

FORMATS = (".gif", ".png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of ``rfx envs``."""
    commands = parser.add_subparsers(dest="envs_command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the ids of the environments, with their spaces")
    view = commands.add_parser(
        "view",
        help="write an episode as a GIF, or as a PNG strip",
        description="Step an environment and write what it renders. An environment of your own is named module:Class.",
    )
    view.add_argument("env_id", metavar="ENV", help="an id (see `rfx envs list`) or module:Class")
    view.add_argument("--out", type=Path, default=None, metavar="FILE", help=".gif or .png (default: the id, as a GIF)")
    view.add_argument("--steps", type=int, default=200, help="at most so many steps (default 200)")
    view.add_argument("--seed", type=int, default=0, help="of the environment and of the policy (default 0)")
    view.add_argument("--policy", choices=("random", "zero"), default="random", help="what acts (default random)")
    view.add_argument("--fps", type=float, default=50.0, help="pictures per second of a GIF (default 50)")
    view.add_argument("--pictures", type=int, default=6, metavar="N", help="how many a PNG strip has (default 6)")


def run(args: argparse.Namespace) -> int:
    """Run the sub-command that was asked for."""
    return _list() if args.envs_command == "list" else _view(args)


def _list() -> int:
    from rfx.envs.engines import batch_of
    from rfx.envs.registration import IDS

    for name in IDS:
        try:
            batch = batch_of(name, 1)
        except MissingDependencyError as error:
            print(f"rfx/{name:26} {error}")
            continue
        width = _count(batch.obs_dim)
        print(f"rfx/{name:26} {width:10}  {_words(batch.action_space):22} {batch.max_episode_steps} steps")
    return 0


def _words(space: Any) -> str:
    from rfx.envs import Discrete

    return f"{space.n} actions" if isinstance(space, Discrete) else f"{_count(int(np.prod(space.shape)))} to act"


def _count(n: int) -> str:
    return f"{n} number{'' if n == 1 else 's'}"


def _view(args: argparse.Namespace) -> int:
    from rfx.cli.gif import gif_bytes, strip_bytes

    steps = arrays.integer(args.steps, "--steps", minimum=1, maximum=100_000)
    seed = arrays.integer(args.seed, "--seed", minimum=0, maximum=2**64 - 1)
    rate = arrays.number(args.fps, "--fps", above=0.0)
    count = arrays.integer(args.pictures, "--pictures", minimum=1, maximum=100)
    out = args.out if args.out is not None else Path(args.env_id.replace("/", "-").replace(":", "-") + ".gif")
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"expected --out to end in {' or '.join(FORMATS)}, got {out}")
    if not out.parent.is_dir():
        raise ConfigError(f"expected --out in a folder that is there, got {out}")
    frames, taken, reward = episode(make(args.env_id), steps, seed, args.policy)
    data = gif_bytes(frames, rate) if out.suffix.lower() == ".gif" else strip_bytes(frames, count)
    try:
        out.write_bytes(data)
    except OSError as error:
        raise RfxError(f"{out} cannot be written: {error}") from error
    print(f"{out}: {taken} steps, reward {reward:g}, {len(data)} bytes")
    return 0


def make(name: str) -> Any:
    """Return the environment of an id, or of ``module:Class``; ConfigError if there is none."""
    from rfx.envs.frames import takes_mode
    from rfx.envs.registration import single

    if ":" not in name:
        return single(name)()
    module, _, kind = name.partition(":")
    sys.path.insert(0, "")  # as `python -m` has it: a module of the present folder is found
    try:
        maker = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"expected module:Class, {name!r} cannot be had: {error}") from error
    finally:
        sys.path.remove("")
    return maker(render_mode="rgb_array") if takes_mode(maker) else maker()


def episode(env: Any, steps: int, seed: int, policy: str) -> tuple[list[Any], int, float]:
    """Step an environment until its episode ends; the frames, one more than steps, the steps and the sum of rewards."""
    from rfx.envs.adapter import Adapter
    from rfx.seeding import derive_seed

    adapter = Adapter(env)
    space, total, taken = adapter.action_space, 0.0, 0
    try:
        adapter.reset(seed)
        frames = [_frame(env)]
        for t in range(steps):
            _, reward, terminated, truncated, _ = adapter.step(_act(space, policy, derive_seed(seed, t)))
            total, taken = total + reward, t + 1
            frames.append(_frame(env))
            if terminated or truncated:
                break
    finally:
        adapter.close()
    return frames, taken, total


def _act(space: Any, policy: str, seed: int) -> Any:
    from rfx.envs import Box, Discrete

    if policy == "random":
        return space.sample(seed)
    if isinstance(space, Discrete):
        return space.start
    return np.clip(0, space.low, space.high).astype(space.dtype) if isinstance(space, Box) else space.sample(seed) * 0


def _frame(env: Any) -> Any:
    """Render a frame: ours by ``render("rgb_array")``, Gymnasium's, which was made with a render_mode, by ``render()``."""
    if not hasattr(env, "render"):
        raise ConfigError(f"expected an environment with render(), {type(env).__name__} has none")
    try:
        frame = env.render() if getattr(env, "render_mode", None) else env.render("rgb_array")
    except TypeError as error:
        raise ConfigError(f'expected render("rgb_array") of {type(env).__name__} to give pictures: {error}') from error
    if not isinstance(frame, np.ndarray):
        raise ConfigError(f"expected a picture from {type(env).__name__}.render, got {type(frame).__name__}")
    return frame
