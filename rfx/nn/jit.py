"""A wrapper that compiles any policy, kept for its name: every policy compiles its own calls."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from rfx.errors import DTypeError
from rfx.nn.engine import Tensor
from rfx.nn.policy import Policy


class JitPolicy(Policy):
    """A policy whose calls are recorded once per shape and replayed from then on.

    Weights, files and normaliser are those of the policy inside; what :meth:`load` returns is wrapped again.

    Parameters
    ----------
    policy : Policy

    Raises
    ------
    DTypeError
        Something else.
    """

    def __init__(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise DTypeError(f"expected a Policy to wrap, got {type(policy).__name__}")
        self.policy: Policy = policy.policy if isinstance(policy, JitPolicy) else policy
        self._rfx = self.policy._rfx  # normaliser, robot and notes are the same

    def forward(self, obs: Tensor) -> Tensor:
        """Return the actions of the policy inside, as a lazy graph."""
        return self.policy.forward(obs)

    def __call__(self, obs: Tensor | ArrayLike) -> Tensor:
        """Return the actions of the policy inside, compiled after the first call."""
        return self.policy(obs)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Save the policy inside; see :meth:`Policy.save`."""
        return self.policy.save(path, **options)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "JitPolicy":
        """Load a policy and wrap it; see :meth:`Policy.load`."""
        return cls(Policy.load(path))

    def config_dict(self) -> dict[str, Any]:
        """Return the arguments of the policy inside."""
        return self.policy.config_dict()

    def describe(self) -> list[dict[str, Any]] | None:
        """Return the layers of the policy inside."""
        return self.policy._layers()

    def get_parameters(self) -> dict[str, NDArray[Any]]:
        """Return the weights of the policy inside."""
        return self.policy.get_parameters()

    def set_parameters(self, parameters: Mapping[str, ArrayLike]) -> None:
        """Give weights to the policy inside."""
        self.policy.set_parameters(parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        return JitPolicy, (self.policy,)

    def __repr__(self) -> str:
        return f"JitPolicy({self.policy!r})"
