"""Many environments' physics and random numbers: the same in all, or drifting in each."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import numpy as np

from rfx.kernels.chacha cimport ChaCha, chacha_position, chacha_seed, chacha_seek, mix_seed
from rfx.kernels.drift cimport DRIFT_LINEAR, DRIFT_SINE, DRIFT_WALK, Drifter, DriftRule, drift_begin, drift_tick
from rfx.kernels.lock cimport lock_leave, lock_take, lock_take_gil

from rfx import arrays
from rfx.envs.drift import Drift
from rfx.envs.masks import mask_of
from rfx.errors import ConfigError, ShapeError

cnp.import_array()

cdef enum:
    DRIFTS = 1               # the stream of drift is this child of an environment's seed

cdef object LARGEST_SEED = 2**64 - 1


cdef void copy_keys(ChaCha* rngs, Py_ssize_t n, uint32_t* keys, uint64_t* positions, bint back) noexcept nogil:
    # The streams of random numbers to keys, (n, 8), and positions, (n,), or back from them.
    cdef Py_ssize_t i
    for i in range(n):
        if back:
            memcpy(rngs[i].key, keys + 8 * i, 32)
            chacha_seek(rngs + i, positions[i])
        else:
            memcpy(keys + 8 * i, rngs[i].key, 32)
            positions[i] = chacha_position(rngs + i)


cdef object part(object state, str name, object shape, object dtype):
    # One array of a state dict, of this shape and dtype.
    array = state[name]
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise ShapeError(f"expected {name} to be an array of {np.dtype(dtype)} of shape {shape}, "
                         f"got {getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}")
    return np.ascontiguousarray(array)


cdef Parts parts_of(dict streams):
    # Where the arrays are; they must outlive it.
    cdef Parts p
    p.keys = <uint32_t*>cnp.PyArray_DATA(streams["keys"])
    p.positions = <uint64_t*>cnp.PyArray_DATA(streams["positions"])
    p.drift_keys = <uint32_t*>cnp.PyArray_DATA(streams["drift_keys"])
    p.drift_positions = <uint64_t*>cnp.PyArray_DATA(streams["drift_positions"])
    p.values = <double*>cnp.PyArray_DATA(streams["values"])
    p.middles = <double*>cnp.PyArray_DATA(streams["middles"])
    p.phases = <double*>cnp.PyArray_DATA(streams["phases"])
    p.ticks = <int64_t*>cnp.PyArray_DATA(streams["ticks"])
    return p


cdef class Physics:
    """The part of :class:`rfx.envs.batched.BatchedEnv` that holds numbers of physics and streams of random numbers."""

    def __cinit__(self, num_envs, *others, **further):
        self.num_envs = arrays.integer(num_envs, "num_envs", minimum=1, maximum=2**32)
        self.rngs = <ChaCha*>calloc(self.num_envs, sizeof(ChaCha))
        self.physics_of_all = <double*>calloc(PHYSICS, sizeof(double))
        if self.rngs == NULL or self.physics_of_all == NULL:
            raise MemoryError(f"{self.num_envs} environments do not fit")
        self.physics_stride, self.physics_names = 1, ()
        cdef Py_ssize_t i
        for i in range(self.num_envs):
            chacha_seed(self.rngs + i, mix_seed(0, i))

    def __dealloc__(self):
        free(self.rngs)
        free(self.physics_of_all)
        free(self.rules)
        free(self.drifters)
        free(self.drift_rngs)

    cdef int add_physics(self, str name, double value) except -1:
        # One more number of the physics, the same in all environments; it is in the row of its turn.
        if len(self.physics_names) == PHYSICS:
            raise ConfigError(f"expected at most {PHYSICS} numbers of physics")
        self.physics_of_all[len(self.physics_names)] = value
        self.physics_names += (name,)
        return 0

    cdef void plant(self, Py_ssize_t i, uint64_t seed) noexcept nogil:
        # Begin the streams of environment i anew, and with them its drift.
        cdef Py_ssize_t k
        cdef DriftRule* rule
        chacha_seed(self.rngs + i, seed)
        if self.drifting:
            chacha_seed(self.drift_rngs + i, mix_seed(seed, DRIFTS))
        for k in range(self.drifting):
            rule = self.rules + k
            self.physics_of_all[rule.row * self.num_envs + i] = drift_begin(
                rule, self.drifters + k * self.num_envs + i, self.drift_rngs + i)

    cdef void drift(self, Py_ssize_t i, bint per_episode) noexcept nogil:
        # Let the physics of environment i change as they do per step or per episode.
        cdef Py_ssize_t k
        cdef double* value
        for k in range(self.drifting):
            if self.rules[k].per_episode == per_episode:
                value = self.physics_of_all + self.rules[k].row * self.num_envs + i
                value[0] = drift_tick(self.rules + k, self.drifters + k * self.num_envs + i, self.drift_rngs + i, value[0])

    def seed(self, seeds, mask=None):
        """Give each environment, or those of ``mask``, a stream of random numbers from its seed, (num_envs,) of uint64."""
        cdef const uint64_t[::1] given = np.ascontiguousarray(seeds, np.uint64)
        cdef const unsigned char[::1] chosen = mask_of(mask, self.num_envs).view(np.uint8)
        cdef Py_ssize_t i
        if given.shape[0] != self.num_envs:
            raise ShapeError(f"expected {self.num_envs} seeds, got {given.shape[0]}")
        with nogil:
            lock_take(&self.lock)
            for i in range(self.num_envs):
                if chosen[i]:
                    self.plant(i, given[i])
            lock_leave(&self.lock)

    def seed_from(self, master):
        """Give environment i the stream of ``derive_seed(master, i)``."""
        cdef uint64_t word = arrays.integer(master, "seed", minimum=0, maximum=LARGEST_SEED)
        cdef Py_ssize_t i
        with nogil:
            lock_take(&self.lock)
            for i in range(self.num_envs):
                self.plant(i, mix_seed(word, i))
            lock_leave(&self.lock)

    def set_drift(self, drift):
        """Let numbers of the physics change with time: a dict of :class:`Drift` by name, once; then seed anew.

        Raises
        ------
        ConfigError
            There is no such number, its drift is none, or there is drift already.
        InvalidValueError
            A bound is no value that the number may have, or the number is not between the bounds.
        """
        cdef Py_ssize_t k
        if self.drifting or not drift or not isinstance(drift, dict):
            raise ConfigError("expected a dict of Drift by name, once")
        for name, way in drift.items():
            if name not in self.physics_names or not isinstance(way, Drift):
                raise ConfigError(f"expected a Drift of one of {', '.join(self.physics_names)}, got {name!r}: {way!r}")
            self.may_be(name, way.low)
            self.may_be(name, way.high)
            arrays.number(self.physics_of_all[self.physics_names.index(name)], name, minimum=way.low, maximum=way.high)
        self.widen(len(drift))
        for k, (name, way) in enumerate(drift.items()):
            self.set_rule(k, self.physics_names.index(name), way)
        self.ways = dict(drift)
        self.seed_from(0)

    cdef dict streams(self):
        # Room for the streams and for what drifts.
        n, k = self.num_envs, self.drifting
        m = n if k else 0
        return {
            "keys": np.empty((n, 8), np.uint32), "positions": np.empty(n, np.uint64),
            "drift_keys": np.empty((m, 8), np.uint32), "drift_positions": np.empty(m, np.uint64),
            "values": np.empty((k, n)), "middles": np.empty((k, n)), "phases": np.empty((k, n)),
            "ticks": np.empty((k, n), np.int64),
        }

    cdef dict checked_streams(self, dict state):
        # The same parts of a state dict.
        cdef Py_ssize_t k
        found = {name: part(state, name, room.shape, room.dtype) for name, room in self.streams().items()}
        for name in ("values", "middles", "phases"):
            arrays.finite(found[name], name)
        for k in range(self.drifting):
            least, most = self.rules[k].low, self.rules[k].high
            if found["values"][k].min() < least or found["values"][k].max() > most:
                raise ConfigError(f"expected values within [{least:g}, {most:g}]")
        return found

    cdef void copy_streams(self, Parts* p, bint back) noexcept nogil:
        # The streams and what drifts to the arrays, or back from them; the lock is the caller's.
        cdef Py_ssize_t i, j, k, n = self.num_envs
        cdef double* value
        copy_keys(self.rngs, n, p.keys, p.positions, back)
        if self.drifting:
            copy_keys(self.drift_rngs, n, p.drift_keys, p.drift_positions, back)
        for k in range(self.drifting):
            for i in range(n):
                j = k * n + i
                value = self.physics_of_all + self.rules[k].row * n + i
                if back:
                    value[0] = p.values[j]
                    self.drifters[j].middle, self.drifters[j].phase = p.middles[j], p.phases[j]
                    self.drifters[j].ticks = p.ticks[j]
                else:
                    p.values[j] = value[0]
                    p.middles[j], p.phases[j] = self.drifters[j].middle, self.drifters[j].phase
                    p.ticks[j] = self.drifters[j].ticks

    cdef object may_be(self, str name, double value):
        # An error where a number of the physics cannot have this value.
        type(self)(1, **{name: value})

    cdef int widen(self, Py_ssize_t drifting) except -1:
        # Give each environment numbers of its own, and room for rules.
        cdef Py_ssize_t i, k, n = self.num_envs
        cdef double* wide = <double*>calloc(PHYSICS * n, sizeof(double))
        cdef DriftRule* rules = <DriftRule*>calloc(drifting, sizeof(DriftRule))
        cdef Drifter* drifters = <Drifter*>calloc(drifting * n, sizeof(Drifter))
        cdef ChaCha* rngs = <ChaCha*>calloc(n, sizeof(ChaCha))
        if wide == NULL or rules == NULL or drifters == NULL or rngs == NULL:
            free(wide)
            free(rules)
            free(drifters)
            free(rngs)
            raise MemoryError(f"{n} environments with drift do not fit")
        lock_take_gil(&self.lock)
        for k in range(PHYSICS):
            for i in range(n):
                wide[k * n + i] = self.physics_of_all[k]
        free(self.physics_of_all)
        self.physics_of_all, self.physics_stride = wide, n
        self.rules, self.drifters, self.drift_rngs, self.drifting = rules, drifters, rngs, drifting
        lock_leave(&self.lock)
        return 0

    cdef int set_rule(self, Py_ssize_t k, Py_ssize_t row, object way) except -1:
        cdef DriftRule* rule = self.rules + k
        rule.kind = {"linear": DRIFT_LINEAR, "sine": DRIFT_SINE, "walk": DRIFT_WALK}[way.kind]
        rule.per_episode, rule.row = way.every == "episode", row
        rule.start, rule.spread, rule.size = self.physics_of_all[row * self.num_envs], way.spread, way.size
        rule.low, rule.high, rule.period = way.low, way.high, way.period or 1.0
        return 0

    @property
    def physics(self):
        """The numbers of the physics as they are now: a dict of arrays, (num_envs,) float64, copies."""
        cdef Py_ssize_t i, k, n = self.num_envs
        cdef double[::1] to
        found = {}
        for k, name in enumerate(self.physics_names):
            found[name] = to = np.empty(n)
            lock_take_gil(&self.lock)
            for i in range(n):
                to[i] = self.physics_of_all[k if self.physics_stride == 1 else k * self.physics_stride + i]
            lock_leave(&self.lock)
        return {name: np.asarray(values) for name, values in found.items()}
