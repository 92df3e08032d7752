"""The base of all policies: calls that are compiled, weights as numpy arrays, and files."""

import importlib
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import ConfigError, DTypeError, ShapeError
from rfx.nn.calls import CompiledCalls
from rfx.nn.contract import PolicyContract
from rfx.nn.engine import Tensor, device, dtypes, from_numpy, get_state_dict, overwrite
from rfx.nn.files import PolicyFiles, plain, read_policy_directory, write_policy_directory
from rfx.nn.networks import undrawn
from rfx.nn.normalizer import ObservationNormalizer
from rfx.robots import RobotConfig

C = TypeVar("C", bound="type[Policy]")
_REGISTRY: dict[str, "type[Policy]"] = {}
_HOMES = {"MLP": "mlp", "ActorCritic": "actor_critic", "RecurrentPolicy": "recurrent", "TorchJitPolicy": "torchscript"}


def register_policy(cls: C) -> C:
    """Make a class known to :meth:`Policy.load` under its own name; a decorator.

    Raises
    ------
    DTypeError
        Not a class of policies.
    ConfigError
        Another module has a policy of that name.
    """
    if not (isinstance(cls, type) and issubclass(cls, Policy)):
        raise DTypeError(f"expected a class derived from Policy, got {cls!r:.80}")
    known = _REGISTRY.get(cls.__name__)
    if known is not None and known.__module__ != cls.__module__:
        raise ConfigError(f"there is a policy named {cls.__name__} in {known.__module__}: choose another name")
    if cls.__name__ in _HOMES and cls.__module__ != f"rfx.nn.{_HOMES[cls.__name__]}":
        raise ConfigError(f"{cls.__name__} is the name of a policy of rfx: choose another name")
    _REGISTRY[cls.__name__] = cls
    return cls


def find_policy(name: str) -> "type[Policy]":
    """Return the class of that name; ConfigError for one that nobody registered."""
    if name in _HOMES and name not in _REGISTRY:
        importlib.import_module(f"rfx.nn.{_HOMES[name]}")
    if name not in _REGISTRY:
        known = sorted({*_REGISTRY, *_HOMES})
        raise ConfigError(f"unknown policy type {name!r}; known are {known}; others need @register_policy")
    return _REGISTRY[name]


def single(values: ArrayLike, name: str) -> NDArray[np.float32]:
    """Return finite real numbers as float32; InvalidValueError also for what is too large for that."""
    with np.errstate(over="ignore"):
        return arrays.finite(np.asarray(arrays.floats(values, name)).astype(np.float32, copy=False), name)


class _Kept:
    """What a policy has besides its weights; without a ``__dict__``, so that tinygrad does not look for weights here."""

    __slots__ = ("arguments", "calls", "contract", "normalizer", "robot_config", "state", "statistics", "training_info")

    def __init__(self) -> None:
        self.arguments: inspect.BoundArguments | None = None
        self.calls: dict[str, CompiledCalls] = {}
        self.contract: dict[str, Any] | None = None
        self.normalizer: ObservationNormalizer | None = None
        self.robot_config: RobotConfig | None = None
        self.state: tuple[Tensor, ...] | None = None  # of recurrent policies
        self.statistics: tuple[bytes, list[Tensor]] | None = None
        self.training_info: dict[str, Any] | None = None


