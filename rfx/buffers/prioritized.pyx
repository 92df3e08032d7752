"""Replay in proportion to priorities."""

cimport numpy as cnp
from libc.math cimport INFINITY, isfinite, pow
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free

import numpy as np

from rfx.buffers.layout cimport MOST_COLUMNS, Entry, Source, Target
from rfx.buffers.replay cimport ReplayBuffer
from rfx.kernels.chacha cimport ChaCha, chacha_fill_units, chacha_seed
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil
from rfx.kernels.ring cimport rows_alloc
from rfx.kernels.sum_tree cimport (
    SumTree,
    sum_tree_find,
    sum_tree_init,
    sum_tree_least,
    sum_tree_set,
    sum_tree_size,
    sum_tree_total,
    sum_tree_unset,
)

from rfx import arrays
from rfx.buffers.replay import slots_given, without
from rfx.errors import ConfigError, EmptyBufferError, InvalidValueError, ShapeError

cnp.import_array()

cdef object LARGEST_SEED = 2**64 - 1
cdef object FLOAT32 = np.dtype(np.float32)
cdef object INT64 = np.dtype(np.int64)


cdef class PrioritizedReplayBuffer(ReplayBuffer):
    """A ring of transitions, drawn with probability ``priority**alpha / sum`` (Schaul et al. 2016).

    Parameters
    ----------
    capacity, obs_shape, act_shape
        As of :class:`ReplayBuffer`, and so are obs_dtype, act_dtype, extra, n_step, gamma and num_envs.
    alpha : float
        Priorities count to this power, at least 0; 0 draws uniformly.
    beta : float
        Exponent of the importance weights, 0 to 1.
    beta_end, beta_samples : float, int, optional
        With ``beta_samples``, beta goes from ``beta`` to ``beta_end`` (1) in even steps over so many calls of :meth:`sample`.
    normalize : {"buffer", "batch"}
        What the largest weight of is 1: of all transitions stored (as in the paper), or of those drawn.

    Notes
    -----
    A new transition gets the largest priority given so far (at first 1), unless it comes with one. Sums are computed again
    from their parts at each change and do not drift. See :class:`ReplayBuffer` for copies, views and threads.
    """

    cdef readonly double alpha
    cdef readonly double max_priority
    cdef double max_share            # of the largest priority
    cdef readonly str normalize
    cdef bint over_all
    cdef double beta_start
    cdef double beta_end
    cdef Py_ssize_t beta_samples
    cdef Py_ssize_t sampled
    cdef SumTree tree
    cdef unsigned char* tree_memory

    def __cinit__(self, capacity, obs_shape, act_shape=1, alpha=0.6, beta=0.4, *, beta_end=1.0, beta_samples=0,
                  normalize="buffer", **further):
        self.alpha = arrays.number(alpha, "alpha", minimum=0.0, maximum=1e3)
        self.beta_start = arrays.number(beta, "beta", minimum=0.0, maximum=1.0)
        self.beta_end = arrays.number(beta_end, "beta_end", minimum=0.0, maximum=1.0)
        self.beta_samples = arrays.integer(beta_samples, "beta_samples", minimum=0, maximum=2**62)
        if normalize not in ("buffer", "batch"):
            raise ConfigError(f"expected normalize to be 'buffer' or 'batch', got {normalize!r}")
        self.normalize = normalize
        self.over_all = normalize == "buffer"
        self.largest_is(1.0)
        self.tree_memory = rows_alloc(sum_tree_size(self.capacity) * sizeof(double))
        if self.tree_memory == NULL:
            raise MemoryError(f"a tree over {self.capacity} priorities does not fit")
        sum_tree_init(&self.tree, <double*>self.tree_memory, self.capacity)

    def __init__(self, capacity, obs_shape, act_shape=1, alpha=0.6, beta=0.4, *, beta_end=1.0, beta_samples=0, normalize="buffer",
                 obs_dtype=np.float32, act_dtype=np.float32, extra=None, n_step=1, gamma=0.99, num_envs=1):
        pass

    def __dealloc__(self):
        free(self.tree_memory)

    @property
    def beta(self):
        """The exponent of the weights that the next sample uses."""
        if self.sampled >= self.beta_samples:
            return self.beta_end if self.beta_samples else self.beta_start
        return self.beta_start + (self.beta_end - self.beta_start) * self.sampled / self.beta_samples

    def set_beta(self, beta):
        """Use this exponent, 0 to 1, from now on; a schedule ends."""
        value = arrays.number(beta, "beta", minimum=0.0, maximum=1.0)
        self.beta_start, self.beta_samples = value, 0

    @property
    def shares(self):
        """``priority**alpha`` of every transition by slot, (len,) float64, a copy: what draws are in proportion to."""
        cdef Py_ssize_t k, n = self.count
        out = np.empty(n)
        cdef double[::1] to = out
        with nogil:
            lock_take(&self.lock)
            for k in range(n):
                to[k] = self.tree.sums[0][k]
            lock_leave(&self.lock)
        return out

    # -- in

    def push(self, obs, action, reward, terminated, truncated, next_obs, extra=None, priority=None):
        """Store one transition; returns the slot it went to. See :meth:`ReplayBuffer.push`.

        InvalidValueError for a priority that is negative, NaN or infinite, or that would leave nothing to draw.
        """
        cdef Entry entry
        cdef int64_t slot
        cdef double given = 0.0, share, former
        cdef bint fine
        if priority is not None:
            given = arrays.number(priority, "priority", minimum=0.0)
        _keep = self.layout.one(&entry, obs, action, reward, terminated, truncated, next_obs, extra)
        lock_take_gil(&self.lock)
        slot = self.cursor
        share = self.max_share if priority is None else share_of(given, self.alpha)
        sum_tree_set(&self.tree, &slot, &share, 1, &former)
        fine = share > 0.0 or sum_tree_total(&self.tree) > 0.0
        if fine:
            self.put(entry.sources, 1)
            if given > self.max_priority:
                self.largest_is(given)
        else:
            sum_tree_unset(&self.tree, &slot, 1, &former)
        lock_leave(&self.lock)
        if not fine:
            raise InvalidValueError("expected a priority above 0, as all others are 0")
        return slot

    def push_batch(self, obs, actions, rewards, terminated, truncated, next_obs, extra=None, priorities=None):
        """Store n transitions, with priorities (n,) or the largest one so far. See :meth:`ReplayBuffer.push_batch`."""
        cdef Source[MOST_COLUMNS] sources
        cdef Py_ssize_t n, k, first
        _keep = self.layout.many(sources, &n, obs, actions, rewards, terminated, truncated, next_obs, extra)
        given = None if priorities is None else priorities_given(priorities, n)
        cdef double[::1] shares = np.empty(n)
        cdef double[::1] formers = np.empty(n)
        cdef int64_t[::1] slots = np.empty(n, np.int64)
        cdef const double[::1] raw = given
        cdef double largest
        cdef bint has = given is not None, fine = True
        if n == 0:
            return self.cursor
        with nogil:
            lock_take(&self.lock)
            first, largest = self.cursor, self.max_priority
            for k in range(n):
                slots[k] = (first + k) % self.capacity
                shares[k] = share_of(raw[k], self.alpha) if has else self.max_share
                if has and raw[k] > largest:
                    largest = raw[k]
            sum_tree_set(&self.tree, &slots[0], &shares[0], n, &formers[0])
            fine = sum_tree_total(&self.tree) > 0.0
            if fine:
                self.put(sources, n)
                self.largest_is(largest)
            else:
                sum_tree_unset(&self.tree, &slots[0], n, &formers[0])
            lock_leave(&self.lock)
        if not fine:
            raise InvalidValueError("expected a priority above 0, as all others are 0")
        return first

    def update_priorities(self, indices, priorities, serials=None):
        """Give transitions new priorities, usually ``|TD error| + eps``; returns how many took theirs.

        Parameters
        ----------
        indices : (n,) array of int
            Slots, as a sample gives them. Of one that comes twice, the last priority counts.
        priorities : (n,) array_like of float
            At least 0 and finite.
        serials : (n,) array of int, optional
            As the same sample gave them: transitions that were overwritten since are left out then. Without them a priority
            goes to whatever lies in the slot now.

        Raises
        ------
        InvalidValueError, ShapeError
            Something is out of range, or all priorities would be 0; nothing changes then.
        """
        index = slots_given(indices, self.count)
        cdef Py_ssize_t k, taken = 0, n = index.shape[0]
        given = priorities_given(priorities, n)
        known = None if serials is None else np.ascontiguousarray(serials, np.int64)
        if known is not None and known.shape != (n,):
            raise ShapeError(f"expected serials of shape ({n},), got {known.shape}")
        if n == 0:
            return 0
        scratch = np.empty((3, n), np.int64)
        cdef const int64_t* slots = <const int64_t*>cnp.PyArray_DATA(index)
        cdef const int64_t* serial = NULL if known is None else <const int64_t*>cnp.PyArray_DATA(known)
        cdef const double* raw = <const double*>cnp.PyArray_DATA(given)
        cdef int64_t* to = <int64_t*>cnp.PyArray_DATA(scratch)
        cdef double* shares = <double*>(to + n)
        cdef double* formers = <double*>(to + 2 * n)
        cdef double largest
        cdef bint fine
        with nogil:
            lock_take(&self.lock)
            largest = self.max_priority
            for k in range(n):
                if serial != NULL and serial[k] != self.serial(slots[k]):
                    continue
                to[taken], shares[taken] = slots[k], share_of(raw[k], self.alpha)
                largest = raw[k] if raw[k] > largest else largest
                taken += 1
            sum_tree_set(&self.tree, to, shares, taken, formers)
            fine = sum_tree_total(&self.tree) > 0.0
            if fine:
                self.largest_is(largest)
                self.changes += 1
            else:
                sum_tree_unset(&self.tree, to, taken, formers)
            lock_leave(&self.lock)
        if not fine:
            raise InvalidValueError("expected a priority above 0, as all others are 0")
        return taken

    cdef void largest_is(self, double priority) noexcept nogil:
        self.max_priority, self.max_share = priority, share_of(priority, self.alpha)

    cdef int64_t serial(self, int64_t slot) noexcept nogil:
        # How many transitions came before the one in this slot.
        cdef int64_t back = self.cursor - 1 - slot
        return <int64_t>self.pushed - 1 - (back + self.capacity if back < 0 else back)

    # -- out

    def sample(self, batch_size, seed, out=None):
        """Draw transitions in proportion to their shares, one from each of ``batch_size`` equal parts of the sum.

        Parameters
        ----------
        batch_size, seed, out
            As of :meth:`ReplayBuffer.sample`.

        Returns
        -------
        dict of str to ndarray
            As of :meth:`ReplayBuffer.sample`, with ``weights``, float32, ``(n p)**-beta`` over the largest (Schaul et al. 2016,
            section 3.4), and ``serials``, int64, for :meth:`update_priorities`.
        """
        cdef Py_ssize_t k, n = arrays.integer(batch_size, "batch_size", minimum=0, maximum=2**40)
        cdef Target[MOST_COLUMNS] targets
        cdef ChaCha rng
        cdef uint64_t word
        cdef bint found, far = self.n_step > 1, of_ours = not isinstance(seed, np.random.Generator)
        cdef double beta = self.beta
        cdef double[::1] units = np.empty(n) if of_ours else seed.random(n)
        if of_ours:
            word = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        self.window(n, None)
        batch = self.layout.batch((n,), without(out, ()), targets, (("weights", FLOAT32), ("serials", INT64), *self.further()))
        batch["indices"] = np.empty(n, np.int64)
        if n == 0:
            return batch
        cdef int64_t[::1] index = batch["indices"]
        cdef int64_t[::1] serials = batch["serials"]
        cdef float[::1] weights = batch["weights"]
        cdef float[::1] discounts = batch["discounts"] if far else None
        cdef int64_t[::1] last = np.empty(n, np.int64) if far else None
        with nogil:
            if of_ours:
                chacha_seed(&rng, word)
                chacha_fill_units(&rng, &units[0], n, 0.0, 1.0)
            lock_take(&self.lock)
            found = sum_tree_total(&self.tree) > 0.0
            if found:
                self.draw(&units[0], &index[0], &weights[0], n, beta)
                for k in range(n):
                    serials[k] = self.serial(index[k])
                self.collect(&index[0], n, targets, &last[0] if far else NULL, &discounts[0] if far else NULL)
                self.sampled += self.sampled < self.beta_samples
            lock_leave(&self.lock)
        if not found:
            raise EmptyBufferError(f"expected a transition to draw from, {self!r} has none")
        return batch

    cdef void draw(self, double* units, int64_t* index, float* weights, Py_ssize_t n, double beta) noexcept nogil:
        # `units` are used up.
        cdef Py_ssize_t i
        cdef double part = sum_tree_total(&self.tree) / n, least = INFINITY
        for i in range(n):
            units[i] = units[i] * (part * (i + 1) - part * i) + part * i
        sum_tree_find(&self.tree, units, index, n)
        if self.over_all:
            least = sum_tree_least(&self.tree)
        for i in range(n):
            units[i] = self.tree.sums[0][index[i]]
            least = units[i] if units[i] < least else least
        for i in range(n):
            weights[i] = 1.0 if beta == 0.0 else <float>pow(least / units[i], beta)

    def sample_recent(self, batch_size, window_size, seed, out=None):
        """Draw from the ``window_size`` newest transitions, uniformly and without weights; see :meth:`ReplayBuffer.sample`."""
        if isinstance(out, dict):
            out = without(out, ("weights", "serials"))
        return ReplayBuffer.sample_recent(self, batch_size, window_size, seed, out)

    # -- state

    def clear(self):
        """Forget all transitions and the largest priority; the memory and the schedule of beta stay."""
        with nogil:
            lock_take(&self.lock)
            self.count = self.cursor = 0
            self.pushed = 0
            self.changes += 1
            self.largest_is(1.0)
            sum_tree_init(&self.tree, <double*>self.tree_memory, self.capacity)
            lock_leave(&self.lock)

    def config(self):
        """Return the parameters, as the constructor takes them."""
        return {**ReplayBuffer.config(self), "alpha": self.alpha, "beta": self.beta_start, "beta_end": self.beta_end,
                "beta_samples": self.beta_samples, "normalize": self.normalize}

    cdef dict snapshot(self):
        state = ReplayBuffer.snapshot(self)
        return {**state, "shares": self.shares, "max_priority": self.max_priority, "sampled": self.sampled}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` of a buffer with the same columns, capacity and alpha gave; all or nothing."""
        if not isinstance(state, dict) or not {"shares", "max_priority", "sampled"} <= state.keys():
            raise ConfigError("expected a dict with cursor, pushed, rows, shares, max_priority and sampled")
        cdef double largest = arrays.number(state["max_priority"], "max_priority", minimum=0.0)
        cdef Py_ssize_t sampled = arrays.integer(state["sampled"], "sampled", minimum=0)
        share = priorities_given(state["shares"], None)
        cdef Py_ssize_t n = share.shape[0]
        if n > self.capacity or (n and not share.sum() > 0.0):
            raise ConfigError(f"expected at most {self.capacity} shares, not all 0, got {n}")
        if isinstance(state.get("rows"), dict) and len(state["rows"].get("rewards", ())) != n:
            raise ShapeError(f"expected as many shares as rows, got {n}")
        ReplayBuffer.load_state_dict(self, state)
        cdef const double[::1] shares = share
        cdef int64_t[::1] index = np.arange(n)
        with nogil:
            lock_take(&self.lock)
            sum_tree_init(&self.tree, <double*>self.tree_memory, self.capacity)
            if n:
                sum_tree_set(&self.tree, &index[0], &shares[0], n, NULL)
            self.largest_is(largest)
            self.sampled = sampled
            lock_leave(&self.lock)

    def __repr__(self):
        return (f"PrioritizedReplayBuffer(capacity={self.capacity}, len={self.count}, {self.layout.describe()}, "
                f"alpha={self.alpha:g}, beta={self.beta:g})")


cdef inline double share_of(double priority, double alpha) noexcept nogil:
    # priority**alpha, 0 only for a priority of 0 (and an alpha above it), and never so large or small that sums fail.
    cdef double share = priority if alpha == 1.0 else pow(priority, alpha)
    if share == 0.0 and priority == 0.0:
        return 0.0
    return 1e-280 if share < 1e-280 else (share if share < 1e280 else 1e280)


cdef object priorities_given(object priorities, object n):
    # As float64, (n,), each finite and at least 0.
    array = priorities
    if not (cnp.PyArray_CheckExact(array) and cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT64 and cnp.PyArray_NDIM(array) == 1
            and cnp.PyArray_ISCARRAY_RO(array) and (n is None or cnp.PyArray_DIM(array, 0) == n)):
        array = arrays.floats(priorities, "priorities", (n,))
        array = array if array.dtype == np.float64 else array.astype(np.float64)
    cdef const double* values = <const double*>cnp.PyArray_DATA(array)
    cdef Py_ssize_t k
    for k in range(cnp.PyArray_DIM(array, 0)):
        if not (isfinite(values[k]) and values[k] >= 0.0):
            raise InvalidValueError(f"expected priorities to be at least 0 and finite, got {values[k]} at priorities[{k}]")
    return array
