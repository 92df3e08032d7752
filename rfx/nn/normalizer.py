"""The normaliser of observations that travels with a policy; needs numpy only."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.errors import CodecError, ConfigError
from rfx.estimators import RunningObservationNormalizer
from rfx.nn.files import check_normalizer
from rfx.nn.tensor_file import parse_json


class ObservationNormalizer:
    """``clip((x - mean) / sqrt(var + epsilon))`` with the mean and variance of all observations so far.

    Parameters
    ----------
    obs_dim : int
        Numbers in an observation.
    clip : float or None
        Largest absolute value that comes out; None for no limit.
    epsilon : float
        Above 0.
    prior_count : float
        Weight of the start with mean 0 and variance 1, in samples.

    Notes
    -----
    Each call in training adds to the statistics; set ``frozen`` for evaluation. A policy file keeps mean, variance and
    count; ``prior_count`` becomes part of them.
    """

    __slots__ = ("running",)

    def __init__(
        self, obs_dim: int, *, clip: float | None = 10.0, epsilon: float = 1e-8, prior_count: float = 1e-4
    ) -> None:
        width = arrays.integer(obs_dim, "obs_dim", minimum=1)
        self.running = RunningObservationNormalizer(width, epsilon=epsilon, clip=clip, prior_count=prior_count)

    def __repr__(self) -> str:
        clip, count = self.clip, self.count
        return f"ObservationNormalizer({self.obs_dim}, clip={clip}, count={count}, frozen={self.frozen})"

    @property
    def obs_dim(self) -> int:
        """Numbers in an observation."""
        return int(self.running.stats.shape[0])

    @property
    def clip(self) -> float | None:
        """Largest absolute value that comes out."""
        return self.running.clip

    @property
    def epsilon(self) -> float:
        """What is added to the variance."""
        return self.running.epsilon

    @property
    def frozen(self) -> bool:
        """Whether the statistics stay as they are."""
        return self.running.frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        self.running.frozen = value

    @property
    def count(self) -> int:
        """Observations so far."""
        return self.running.stats.count()

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean (obs_dim,), a copy."""
        return self.running.stats.mean()

    @property
    def var(self) -> NDArray[np.float64]:
        """Variance (obs_dim,), a copy."""
        return self.running.stats.var()

    def update(self, observations: ArrayLike) -> None:
        """Add observations (obs_dim,) or (B, obs_dim) to the statistics; all or nothing."""
        x = arrays.floats(observations, "observations")
        if x.ndim == 1:
            self.running.stats.update(x)
        else:
            self.running.stats.batch_update(x)

    def __call__(self, observations: ArrayLike) -> NDArray[Any]:
        """Add the observations to the statistics, unless frozen, and return them normalised."""
        return self.running(observations)

    def normalize(self, observations: ArrayLike) -> NDArray[Any]:
        """Return observations (obs_dim,) or (B, obs_dim) normalised; float32 for float32, else float64."""
        return self.running.normalize(observations)

    def to_dict(self) -> dict[str, Any]:
        """Return ``mean``, ``var``, ``epsilon``, ``clip`` and ``count`` as JSON holds them."""
        statistics = {"mean": self.mean.tolist(), "var": self.var.tolist()}
        return statistics | {"epsilon": self.epsilon, "clip": self.clip, "count": self.count}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ObservationNormalizer":
        """Build from what :meth:`to_dict` gave, frozen.

        Raises
        ------
        ConfigError, InvalidValueError, DTypeError, ShapeError
            Missing or unknown keys, lengths that differ, numbers that cannot be.
        """
        checked = check_normalizer(data, "normaliser")
        mean, var = np.array(checked["mean"]), np.array(checked["var"])
        count = round(checked["count"])
        made = cls(mean.size, clip=checked["clip"], epsilon=checked["epsilon"], prior_count=0.0 if count else 1.0)
        weight = count or 1.0  # without samples, the mean and variance weigh as one
        state = {"prior_count": 0.0 if count else 1.0, "count": count, "mean": mean, "m2": var * weight}
        made.running.load_state_dict({"stats": state, "frozen": True})
        return made

    def to_json(self) -> str:
        """Return :meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "ObservationNormalizer":
        """Build from what :meth:`to_json` gave; CodecError for what is no JSON, else as :meth:`from_dict`."""
        if not isinstance(text, (str, bytes)):
            raise CodecError(f"expected a normaliser as text, got {type(text).__name__}")
        return cls.from_dict(parse_json(text.encode() if isinstance(text, str) else text, "normaliser"))

    def fold(self, weight: ArrayLike, bias: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weight (out, obs_dim) and bias (out,) of a linear layer that takes raw observations instead.

        ``W (x - mean) / s + b = (W / s) x + (b - (W / s) mean)`` with ``s = sqrt(var + epsilon)``: exact only without a
        limit.

        Raises
        ------
        ConfigError
            There is a ``clip``.
        ShapeError
            A weight of another width, or a bias of another length.
        """
        if self.clip is not None:
            raise ConfigError(f"expected a normaliser without a limit to fold into weights, got clip={self.clip}")
        w = np.asarray(arrays.floats(weight, "weight", (None, self.obs_dim)), np.float64)
        b = np.asarray(arrays.floats(bias, "bias", (len(w),)), np.float64)
        scaled = w / np.sqrt(self.var + self.epsilon)
        return scaled, b - scaled @ self.mean

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.running,)


def _rebuild(running: RunningObservationNormalizer) -> ObservationNormalizer:
    made = ObservationNormalizer.__new__(ObservationNormalizer)
    made.running = running
    return made
