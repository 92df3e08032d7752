"""Our ids in Gymnasium's registry; it needs Gymnasium only once it is asked."""

import importlib
from typing import Any

from rfx.errors import ConfigError, MissingDependencyError

# id -> (module and class, steps of an episode if Gymnasium is to count them, reward from which on it counts as solved)
IDS: dict[str, tuple[str, int | None, float | None]] = {
    "CartPole-v1": ("rfx.envs.vector:CartPole", 500, 475.0),
    "Pendulum-v1": ("rfx.envs.vector:Pendulum", 200, None),
    "MountainCar-v0": ("rfx.envs.vector:MountainCar", 200, -110.0),
    "MountainCarContinuous-v0": ("rfx.envs.vector:MountainCarContinuous", 999, 90.0),
    "Acrobot-v1": ("rfx.envs.vector:Acrobot", 500, -100.0),
    "Go2-v0": ("rfx.sim.go2_faces:Go2Env", None, None),  # of a room above, by its name; the task says how long
}


def gymnasium_installed() -> None:
    """MissingDependencyError where Gymnasium is not installed."""
    try:
        import gymnasium  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"gymnasium is needed for this: `pip install 'rfx[gym]'` ({error})") from error


def full_id(env_id: str) -> str:
    """Return "rfx/CartPole-v1" for it or for "CartPole-v1"; ConfigError for what is none of ours."""
    name = env_id.removeprefix("rfx/")
    if name not in IDS:
        raise ConfigError(f"expected one of {', '.join(f'rfx/{known}' for known in IDS)}, got {env_id!r}")
    return f"rfx/{name}"


def single(env_id: str) -> Any:
    """Return the class of one environment with this id; ConfigError for what is none of ours."""
    module, _, name = IDS[full_id(env_id).removeprefix("rfx/")][0].partition(":")
    return getattr(importlib.import_module(module), name)


def register() -> None:
    """Make our ids known to ``gymnasium.make`` and ``gymnasium.make_vec``; done twice it does nothing.

    Importing ``rfx.envs.gym_env`` or ``rfx.envs.gym_vector`` does it. Gymnasium since 1.0 looks for no entry points.
    """
    gymnasium_installed()
    import gymnasium

    for name, (_, steps, solved) in IDS.items():
        if f"rfx/{name}" not in gymnasium.registry:
            gymnasium.register(
                f"rfx/{name}",
                entry_point="rfx.envs.gym_env:make_registered",
                vector_entry_point="rfx.envs.gym_vector:make_registered",
                max_episode_steps=steps,
                reward_threshold=solved,
                kwargs={"env_id": name},
            )


def make_vec(env_or_id: Any, num_envs: int = 1, **kwargs: Any) -> Any:
    """Return many environments as ``gymnasium.vector.VectorEnv``: an :class:`rfx.envs.gym_vector.RfxVectorEnv`.

    Parameters
    ----------
    env_or_id
        An id, "rfx/CartPole-v1" or "CartPole-v1"; or an environment of your own, see :func:`rfx.envs.engine_of`.
    num_envs : int
    kwargs
        Those of ``RfxVectorEnv``: autoreset_mode, seed, workers, copy, render_mode, and keywords for the environment.

    Raises
    ------
    MissingDependencyError
        Gymnasium is not installed.
    ConfigError
        The id is none of ours, or something does not fit.
    """
    from rfx.envs import gym_vector

    if not isinstance(env_or_id, str):
        return gym_vector.RfxVectorEnv(env_or_id, num_envs, **kwargs)
    import gymnasium

    if "autoreset_mode" in kwargs:
        mode = gym_vector.autoreset_mode_of(kwargs["autoreset_mode"])
        kwargs["autoreset_mode"] = mode.value  # what a spec can be written with
    return gymnasium.make_vec(full_id(env_or_id), num_envs, vectorization_mode="vector_entry_point", **kwargs)
