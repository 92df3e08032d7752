"""From what a user names or writes to an engine that steps many of it."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rfx import arrays
from rfx.envs.engine import Engine
from rfx.errors import ConfigError, DTypeError


def batch_of(env_id: str, num_envs: int, **options: Any) -> Any:
    """Return compiled environments of this kind; ConfigError for one that is not known."""
    from rfx.envs.classic import KINDS

    name = env_id.removeprefix("rfx/") if isinstance(env_id, str) else env_id
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"expected one of {', '.join(KINDS)}, got {env_id!r}")
    drift = options.pop("drift", None)
    kind = KINDS[name]
    if isinstance(kind, str):
        module, _, of = kind.partition(":")
        kind = getattr(importlib.import_module(module), of)
    if drift is not None and not hasattr(kind, "set_drift"):
        raise ConfigError(f"expected no drift for {env_id}, whose physics is not a handful of numbers")
    made = kind(num_envs, **options)
    if drift is not None:
        made.set_drift(drift)
    return made


def engine_of(
    env_or_id: str | Callable[..., Any] | Sequence[Callable[[], Any]] | Engine,
    num_envs: int | None = None,
    workers: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Return the engine that steps ``num_envs`` of an environment.

    Parameters
    ----------
    env_or_id : str, callable, sequence of callables, or Engine
        The id of a compiled environment; a class or function that returns an environment of Python; ``num_envs`` of them
        without arguments, if they differ; or an engine, which is returned as it is.
    num_envs : int, optional
        1 if not given; those of the engine, or of the sequence.
    workers : int
        For environments of Python: how many processes they run in; 0 steps them in turn in this one.
    options : mapping, optional
        Keywords for the environment.

    Raises
    ------
    ConfigError
        The id is not known, what came makes no environments, or ``workers`` or ``options`` are of no use to it.
    DTypeError
        What came is none of these.
    """
    given = dict(options or {})
    processes = arrays.integer(workers, "workers", minimum=0)
    if isinstance(env_or_id, str):
        if processes:
            raise ConfigError(
                f"expected workers=0 for {env_or_id}, got {workers}: compiled environments are stepped in one call"
            )
        return batch_of(env_or_id, 1 if num_envs is None else num_envs, **given)
    if hasattr(env_or_id, "seed_from") and not isinstance(env_or_id, type):
        return _taken(env_or_id, num_envs, processes, given)
    some: list[Any] = list(env_or_id) if isinstance(env_or_id, Sequence) else [env_or_id]
    n = arrays.integer(len(some) if num_envs is None else num_envs, "num_envs", minimum=1)
    if isinstance(env_or_id, Sequence):
        makers: list[Any] = some
        if len(makers) != n or given or not all(callable(m) for m in makers):
            raise ConfigError(f"expected {n} factories without options, got {len(makers)} and {given}")
    elif callable(env_or_id):
        makers = [partial(env_or_id, **given) if given else env_or_id] * n
    else:
        raise DTypeError(f"expected the id of an environment, a class or a factory, got {env_or_id!r}")
    if not processes:
        from rfx.envs.python_engine import PythonEngine

        return PythonEngine(makers)
    from rfx.envs.worker_engine import WorkerEngine

    return WorkerEngine(makers, processes)


def _taken(engine: Any, num_envs: int | None, workers: int, options: dict[str, Any]) -> Any:
    if num_envs is not None and engine.num_envs != arrays.integer(num_envs, "num_envs", minimum=1):
        raise ConfigError(f"expected num_envs={engine.num_envs}, which the engine has, got {num_envs}")
    if workers or options:
        raise ConfigError("expected neither workers nor options for an engine that is made already")
    return engine
