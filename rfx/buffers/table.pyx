"""An append-only table of transitions, for on-policy methods."""

from libc.string cimport memcpy

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Layout, Source, Target
from rfx.buffers.saved cimport Saved
from rfx.kernels.lock cimport Lock, lock_leave, lock_take, lock_take_gil

from rfx import arrays
from rfx.errors import ShapeError


cdef class ExperienceTable(Saved):
    """Transitions in the order they came, each column one array, read without a copy.

    Parameters
    ----------
    obs_shape, act_shape, obs_dtype, act_dtype, extra
        As of :class:`ReplayBuffer`.
    with_next : bool
        Whether ``next_obs`` is stored.
    capacity : int
        Rows to make room for at once; more are made room for when they come.

    Notes
    -----
    Columns are views. They keep showing what they showed after more is pushed; after :meth:`clear`, which keeps the room,
    new rows are written over what they show. Safe under threads.
    """

    cdef readonly Layout layout
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef list stored                 # the columns' arrays, (room, ...)
    cdef Target[MOST_COLUMNS] bases
    cdef Lock lock                   # over all of the above; held only around C code

    def __cinit__(self, obs_shape, act_shape=1, *, obs_dtype=np.float32, act_dtype=np.float32, extra=None, with_next=False,
                  capacity=1024):
        self.layout = Layout(obs_shape, act_shape, obs_dtype, act_dtype, extra, with_next=bool(with_next))
        self.stored = []
        self.reserve(arrays.integer(capacity, "capacity", minimum=0))

    def __init__(self, obs_shape, act_shape=1, *, obs_dtype=np.float32, act_dtype=np.float32, extra=None, with_next=False,
                 capacity=1024):
        pass

    def __len__(self):
        return self.count

    @property
    def capacity(self):
        """How many rows there is room for."""
        return self.room

    @property
    def schema(self):
        """The columns: name, shape and dtype of each."""
        return self.layout.schema

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs=None, extra=None):
        """Append one transition; returns its number. ``next_obs`` counts only where the table has that column.

        ShapeError, DTypeError, InvalidValueError, ConfigError where something does not fit; nothing is stored then.
        """
        cdef Entry entry
        _keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        return self.append(entry.sources, 1)

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs=None, extra=None):
        """Append n transitions, given as arrays (n, ...); returns the number of the first."""
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n
        _keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
        return self.append(sources, n)

    cdef object append(self, const Source* sources, Py_ssize_t n):
        cdef Py_ssize_t k, first, size
        while True:
            lock_take_gil(&self.lock)
            first = self.count
            if first + n <= self.room:
                for k in range(self.layout.n_slots):
                    size = self.layout.slots[k].size
                    memcpy(self.bases[k] + first * size, sources[k], n * size)
                self.count += n
                lock_leave(&self.lock)
                return first
            lock_leave(&self.lock)
            self.reserve(max(first + n, 2 * self.room))

    def reserve(self, rows):
        """Make room for at least so many rows in all."""
        cdef Py_ssize_t k, size, wanted = arrays.integer(rows, "rows", minimum=0, maximum=2**48)
        if wanted <= self.room and self.stored:
            return
        made = [np.empty((wanted, *c.shape), c.dtype) for c in self.layout.schema]
        addresses = [array.ctypes.data for array in made]
        cdef Target[MOST_COLUMNS] bases
        for k in range(self.layout.n_slots):
            bases[k] = <Target><size_t>addresses[k]
        lock_take_gil(&self.lock)
        if wanted > self.room or not self.stored:  # nobody else was quicker
            for k in range(self.layout.n_slots):
                size = self.layout.slots[k].size
                if self.count:
                    memcpy(bases[k], self.bases[k], self.count * size)
                self.bases[k] = bases[k]
            self.stored, made, self.room = made, self.stored, wanted
        lock_leave(&self.lock)

    def clear(self):
        """Forget all rows; the room stays."""
        with nogil:
            lock_take(&self.lock)
            self.count = 0
            lock_leave(&self.lock)

    # -- out

    @property
    def columns(self):
        """All columns, (len, ...): views."""
        n, held = self.count, self.stored
        return self.layout.nested([array[:n] for array in held])

    def observations(self):
        """Return ``obs``, (len, ...): a view."""
        return self.columns["obs"]

    def actions(self):
        """Return the actions, (len, ...): a view."""
        return self.columns["actions"]

    def rewards(self):
        """Return the rewards, (len,) float32: a view."""
        return self.columns["rewards"]

    def terminated(self):
        """Return where there is no future, (len,) bool: a view."""
        return self.columns["terminated"]

    def truncated(self):
        """Return where the episode was cut, (len,) bool: a view."""
        return self.columns["truncated"]

    def observations_raw(self):
        """Return ``obs`` as one row of numbers, (len * obs_dim,): a view."""
        return self.columns["obs"].reshape(-1)

    def rewards_raw(self):
        """Return the rewards, as :meth:`rewards`."""
        return self.columns["rewards"]

    def rollout(self, num_envs):
        """Return all columns as (T, num_envs, ...): views of what ``num_envs`` environments pushed in turn.

        ShapeError where the rows are no whole number of steps of all of them.
        """
        envs = arrays.integer(num_envs, "num_envs", minimum=1)
        n, held = self.count, self.stored
        if n % envs:
            raise ShapeError(f"expected a multiple of {envs} rows, there are {n}")
        return self.layout.nested([array[:n].reshape(n // envs, envs, *array.shape[1:]) for array in held])

    # -- state

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {**self.layout.config, "with_next": bool(self.layout.with_next), "capacity": self.room}

    def state_dict(self):
        """Return the columns, copies."""
        n, held = self.count, self.stored
        return {"rows": self.layout.nested([array[:n].copy() for array in held])}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a table with the same columns gave; all or nothing."""
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t k
        n, keep = self.layout.checked_rows(state["rows"] if isinstance(state, dict) and "rows" in state else None)
        for k, array in enumerate(keep):
            sources[k] = <Source><size_t>array.ctypes.data
        self.reserve(n)
        self.clear()
        self.append(sources, n)

    def __repr__(self):
        return f"ExperienceTable(len={self.count}, {self.layout.describe()})"
