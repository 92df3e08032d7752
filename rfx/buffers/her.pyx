"""Hindsight experience replay."""

from libc.stdint cimport int64_t, uint64_t

import math

import numpy as np

from rfx.buffers.episodes cimport Lane
from rfx.buffers.layout cimport MOST_COLUMNS, Layout, Target
from rfx.buffers.sequence cimport SequenceReplayBuffer
from rfx.kernels.chacha cimport ChaCha, chacha_below, chacha_seed
from rfx.kernels.lock cimport lock_leave, lock_take
from rfx.kernels.ring cimport gather_rows

from rfx import arrays
from rfx.buffers import files
from rfx.buffers.layout import fitted
from rfx.buffers.replay import without
from rfx.buffers.saved import rebuilt
from rfx.errors import ConfigError, DTypeError, EmptyBufferError

cdef object LARGEST_SEED = 2**64 - 1
cdef object BOOL = np.dtype(np.bool_)
cdef object FLOAT32 = np.dtype(np.float32)

GOALS = ("achieved_goal", "desired_goal")
STRATEGIES = ("final", "future", "episode")


cdef class HERBuffer(SequenceReplayBuffer):
    """Transitions towards goals, some of them sampled as if another goal had been meant (Andrychowicz et al. 2017).

    Parameters
    ----------
    capacity, obs_shape, act_shape
        As of :class:`SequenceReplayBuffer`, and so are obs_dtype, act_dtype, extra and num_envs.
    goal_shape : int or tuple of int
        Of a goal, float32.
    strategy : {"future", "final", "episode"}
        Which goal stands in: one that was achieved by this or a later transition of the episode, by its last one, or by any.
    k : int
        With "future": how many relabelled transitions there are for each original one, if ``her_ratio`` is not given.
    her_ratio : float, optional
        Share of a sample that is relabelled, 0 to 1; k / (k + 1) by default.
    tolerance : float
        A goal is reached nearer than this, in the Euclidean norm.
    reward_fn, terminated_fn : callable, optional
        ``f(achieved, desired)`` of arrays (n, ...) gives (n,) rewards, or bools. By default the reward is 0 where the goal is
        reached and -1 elsewhere; a transition that ended with its own goal reached (as a task that ends on success does) goes
        on ending only where it reaches the new goal as well, and any other keeps its ``terminated``.
    goal_offset : int, optional
        The desired goal is also part of each observation, from this number on: it is replaced there as well. Of dict
        observations, a part named ``desired_goal`` always is.

    Notes
    -----
    ``achieved_goal`` of a transition is what its ``next_obs`` has achieved. Relabelled are only transitions of episodes that
    have ended, every one of them alike. See :class:`SequenceReplayBuffer` for copies, threads and sequences.
    """

    cdef readonly str strategy
    cdef readonly double her_ratio
    cdef readonly double tolerance
    cdef readonly object reward_fn
    cdef readonly object terminated_fn
    cdef readonly object goal_offset
    cdef int kind
    cdef Py_ssize_t achieved        # columns
    cdef object own_extra

    def __cinit__(self, capacity, obs_shape, act_shape=1, goal_shape=1, *others, strategy="future", k=4, her_ratio=None,
                  tolerance=0.05, reward_fn=None, terminated_fn=None, goal_offset=None, extra=None, **further):
        if strategy not in STRATEGIES:
            raise ConfigError(f"expected strategy to be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        self.strategy, self.kind = strategy, STRATEGIES.index(strategy)
        often = arrays.integer(k, "k", minimum=0)
        self.her_ratio = share(often / (often + 1) if her_ratio is None else her_ratio)
        self.tolerance = arrays.number(tolerance, "tolerance", minimum=0.0)
        for name, function in (("reward_fn", reward_fn), ("terminated_fn", terminated_fn)):
            if function is not None and not callable(function):
                raise DTypeError(f"expected {name} to be callable, got {type(function).__name__}")
        self.reward_fn, self.terminated_fn, self.own_extra = reward_fn, terminated_fn, extra
        self.achieved = self.layout.n_slots - 2
        if goal_offset is not None:
            shape, goal = self.layout.schema[0].shape, self.layout.schema[self.achieved].shape
            if self.layout.obs_names or len(shape) != 1 or len(goal) != 1:
                raise ConfigError("expected goal_offset only where observations and goals are vectors")
            arrays.integer(goal_offset, "goal_offset", minimum=0, maximum=shape[0] - goal[0])
        self.goal_offset = goal_offset

    def __init__(self, capacity, obs_shape, act_shape=1, goal_shape=1, *, strategy="future", k=4, her_ratio=None, tolerance=0.05,
                 reward_fn=None, terminated_fn=None, goal_offset=None, num_envs=1, obs_dtype=np.float32, act_dtype=np.float32,
                 extra=None):
        pass

    @staticmethod
    def make_layout(obs_shape, act_shape, obs_dtype, act_dtype, extra, goal_shape=1, **further):
        """Return the layout of a row: a transition, the columns of the user, and the two goals."""
        taken = set(extra or ()) & {*GOALS, "relabelled"}
        if taken:
            raise ConfigError(f"the name {min(taken)!r} is taken by the buffer itself")
        goals = {name: (goal_shape, FLOAT32) for name in GOALS}
        return Layout(obs_shape, act_shape, obs_dtype, act_dtype, {**(extra or {}), **goals})

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, achieved_goal, desired_goal, extra=None, env=0):
        """Store one transition of environment ``env``; returns the slot it went to. See :meth:`ReplayBuffer.push`.

        ``achieved_goal`` is what ``next_obs`` has achieved, ``desired_goal`` what was asked for.
        """
        columns = with_goals(extra, achieved_goal, desired_goal)
        return self.put_one(env, obs, action, reward, terminated, truncated, next_obs, columns)

    def push_slices(self, obs, next_obs, action, reward, terminated, truncated, achieved_goal, desired_goal):
        """Store one transition of environment 0, in the order of the design document; see :meth:`push`."""
        columns = with_goals(None, achieved_goal, desired_goal)
        return self.put_one(0, obs, action, reward, terminated, truncated, next_obs, columns)

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, achieved_goals, desired_goals, extra=None,
                   envs=None):
        """Store n transitions; see :meth:`SequenceReplayBuffer.push_batch`."""
        columns = with_goals(extra, achieved_goals, desired_goals)
        return self.put_many(envs, obs, actions, rewards, terminated, truncated, next_obs, columns)

    # -- out

    def sample(self, batch_size, seed, her_ratio=None, out=None):
        """Draw transitions uniformly, ``her_ratio`` of them (rounded up) with a goal that was achieved.

        Parameters
        ----------
        batch_size, seed, out
            As of :meth:`ReplayBuffer.sample`.
        her_ratio : float, optional
            In place of the buffer's own.

        Returns
        -------
        dict of str to ndarray
            As of :meth:`ReplayBuffer.sample`, with ``achieved_goal``, ``desired_goal`` and ``relabelled``, bool. Transitions
            with their own goal come first. Of relabelled ones, desired goal, reward and termination are those of the new goal.

        Raises
        ------
        EmptyBufferError
            There is no transition, or none of an episode that has ended.
        """
        cdef Py_ssize_t k, own, n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef uint64_t word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        cdef double ratio = self.her_ratio if her_ratio is None else share(her_ratio)
        cdef Target[MOST_COLUMNS] targets
        cdef Target[MOST_COLUMNS] goals
        cdef ChaCha rng
        cdef bint found = True
        own = n - min(math.ceil(n * ratio * (1 - 1e-9)), n)
        if n and self.count == 0:
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
        batch = self.layout.batch((n,), without(out, ()), targets, (("relabelled", BOOL),))
        index, source = np.empty((2, n), np.int64)
        new_goal = np.empty((n - own, *self.layout.schema[self.achieved].shape), np.float32)
        cdef int64_t[::1] slots = index
        cdef int64_t[::1] sources = source
        cdef unsigned char[::1] goal_bytes = new_goal.reshape(-1).view(np.uint8)
        for k in range(self.layout.n_slots):
            goals[k] = NULL
        if goal_bytes.shape[0]:
            goals[self.achieved] = &goal_bytes[0]
        if n:
            with nogil:
                chacha_seed(&rng, word)
                lock_take(&self.lock)
                self.uniform(&rng, &slots[0], own)
                found = own == n or self.relabelled(&rng, &slots[own], &sources[own], n - own)
                if found:
                    gather_rows(self.rows, self.layout.stride, &slots[0], n, self.layout.slots, targets, self.layout.n_slots)
                    if own < n:
                        gather_rows(self.rows, self.layout.stride, &sources[own], n - own, self.layout.slots, goals,
                                    self.layout.n_slots)
                lock_leave(&self.lock)
        if not found:
            raise EmptyBufferError(f"expected an episode that has ended, {self!r} has none")
        batch["indices"] = index
        batch["relabelled"][:own], batch["relabelled"][own:] = False, True
        if own < n:
            self.relabel(batch, slice(own, n), new_goal)
        return batch

    cdef bint relabelled(self, ChaCha* rng, int64_t* slots, int64_t* sources, Py_ssize_t n) noexcept nogil:
        # Transitions of ended episodes, and those whose achieved goal each is to have; False where there are none.
        cdef Py_ssize_t i, env, k
        cdef int64_t total = 0, drawn, there, step, first, last, source
        cdef const Lane* lane
        for env in range(self.num_envs):
            lane = self.tracker.lanes + env
            total += max(lane.open - self.tracker.oldest(lane), 0)
        if total == 0:
            return False
        for i in range(n):
            drawn = chacha_below(rng, total)
            for env in range(self.num_envs):
                lane = self.tracker.lanes + env
                there = max(lane.open - self.tracker.oldest(lane), 0)
                if drawn < there:
                    break
                drawn -= there
            step = self.tracker.oldest(lane) + drawn
            k = self.tracker.find(lane, step)
            first = max(self.tracker.start_of(lane, k), self.tracker.oldest(lane))
            last = self.tracker.end_of(lane, k) - 1
            if self.kind == 0:
                source = last
            elif self.kind == 1:
                source = step + <int64_t>chacha_below(rng, last - step + 1)
            else:
                source = first + <int64_t>chacha_below(rng, last - first + 1)
            slots[i] = env * self.room + step % self.room
            sources[i] = env * self.room + source % self.room
        return True

    def relabel(self, batch, rows, goal):
        """Put other goals into these rows of a sample, with the rewards and terminations that follow."""
        achieved, former, n = batch["achieved_goal"][rows], batch["desired_goal"][rows].copy(), len(goal)
        batch["desired_goal"][rows] = goal
        if self.goal_offset is not None:
            columns = slice(self.goal_offset, self.goal_offset + goal.shape[1])
            batch["obs"][rows, columns] = batch["next_obs"][rows, columns] = goal
        elif "desired_goal" in self.layout.obs_names:
            batch["obs"]["desired_goal"][rows] = batch["next_obs"]["desired_goal"][rows] = goal
        if self.reward_fn is None:
            batch["rewards"][rows] = np.where(self.reached(achieved, goal), np.float32(0), np.float32(-1))
        else:
            rewards = np.asarray(self.reward_fn(achieved, goal))
            if rewards.dtype.kind != "f":
                raise DTypeError(f"expected reward_fn to give floats, got {rewards.dtype}")
            batch["rewards"][rows] = fitted(rewards.astype(np.float32), "rewards of reward_fn", (n,), FLOAT32)
        if self.terminated_fn is not None:
            batch["terminated"][rows] = fitted(self.terminated_fn(achieved, goal), "what terminated_fn gives", (n,), BOOL)
        else:
            batch["terminated"][rows] &= self.reached(achieved, goal) | ~self.reached(achieved, former)

    def reached(self, achieved, desired):
        """Return where goals (n, ...) are nearer to each other than ``tolerance``, (n,) bool."""
        apart = (achieved - desired).reshape(len(achieved), -1)
        return np.einsum("ij,ij->i", apart, apart) < np.float32(self.tolerance) ** 2

    # -- state

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {**SequenceReplayBuffer.config(self), "extra": self.own_extra,
                "goal_shape": self.layout.schema[self.achieved].shape, "strategy": self.strategy, "her_ratio": self.her_ratio,
                "tolerance": self.tolerance, "goal_offset": self.goal_offset, "reward_fn": self.reward_fn,
                "terminated_fn": self.terminated_fn}

    def save(self, path):
        """Write parameters and state to a file; functions are not in it, :meth:`load` takes them."""
        config = self.config()
        functions = [name for name in ("reward_fn", "terminated_fn") if config.pop(name) is not None]
        files.save_state(path, type(self).__name__, {**config, "functions": functions}, self.state_dict())

    @classmethod
    def load(cls, path, reward_fn=None, terminated_fn=None):
        """Return the buffer that :meth:`save` wrote; ConfigError where it had functions that are not given."""
        config, state = files.load_state(path, cls.__name__)
        given = {"reward_fn": reward_fn, "terminated_fn": terminated_fn}
        for name in config.pop("functions", ()):
            if given.get(name) is None:
                raise ConfigError(f"expected {name}, as the buffer had one when it was saved")
        return rebuilt(cls, {**config, **given}, state)

    def __repr__(self):
        return (f"HERBuffer(capacity={self.capacity}, len={self.count}, episodes={self.num_complete_episodes()}, "
                f"strategy={self.strategy!r}, her_ratio={self.her_ratio:g}, {self.layout.describe()})")


cdef double share(ratio) except -1:
    return arrays.number(ratio, "her_ratio", minimum=0.0, maximum=1.0)


cdef dict with_goals(object extra, object achieved, object desired):
    goals = {"achieved_goal": achieved, "desired_goal": desired}
    if extra is None:
        return goals
    if not isinstance(extra, dict) or not extra.keys().isdisjoint(goals):
        raise ConfigError(f"expected extra to be a dict of the other columns, got {extra!r}")
    return {**extra, **goals}
