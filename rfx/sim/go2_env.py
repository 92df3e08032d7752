"""The Go2 as many environments at once, on MuJoCo's batched physics."""

import importlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfx import arrays
from rfx.envs.engine import DISABLED, NEXT_STEP, SAME_STEP
from rfx.envs.spaces import Box
from rfx.errors import ConfigError, DTypeError, InvalidStateError, InvalidValueError, ShapeError
from rfx.sim.go2_core import Go2Core
from rfx.sim.go2_model import JOINTS
from rfx.sim.go2_scene import build_scene
from rfx.sim.go2_tables import ROBOT
from rfx.sim.go2_task import REWARD_TERMS, Go2Task, task_of
from rfx.sim.kinematics import standing_height
from rfx.sim.mujoco_plant import load_mujoco
from rfx.sim.render import Camera, draw

CLEARANCE = 0.02  # of the feet over the ground at the start, m
MOST_ENVS = 2**17
LARGEST_SEED = 2**64 - 1
STATE = ("qpos", "qvel", "ctrl", "qacc_warmstart", "time")


class Go2Batch:
    """Many simulated Go2 with one task, stepped together; an :class:`rfx.envs.engine.Engine`.

    An action is twelve joint targets around the default pose of the layout, scaled and clipped; PD runs in the physics, at
    every one of ``substeps`` steps. Begins with the streams of seed 0, all episodes at their start.

    Parameters
    ----------
    num_envs : int
    threads : int
        That step the physics; the results are the same bytes for any number.
    task : str or Go2Task
        A name from ``rfx.sim.TASKS``: "walk", "stand", "walk_randomised", "walk_terrain".
    changes
        Fields of the task to change: ``layout=``, ``terrain=``, ``rewards=``, ``randomisation=``, ...

    Attributes
    ----------
    num_envs, obs_dim, max_episode_steps : int
    observation_space, action_space : Box
        Of one environment. Finite actions beyond the action space are clipped, as the layouts want it.
    task : Go2Task

    Raises
    ------
    MissingDependencyError
        MuJoCo is not installed (``rfx[sim]``).
    ConfigError, InvalidValueError, DTypeError
        No such task, or a field that makes no sense.
    """

    def __init__(self, num_envs: int, *, threads: int = 1, task: str | Go2Task = "walk", **changes: Any) -> None:
        self.num_envs = n = arrays.integer(num_envs, "num_envs", minimum=1, maximum=MOST_ENVS)
        self.threads = arrays.integer(threads, "threads", minimum=1, maximum=1024)
        self.task = task_of(task, **changes)
        self._lock = threading.Lock()
        load_mujoco()
        self._module = importlib.import_module("mujoco.batch")
        self._scene = build_scene(self.task)
        self._physics = self._module.Batch(self._scene.model, n, self.threads)
        pose = self.task.policy.action.in_motor_order("default_pose")
        self._core = Go2Core(n, self.task, standing_height(pose) + CLEARANCE, self._scene.heights)
        self._bind()
        layout = self.task.policy
        self.obs_dim, self.max_episode_steps = self._core.obs_dim, self.task.max_steps
        self.observation_space = Box(-layout.observation.clip, layout.observation.clip, (self.obs_dim,))
        self.action_space = Box(-layout.action.clip, layout.action.clip, (layout.action.size,))
        self._nobody = np.zeros(n, np.uint8)
        self._everybody = np.ones(n, np.uint8)
        self.seed_from(0)
        self.reset()

    def _bind(self) -> None:
        """Give the compiled half the rows of the physics, and the fields of the model that differ between environments."""
        physics, random, model = self._physics, self.task.random, self._scene.model
        state = [physics.bind(name) for name in STATE]
        state[-1] = state[-1].reshape(self.num_envs, 1)
        outputs = [physics.bind("actuator_force"), physics.bind("sensordata")]
        strong = random.motor_strength is not None
        fields = [
            physics.expand("actuator_gainprm") if strong else None,
            physics.expand("actuator_biasprm") if strong else None,
            physics.expand("geom_friction") if random.friction is not None else None,
            physics.expand("body_mass") if random.added_mass is not None else None,
        ]
        trunk = self._scene.trunk
        self._state = state
        self._core.bind(state, outputs, fields, trunk, float(model.body_mass[trunk]), self._scene.feet)
        self._heavy = fields[3] is not None
        self._delayed = random.latency is not None

    # -- seeds and episodes

    def seed(self, seeds: ArrayLike) -> None:
        """Give each environment a stream of random numbers from its seed, (num_envs,) integers of 0 to 2**64 - 1.

        Takes effect with the next :meth:`reset`; the level of the terrain is drawn anew then, too.
        """
        given = np.asarray(seeds)
        if given.dtype.kind not in "iu":
            raise DTypeError(f"expected seeds as integers, got {given.dtype}")
        if given.shape != (self.num_envs,):
            raise ShapeError(f"expected {self.num_envs} seeds, got an array of shape {given.shape}")
        if given.dtype.kind == "i" and (given < 0).any():
            raise InvalidValueError(f"expected seeds of at least 0, got {int(given.min())}")
        with self._lock:
            self._core.seed(np.ascontiguousarray(given, np.uint64))

    def seed_from(self, master: int) -> None:
        """Give environment i the stream of ``derive_seed(master, i)``; takes effect with the next :meth:`reset`."""
        word = arrays.integer(master, "seed", minimum=0, maximum=LARGEST_SEED)
        with self._lock:
            self._core.seed_from(word)

    def reset(
        self, out: NDArray[np.float32] | None = None, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Begin episodes anew, all or where ``mask`` is true; the observations of all, (num_envs, obs_dim).

        Rows of ``out`` where the mask is false are the observations that those environments gave last.
        """
        obs = arrays.out_array(out, (self.num_envs, self.obs_dim), np.float32)
        which = self._everybody if mask is None else self._flags(mask)
        with self._lock:
            self._begin(which)
            np.copyto(obs, self._core.last_obs)
            self._core.observe(which, obs)
        return obs

    def _flags(self, mask: Any) -> NDArray[np.uint8]:
        given = np.asarray(mask)
        if given.dtype != np.bool_:
            raise DTypeError(f"expected mask of dtype bool, got {given.dtype}")
        if given.shape != (self.num_envs,):
            raise ShapeError(f"expected mask of shape ({self.num_envs},), got {given.shape}")
        return np.ascontiguousarray(given).view(np.uint8)

    def _begin(self, which: NDArray[np.uint8]) -> None:
        self._core.begin(which)
        if self._heavy:
            self._physics.set_const(np.flatnonzero(which).astype(np.int32))

    # -- steps

    def step(
        self,
        actions: ArrayLike,
        obs: NDArray[np.float32],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        terminal_obs: NDArray[np.float32],
        autoreset: int = SAME_STEP,
    ) -> None:
        """Take one step of all into the arrays given; see :class:`rfx.envs.engine.Engine` for ``autoreset``.

        Raises
        ------
        InvalidValueError, ShapeError, DTypeError
            An action is not finite, or an array does not fit; nothing has moved then.
        InvalidStateError
            An episode is over, and ``autoreset`` does not begin it anew.
        """
        n, wide = self.num_envs, (self.num_envs, self.obs_dim)
        if autoreset not in (SAME_STEP, NEXT_STEP, DISABLED):
            raise ConfigError(f"expected autoreset to be 0, 1 or 2, got {autoreset!r}")
        given = self._checked(actions)
        obs, terminal_obs = (arrays.out_array(a, wide, np.float32) for a in (obs, terminal_obs))
        rewards = arrays.out_array(rewards, (n,), np.float64, name="rewards")
        ends = [arrays.out_array(a, (n,), np.bool_, name="flags").view(np.uint8) for a in (terminated, truncated)]
        with self._lock:
            some_wait = self._core.waiting() > 0
            waiting = self._core.ended() if some_wait else self._nobody
            if some_wait and autoreset != NEXT_STEP:
                raise InvalidStateError(
                    f"the episode of environment {int(waiting.argmax())} is over: reset() it before the next step"
                )
            active = (~waiting).view(np.uint8) if some_wait else self._everybody
            self._core.act(given)
            failed = self._advance(np.flatnonzero(active).astype(np.int32) if some_wait else None)
            over = self._core.score(active, failed, rewards, *ends)
            if some_wait:
                self._begin(waiting.view(np.uint8))
            self._core.observe(self._everybody, terminal_obs)
            np.copyto(obs, terminal_obs)
            if over and autoreset == SAME_STEP:
                which = ends[0] | ends[1]
                self._begin(which)
                self._core.observe(which, obs)

    def _checked(self, actions: ArrayLike) -> NDArray[np.float32]:
        given = np.asarray(actions)
        if given.dtype.kind not in "fiu":
            raise DTypeError(f"expected actions to be numbers, got {given.dtype}")
        if given.shape != (self.num_envs, len(JOINTS)):
            raise ShapeError(f"expected actions of shape ({self.num_envs}, 12), got {given.shape}")
        if given.dtype != np.float32:
            with np.errstate(over="ignore"):
                given = given.astype(np.float32)
        single = np.ascontiguousarray(given)
        bad = self._core.first_bad(single)
        if bad >= 0:
            env, k = divmod(bad, len(JOINTS))
            raise InvalidValueError(f"expected actions to be finite, got {single[env, k]} at actions[{env}, {k}]")
        return single

    def _advance(self, ids: NDArray[np.int32] | None) -> NDArray[np.uint8]:
        """Let the physics of some go on for one action; returns those that MuJoCo could not step."""
        if ids is not None and not len(ids):
            return self._nobody
        try:
            if self._delayed:
                controls = self._core.controls if ids is None else self._core.controls[ids]
                self._physics.rollout(self.task.substeps, controls, record=(), ids=ids)
            else:
                self._physics.step(ids, nstep=self.task.substeps)
        except self._module.SimulationError as error:
            failed = np.zeros(self.num_envs, np.uint8)
            failed[error.ids] = 1
            return failed
        return self._nobody

    # -- what can be seen

    @property
    def commands(self) -> NDArray[np.float64]:
        """The velocities asked for, (num_envs, 3): forwards, to the left (m/s), yaw (rad/s); a copy."""
        with self._lock:
            return np.array(self._core.robots["command"])

    @commands.setter
    def commands(self, values: ArrayLike) -> None:
        """Ask for other velocities, until new ones are drawn; seen in the next observation."""
        given = arrays.finite(arrays.floats(values, "commands", (self.num_envs, 3), np.float64), "commands")
        with self._lock:
            self._core.robots["command"] = given
            self._core.robots["follows"] = 0

    @property
    def reward_terms(self) -> dict[str, NDArray[np.float64]]:
        """What each term with a weight gave in the last step, (num_envs,), weighted, copies."""
        return self._named(self._core.terms)

    @property
    def episode_sums(self) -> dict[str, NDArray[np.float64]]:
        """What each term with a weight has given since the episode began, (num_envs,), weighted, copies."""
        return self._named(self._core.sums)

    @property
    def finished(self) -> dict[str, NDArray[Any]]:
        """Of the last episode of each environment that is over: ``steps``, 0 before there is one, and the sums of the terms."""
        return {"steps": self._core.finished_steps.copy(), **self._named(self._core.finished)}

    def _named(self, table: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        with self._lock:
            weights = self.task.rewards.weights
            return {name: table[:, k].copy() for k, name in enumerate(REWARD_TERMS) if weights.get(name)}

    @property
    def bodies(self) -> dict[str, NDArray[Any]]:
        """What was drawn: friction, added mass (kg), motor strength, delay (physics steps), level and kind of ground; copies."""
        with self._lock:
            names = ("friction", "mass", "strength", "delay", "level", "kind")
            return {name: np.array(self._core.robots[name]) for name in names}

    def physics(self, env: int) -> tuple[Any, Any]:
        """Return (MjModel, MjData) of one environment as it is now, copies, with everything computed (``mj_forward``)."""
        index = arrays.integer(env, "env", minimum=0, maximum=self.num_envs - 1)
        with self._lock:
            model, data = self._physics.get_model(index), self._physics.get_data(index)
        warm = data.qacc_warmstart.copy()
        load_mujoco().mj_forward(model, data)
        data.qacc_warmstart[:] = warm  # so that stepping the copy is stepping the environment
        return model, data

    def render(
        self, env: int = 0, width: int = 480, height: int = 360, camera: str | Camera = "corner"
    ) -> NDArray[np.uint8]:
        """Draw one environment in software; (height, width, 3) uint8. The floor is drawn level, at the height below the trunk."""
        _, data = self.physics(env)
        positions = np.array(data.xpos[self._scene.links])
        rotations = np.array(data.xmat[self._scene.links]).reshape(-1, 3, 3)
        if not np.isfinite(positions).all():
            raise InvalidStateError(f"the state of environment {env} is no longer finite; reset() it")
        positions[:, 2] -= self.ground_height(positions[0, 0], positions[0, 1])
        return draw(positions, rotations, width, height, camera)

    def ground_height(self, x: float, y: float) -> float:
        """Return the height of the ground at a place (m)."""
        at = arrays.number(x, "x"), arrays.number(y, "y")
        return self._core.ground_at(*at)

    # -- to keep

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on; copies. The task and the number of environments are not in it."""
        with self._lock:
            keys, positions = self._core.streams()
            return {
                "physics": np.hstack(self._state),
                "robots": self._core.robots.copy(),
                "keys": keys,
                "positions": positions,
                "terms": self._core.terms.copy(),
                "sums": self._core.sums.copy(),
                "finished": self._core.finished.copy(),
                "finished_steps": self._core.finished_steps.copy(),
                "last_obs": self._core.last_obs.copy(),
            }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` of the same task gave, to the byte.

        ConfigError, ShapeError, DTypeError or InvalidValueError where it does not fit; nothing has changed then.
        """
        with self._lock:
            checked = self._checked_state(state)
            start = 0
            for rows in self._state:
                rows[:] = checked["physics"][:, start : start + rows.shape[1]]
                start += rows.shape[1]
            for name in ("robots", "terms", "sums", "finished", "finished_steps", "last_obs"):
                getattr(self._core, name)[:] = checked[name]
            self._core.set_streams(checked["keys"], checked["positions"])
            self._core.dress_all()
            if self._heavy:
                self._physics.set_const()

    def _checked_state(self, state: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        mine = {
            name: getattr(self._core, name)
            for name in ("robots", "terms", "sums", "finished", "finished_steps", "last_obs")
        }
        keys, positions = self._core.streams()
        mine |= {"physics": np.hstack(self._state), "keys": keys, "positions": positions}
        if not isinstance(state, Mapping) or set(state) != set(mine):
            raise ConfigError(f"expected the entries {sorted(mine)} in the state")
        checked = {}
        for name, array in mine.items():
            given = np.asarray(state[name])
            if given.dtype != array.dtype:
                raise DTypeError(f"expected {name} of dtype {array.dtype}, got {given.dtype}")
            if given.shape != array.shape:
                raise ShapeError(f"expected {name} of shape {array.shape}, got {given.shape}")
            checked[name] = np.ascontiguousarray(given)
        for name in ROBOT.names or ():
            arrays.finite(checked["robots"][name], f"robots[{name!r}]")
        ranges = {"delay": (0, 2 * self.task.substeps), "kind": (-1, len(self.task.ground.kinds) - 1)}
        ranges |= {"level": (0, self.task.ground.levels - 1), "steps": (0, self.task.max_steps)}
        for name, (low, high) in ranges.items():
            values = checked["robots"][name]
            if values.min() < low or values.max() > high:
                raise InvalidValueError(f"expected {name} of the robots within {low} and {high}")
        return checked

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.num_envs, self.threads, self.task, self.state_dict())

    def __repr__(self) -> str:
        return f"Go2Batch({self.num_envs}, threads={self.threads}, layout={self.task.policy.name!r})"


def _rebuild(num_envs: int, threads: int, task: Go2Task, state: dict[str, Any]) -> Go2Batch:
    made = Go2Batch(num_envs, threads=threads, task=task)
    made.load_state_dict(state)
    return made