class Policy:
    """A network from observations (B, obs_dim) to actions (B, act_dim): derive from it and write ``forward``.

    The layers are attributes, as in tinygrad: whatever ``tinygrad.nn.state.get_state_dict`` finds is a weight.

    Attributes
    ----------
    normalizer : ObservationNormalizer or None
        Applied to every observation before ``forward``; part of the file. With one, a policy takes raw observations.
    robot_config : RobotConfig or None
    training_info : dict or None
    contract : dict or None
        What the file says about the robot and the training.

    Notes
    -----
    ``policy(obs)`` is recorded on the second call of each shape and replayed from the third on: for inference. Its
    results carry no gradient, and each has memory of its own. While training (``Context(TRAINING=1)``) and inside a
    TinyJit it is a plain call of ``forward``. For one thread at a time per policy.
    """

    _rfx: _Kept

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        device()  # where there is none, it says what to install
        made = super().__new__(cls)
        kept = _Kept()
        object.__setattr__(made, "_rfx", kept)
        try:
            kept.arguments = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
            kept.arguments.apply_defaults()
        except TypeError:
            kept.arguments = None  # __init__ will say what is wrong
        return made

    def forward(self, obs: Tensor) -> Tensor:
        """Return actions (B, act_dim) for observations (B, obs_dim), as a lazy graph that gradients flow through."""
        raise TypeError(f"{type(self).__name__} has to define forward(self, obs)")

    def __call__(self, obs: Tensor | ArrayLike) -> Tensor:
        """Return actions (B, act_dim) for observations (B, obs_dim): inference, compiled after the first call.

        Parameters
        ----------
        obs : Tensor or array_like, shape (B, obs_dim)
            float32 numpy arrays are the fastest.

        Raises
        ------
        ShapeError, DTypeError, InvalidValueError
            Another width; not real numbers; an array that is not finite.
        """
        return self._compiled("_act", self.tensor(obs))[0]

    def _act(self, obs: Tensor) -> tuple[Tensor, ...]:
        return (self.forward(self.observe(obs)),)

    def _compiled(self, method: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Call a method that takes tensors and returns a tuple of tensors, recorded once per shape."""
        calls = self._rfx.calls
        if method not in calls:
            calls[method] = CompiledCalls(getattr(self, method))
        return calls[method]([*get_state_dict(self).values(), *self._statistics()], *inputs)

    def tensor(self, obs: Tensor | ArrayLike) -> Tensor:
        """Return observations as a float tensor of the width that the policy takes; arrays have to be finite."""
        if isinstance(obs, Tensor):
            x = obs if dtypes.is_float(obs.dtype) and obs.dtype is not dtypes.float64 else obs.cast(dtypes.float32)
        else:
            x = from_numpy(single(obs, "obs"))
        width = getattr(self, "obs_dim", None)
        if not x.ndim or (isinstance(width, int) and x.shape[-1] != width):
            raise ShapeError(f"expected obs of shape (B, {width if width else 'obs_dim'}), got {tuple(x.shape)}")
        return x

    def _statistics(self) -> list[Tensor]:
        """Return the mean and the scale of the normaliser as tensors, renewed when it has learnt more."""
        kept = self._rfx
        if kept.normalizer is None:
            return []
        mean, var = kept.normalizer.mean, kept.normalizer.var
        now = mean.tobytes() + var.tobytes()
        if kept.statistics is None or kept.statistics[0] != now:
            values = [x.astype(np.float32) for x in (mean, 1.0 / np.sqrt(var + kept.normalizer.epsilon))]
            if kept.statistics is None:
                kept.statistics = (now, [from_numpy(x) for x in values])
            else:  # the same memory: what was recorded stays valid
                for tensor, x in zip(kept.statistics[1], values, strict=True):
                    overwrite(tensor, x)
                kept.statistics = (now, kept.statistics[1])
        return kept.statistics[1]

    def observe(self, obs: Tensor) -> Tensor:
        """Return what ``forward`` gets for raw observations: normalised, if there is a normaliser."""
        statistics = self._statistics()
        if not statistics:
            return obs
        x = (obs - statistics[0]) * statistics[1]
        clip = self.normalizer.clip if self.normalizer else None
        return x if clip is None else x.clip(-clip, clip)

    @property
    def normalizer(self) -> ObservationNormalizer | None:
        """Applied to every observation before ``forward``."""
        return self._rfx.normalizer

    @normalizer.setter
    def normalizer(self, value: ObservationNormalizer | None) -> None:
        self._rfx.normalizer = self._checked_normalizer(value)
        self._rfx.statistics = None
        self._rfx.calls.clear()  # the limit is part of what was recorded

    def _checked_normalizer(self, value: Any) -> ObservationNormalizer | None:
        if value is None:
            return None
        if not isinstance(value, ObservationNormalizer):
            raise DTypeError(f"expected normalizer to be an ObservationNormalizer, got {type(value).__name__}")
        width = getattr(self, "obs_dim", None)
        if isinstance(width, int) and value.obs_dim != width:
            raise ShapeError(f"expected a normaliser of {width} numbers, got one of {value.obs_dim}")
        return value

    @property
    def robot_config(self) -> RobotConfig | None:
        """The robot that the policy is meant for."""
        return self._rfx.robot_config

    @property
    def training_info(self) -> dict[str, Any] | None:
        """What the training noted in the file."""
        return self._rfx.training_info

    @property
    def contract(self) -> dict[str, Any] | None:
        """What the file tells the robot side."""
        return self._rfx.contract

    def config_dict(self) -> dict[str, Any]:
        """Return the arguments that build this policy again: those it was built with.

        Raises
        ------
        ConfigError
            One of them is not plain data; define this method then.
        """
        bound = self._rfx.arguments
        if bound is None:
            raise ConfigError(f"{type(self).__name__} does not know its arguments: define config_dict(self)")
        found: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            kind = bound.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                found.update(value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                if value:
                    raise ConfigError(f"{type(self).__name__} takes *{name}: define config_dict(self)")
            else:
                found[name] = value
        try:
            return plain(found, f"the arguments of {type(self).__name__}")
        except DTypeError as error:
            raise ConfigError(f"{error}: define config_dict(self)") from None

    @classmethod
    def from_config_dict(cls, config: Mapping[str, Any]) -> Self:
        """Build from what :meth:`config_dict` gave; ConfigError for arguments that the class does not take."""
        try:
            return cls(**config)
        except TypeError as error:
            raise ConfigError(f"{cls.__name__} cannot be built from {dict(config)!r:.200}: {error}") from error

    def describe(self) -> list[dict[str, Any]] | None:
        """Return the layers of the network as plain data (docs/policy_files.md); None if it is no such network."""
        return None

    def _layers(self) -> list[dict[str, Any]] | None:
        """:meth:`describe`, unless a class below it has a ``forward`` of its own."""
        order = type(self).__mro__
        describes = next(i for i, c in enumerate(order) if "describe" in vars(c))
        computes = next(i for i, c in enumerate(order) if "forward" in vars(c))
        return self.describe() if computes >= describes else None

    def get_parameters(self) -> dict[str, NDArray[Any]]:
        """Return the weights by name, copies."""
        return {name: np.array(tensor.numpy()) for name, tensor in get_state_dict(self).items()}

    def set_parameters(self, parameters: Mapping[str, ArrayLike]) -> None:
        """Take over weights by name; all or nothing. Optimisers that hold the tensors go on with them.

        Raises
        ------
        ConfigError
            A name is missing or unknown.
        ShapeError, DTypeError, InvalidValueError
            An array of another shape, not of real numbers, or not finite: all weights are as before.
        """
        own = get_state_dict(self)
        missing, unknown = sorted(set(own) - set(parameters)), sorted(set(parameters) - set(own))
        if missing or unknown:
            raise ConfigError(f"weights of {type(self).__name__}: missing {missing}, unknown {unknown}")
        new = {}
        for name, tensor in own.items():
            new[name] = single(parameters[name], name)
            if new[name].shape != tuple(tensor.shape):
                raise ShapeError(f"expected {name} of shape {tuple(tensor.shape)}, got {new[name].shape}")
        for name, tensor in own.items():
            value = from_numpy(new[name]).cast(tensor.dtype)
            if tensor.uop.is_realized:
                tensor.assign(value).realize()  # the same memory: what was recorded stays valid
            else:
                tensor.replace(value.realize())

    def parameters(self) -> list[Tensor]:
        """Return the weights as tinygrad's optimisers take them."""
        return list(get_state_dict(self).values())

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        robot_config: RobotConfig | None = None,
        normalizer: ObservationNormalizer | None = None,
        training_info: dict[str, Any] | None = None,
        contract: PolicyContract | dict[str, Any] | None = None,
    ) -> Path:
        """Save as a self-describing folder (docs/policy_files.md), whole or not at all.

        Parameters
        ----------
        path : path
            The folder; a policy that is there already is replaced.
        robot_config, normalizer, training_info, contract : optional
            Kept in the file; by default what the policy has itself. A normaliser becomes part of the saved policy,
            which takes raw observations then.

        Returns
        -------
        Path
            ``path``.

        Raises
        ------
        ConfigError
            The policy does not know its arguments; a folder with other things in it.
        InvalidValueError
            A weight is not finite.
        """
        kept = self._rfx
        robot = kept.robot_config if robot_config is None else robot_config
        if not isinstance(robot, (RobotConfig, type(None))):
            raise DTypeError(f"expected robot_config to be a RobotConfig, got {type(robot).__name__}")
        statistics = kept.normalizer if normalizer is None else self._checked_normalizer(normalizer)
        config: dict[str, Any] = {"policy_type": type(self).__name__, "policy_config": self.config_dict()}
        config["layers"] = self._layers()
        config["robot_config"] = None if robot is None else robot.to_dict()
        config["training"] = kept.training_info if training_info is None else training_info
        config["contract"] = contract.to_dict() if isinstance(contract, PolicyContract) else contract or kept.contract
        config = {key: value for key, value in config.items() if value is not None}
        kept_statistics = None if statistics is None else statistics.to_dict()
        return write_policy_directory(path, config, self._tensors(), kept_statistics, self._extra())

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return self.get_parameters()

    def _extra(self) -> dict[str, bytes]:
        return {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Policy":
        """Load what :meth:`save` wrote, or a ``.safetensors`` file of older times.

        ``Policy.load`` finds the class by its name; ``SomeClass.load`` insists on that class.

        Raises
        ------
        FileNotFoundError, CodecError, ConfigError, ShapeError
            Files missing or damaged; an unknown or another class; weights that do not fit it.
        """
        files = read_policy_directory(path)
        if cls is not Policy and files.policy_type == cls.__name__:
            found: type[Policy] = cls
        else:
            found = find_policy(files.policy_type)
        if not issubclass(found, cls):
            raise ConfigError(f"{files.path} holds a policy of type {files.policy_type}, not {cls.__name__}")
        return found._from_files(files)

    @classmethod
    def _from_files(cls, files: PolicyFiles) -> "Policy":
        with undrawn():
            made = cls.from_config_dict(files.policy_config)
        made._take(files)
        made.set_parameters(files.tensors)
        return made

    def _take(self, files: PolicyFiles) -> None:
        kept = self._rfx
        self.normalizer = None if files.normalizer is None else ObservationNormalizer.from_dict(files.normalizer)
        kept.robot_config = files.robot_config
        kept.training_info, kept.contract = files.config.get("training"), files.config.get("contract")

    def __reduce__(self) -> tuple[Any, ...]:
        kept = self._rfx
        rest = (kept.normalizer, kept.robot_config, kept.training_info, kept.contract)
        return _rebuild, (type(self), self.config_dict(), self.get_parameters(), rest)

    def __repr__(self) -> str:
        count = sum(int(np.prod(tensor.shape)) for tensor in get_state_dict(self).values())
        bound = self._rfx.arguments
        given = "" if bound is None else "".join(f"{k}={v!r}, " for k, v in list(bound.arguments.items())[1:])
        return f"{type(self).__name__}({given}weights={count}, device={device()!r})"


def _rebuild(cls: type[Policy], config: dict[str, Any], parameters: dict[str, Any], rest: tuple[Any, ...]) -> Policy:
    with undrawn():
        made = cls.from_config_dict(config)
    made.set_parameters(parameters)
    made.normalizer = rest[0]
    made._rfx.robot_config, made._rfx.training_info, made._rfx.contract = rest[1:]
    return made
