"""Our ids in Gymnasium's registry; it needs Gymnasium only once it is asked."""

from rfx.errors import ConfigError, MissingDependencyError

# id -> (class in rfx.envs, steps of an episode, reward from which on it counts as solved)
IDS: dict[str, tuple[str, int, float | None]] = {
    "CartPole-v1": ("CartPole", 500, 475.0),
    "Pendulum-v1": ("Pendulum", 200, None),
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
