"""The classic environments in batches."""

from typing import Any

from rfx.envs.batched import BatchedEnv

class CartPoleBatch(BatchedEnv):
    def __init__(
        self,
        num_envs: int,
        *,
        gravity: float = 9.8,
        masscart: float = 1.0,
        masspole: float = 0.1,
        length: float = 0.5,
        force_mag: float = 10.0,
        tau: float = 0.02,
        max_episode_steps: int = 500,
    ) -> None: ...

class PendulumBatch(BatchedEnv):
    def __init__(
        self, num_envs: int, *, g: float = 10.0, mass: float = 1.0, length: float = 1.0, max_episode_steps: int = 200
    ) -> None: ...

class MountainCarBatch(BatchedEnv):
    def __init__(
        self,
        num_envs: int,
        *,
        force: float = 0.001,
        gravity: float = 0.0025,
        goal_velocity: float = 0.0,
        max_episode_steps: int = 200,
    ) -> None: ...

class MountainCarContinuousBatch(BatchedEnv):
    def __init__(
        self,
        num_envs: int,
        *,
        power: float = 0.0015,
        gravity: float = 0.0025,
        goal_velocity: float = 0.0,
        max_episode_steps: int = 999,
    ) -> None: ...

class AcrobotBatch(BatchedEnv):
    def __init__(
        self,
        num_envs: int,
        *,
        link_mass_1: float = 1.0,
        link_mass_2: float = 1.0,
        link_length_1: float = 1.0,
        link_com_pos_1: float = 0.5,
        link_com_pos_2: float = 0.5,
        link_moi: float = 1.0,
        dt: float = 0.2,
        max_episode_steps: int = 500,
    ) -> None: ...

KINDS: dict[str, Any]
