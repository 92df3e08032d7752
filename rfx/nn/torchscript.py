"""Policies that were exported by torch: the one place where torch is used."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import CodecError, ConfigError, DTypeError, InvalidStateError, MissingDependencyError, ShapeError
from rfx.nn.files import PolicyFiles
from rfx.nn.policy import Policy, register_policy, single

MODEL = "model.pt"


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(f"TorchJitPolicy needs PyTorch: pip install torch ({error})") from error
    return torch


@register_policy
class TorchJitPolicy(Policy):
    """A model that ``torch.jit.save`` wrote; torch tensors go in and come out.

    Parameters
    ----------
    model_path : path, optional
        The ``.pt`` file. It is a program: take it from people you trust.
    obs_keys : list of str, optional
        Entries of an observation dict that are joined, in this order, along the last axis; ["state"] by default.
    device : str
        Where torch computes.

    Raises
    ------
    MissingDependencyError
        No torch.
    FileNotFoundError, CodecError
        No such file; not a TorchScript model.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        obs_keys: Sequence[str] | None = None,
        device: str = "cpu",
    ) -> None:
        keys = ["state"] if obs_keys is None else obs_keys
        if isinstance(keys, str) or not keys or not all(isinstance(key, str) for key in keys):
            raise DTypeError(f"expected obs_keys as a list of strings, got {obs_keys!r}")
        self.obs_keys = list(keys)
        torch = _torch()
        try:
            self.device = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ConfigError(f"expected device to be one that torch knows, got {device!r}: {error}") from None
        self.model: Any = None
        if model_path is not None:
            data = Path(model_path)
            if not data.is_file():
                raise FileNotFoundError(f"there is no TorchScript model {data}")
            self._open(data.read_bytes(), str(data))

    def _open(self, data: bytes, what: str) -> None:
        try:
            self.model = _torch().jit.load(io.BytesIO(data), map_location=self.device).eval()
        except (RuntimeError, ValueError, EOFError) as error:
            raise CodecError(f"{what} is no TorchScript model: {str(error).splitlines()[0]}") from None

    def _join(self, obs: Any) -> Any:
        torch = _torch()
        if isinstance(obs, Mapping):
            missing = [key for key in self.obs_keys if key not in obs]
            if missing:
                raise ConfigError(f"expected an observation with {self.obs_keys}, got {sorted(obs)}")
            parts = [self._tensor(obs[key], key) for key in self.obs_keys]
            try:
                x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
            except RuntimeError as error:
                raise ShapeError(f"the parts of the observation do not fit together: {error}") from None
        else:
            x = self._tensor(obs, "obs")
        if self.normalizer is None:
            return x
        if not x.ndim or x.shape[-1] != self.normalizer.obs_dim:
            raise ShapeError(f"expected obs of shape (B, {self.normalizer.obs_dim}), got {tuple(x.shape)}")
        scale = np.sqrt(self.normalizer.var + self.normalizer.epsilon)
        mean, scale = (torch.as_tensor(v, dtype=x.dtype, device=x.device) for v in (self.normalizer.mean, scale))
        x = (x - mean) / scale
        return x if self.normalizer.clip is None else x.clamp(-self.normalizer.clip, self.normalizer.clip)

    def _tensor(self, value: Any, name: str) -> Any:
        torch = _torch()
        if not isinstance(value, torch.Tensor):
            value = torch.from_numpy(np.array(single(value, name)))
        return value.to(self.device)

    def forward(self, obs: Any) -> Any:
        """Return what the model returns for a dict, a tensor or an array, with gradients."""
        if self.model is None:
            raise InvalidStateError("this TorchJitPolicy has no model: give it a model_path")
        return self.model(self._join(obs))

    def __call__(self, obs: Any) -> Any:
        """Return actions (B, act_dim) as a torch tensor, without gradients.

        Parameters
        ----------
        obs : dict of str to (torch.Tensor or array_like), or one of them
            Each (B, ...).

        Raises
        ------
        InvalidStateError
            No model.
        ConfigError, ShapeError, DTypeError, InvalidValueError
            A key is missing; shapes that do not fit; arrays that do not hold finite numbers.
        """
        with _torch().no_grad():
            return self.forward(obs)

    def config_dict(self) -> dict[str, Any]:
        """Return the arguments that build this policy again, next to its model."""
        path = None if self.model is None else MODEL
        return {"model_path": path, "obs_keys": self.obs_keys, "device": str(self.device)}

    def get_parameters(self) -> dict[str, NDArray[Any]]:
        """Return the weights by name, copies."""
        if self.model is None:
            return {}
        return {name: np.array(value.detach().cpu().numpy()) for name, value in self.model.state_dict().items()}

    def set_parameters(self, parameters: Mapping[str, ArrayLike]) -> None:
        """Take over weights by name; all or nothing. Errors as for :meth:`Policy.set_parameters`."""
        own = {} if self.model is None else self.model.state_dict()
        if set(own) != set(parameters):
            raise ConfigError(f"expected the weights {sorted(own)}, got {sorted(parameters)}")
        torch = _torch()
        new = {name: arrays.floats(parameters[name], name, tuple(value.shape)) for name, value in own.items()}
        for name, value in new.items():
            arrays.finite(value, name)
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(torch.as_tensor(new[name]))

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {}  # they are in model.pt

    def _extra(self) -> dict[str, bytes]:
        if self.model is None:
            raise InvalidStateError("this TorchJitPolicy has no model to save")
        stream = io.BytesIO()
        _torch().jit.save(self.model, stream)
        return {MODEL: stream.getvalue()}

    @classmethod
    def _from_files(cls, files: PolicyFiles) -> "Policy":
        config = files.policy_config
        if config.pop("model_path", MODEL) != MODEL or MODEL not in files.extra:
            raise ConfigError(f"{files.path}: expected a TorchScript policy with its {MODEL} beside it")
        made = cls.from_config_dict(config)
        assert isinstance(made, TorchJitPolicy)
        made._open(files.extra[MODEL], f"{files.path}: {MODEL}")
        made._take(files)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        data = None if self.model is None else self._extra()[MODEL]
        return _rebuild, (self.config_dict() | {"model_path": None}, data, self.normalizer)

    def __repr__(self) -> str:
        state = "no model" if self.model is None else "model loaded"
        return f"TorchJitPolicy({state}, obs_keys={self.obs_keys}, device={str(self.device)!r})"


def _rebuild(config: dict[str, Any], data: bytes | None, normalizer: Any) -> TorchJitPolicy:
    made = TorchJitPolicy(**config)
    if data is not None:
        made._open(data, MODEL)
    made.normalizer = normalizer
    return made
