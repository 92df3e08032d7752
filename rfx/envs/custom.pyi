"""Environments of one's own by three functions of C."""

from collections.abc import Mapping
from typing import Any

from rfx.envs.batched import BatchedEnv
from rfx.envs.spaces import Box, Discrete

class CustomBatch(BatchedEnv):
    def __init__(
        self,
        num_envs: int,
        spec: Any,
        *,
        observation_space: Box,
        action_space: Box | Discrete,
        max_episode_steps: int,
        parameters: Mapping[str, float] | None = None,
    ) -> None: ...
