"""One of our environments as ``gymnasium.Env``."""

from typing import Any

from rfx.envs.frames import checked_mode
from rfx.envs.registration import IDS, gymnasium_installed, register, single
from rfx.envs.spaces import to_gymnasium
from rfx.errors import ConfigError

gymnasium_installed()

import gymnasium  # noqa: E402

NO_LIMIT = 2**62  # of steps: Gymnasium's TimeLimit ends episodes then


class RfxEnv(gymnasium.Env):
    """An environment in our manner (``reset(seed)``, ``step(action) -> Transition``) as one of Gymnasium.

    Parameters
    ----------
    env_or_id : str, callable or environment
        An id, "rfx/CartPole-v1" or "CartPole-v1"; a class or factory; or an environment itself.
    render_mode : str, optional
        "rgb_array" or "ansi".
    options
        Keywords for the environment.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 50}  # noqa: RUF012

    def __init__(self, env_or_id: Any, render_mode: str | None = None, **options: Any) -> None:
        if isinstance(env_or_id, str):
            env_or_id = single(env_or_id)
        if isinstance(env_or_id, type) or not hasattr(env_or_id, "step"):
            self.env = env_or_id(**options)
        elif options:
            raise ConfigError(f"expected no options for an environment that is made already, got {list(options)}")
        else:
            self.env = env_or_id
        self.render_mode = checked_mode(render_mode)
        self.observation_space = to_gymnasium(self.env.observation_space)
        self.action_space = to_gymnasium(self.env.action_space)
        self._begun = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; with a seed the stream of random numbers begins anew, without it goes on."""
        if options:
            raise ConfigError(f"expected no options, got {list(options)}")
        super().reset(seed=seed)
        if seed is None and not self._begun:
            seed = int(self.np_random.integers(2**63))
        self._begun = True
        return self.env.reset(seed), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step; errors are those of the environment."""
        t = self.env.step(action)
        return t.obs, float(t.reward), bool(t.terminated), bool(t.truncated), dict(t.info or {})

    def render(self) -> Any:
        """Return a picture, (height, width, 3) of uint8, or a line of text, by ``render_mode``; None without one."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() was called without a render_mode, give one when the environment is made")
            return None
        return self.env.render() if self.render_mode == "ansi" else self.env.render(self.render_mode)

    def __repr__(self) -> str:
        return f"RfxEnv({self.env!r})"


def make_registered(env_id: str, render_mode: str | None = None, **options: Any) -> RfxEnv:
    """What ``gymnasium.make`` calls for our ids: its TimeLimit ends episodes, so the environment has no limit of its own."""
    limit = {"max_episode_steps": NO_LIMIT} if IDS[env_id][1] else {}
    return RfxEnv(env_id, render_mode, **{**limit, **options})


register()
