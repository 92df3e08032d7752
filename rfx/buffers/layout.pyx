"""How a transition lies in a row of memory, and how what a user gives becomes one.

Not for users: the buffers share it.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free

import numpy as np

from rfx import arrays
from rfx.buffers.columns import group, transition_columns
from rfx.errors import ConfigError, DTypeError, ShapeError

cnp.import_array()

cdef enum:
    LINE = 64


cdef class Layout:
    """Columns of a transition side by side in one row of ``stride`` bytes, a multiple of a cache line."""

    def __cinit__(self, obs_shape, act_shape, obs_dtype, act_dtype, extra, Py_ssize_t header=0, bint with_next=True):
        cdef Py_ssize_t k, d, offset = header
        self.schema = transition_columns(obs_shape, act_shape, obs_dtype, act_dtype, extra, with_next)
        self.obs_names = tuple(obs_shape) if isinstance(obs_shape, dict) else ()
        self.n_slots = len(self.schema)
        self.n_obs = len(self.obs_names) or 1
        self.rewards, self.terminated, self.truncated = self.n_obs + 1, self.n_obs + 2, self.n_obs + 3
        self.next_obs = self.n_obs + 4
        self.with_next = with_next
        self.extra = self.next_obs + (self.n_obs if with_next else 0)
        if self.n_slots > MOST_COLUMNS:
            raise ConfigError(f"expected at most {MOST_COLUMNS} columns, got {self.n_slots}")
        self.slots = <Slot*>PyMem_Calloc(self.n_slots, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError()
        for k, column in enumerate(self.schema):
            if len(column.shape) > MOST_AXES:
                raise ConfigError(f"expected {column.name} of at most {MOST_AXES} axes, got {len(column.shape)}")
            offset = (offset + column.dtype.itemsize - 1) // column.dtype.itemsize * column.dtype.itemsize
            self.slots[k].offset, self.slots[k].size = offset, column.nbytes
            offset += column.nbytes
            self.type_num[k], self.ndim[k] = column.dtype.num, len(column.shape)
            for d in range(self.ndim[k]):
                self.lengths[k][d] = column.shape[d]
        self.stride = max((offset + LINE - 1) // LINE * LINE, LINE)
        names = ("obs_shape", "act_shape", "obs_dtype", "act_dtype", "extra")
        self.config = dict(zip(names, (obs_shape, act_shape, obs_dtype, act_dtype, extra), strict=True))

    def __dealloc__(self):
        PyMem_Free(self.slots)

    def describe(self):
        """Write the columns that differ between buffers, as ``obs(4) float32, actions(1) float32``."""
        return ", ".join([c.describe() for c in self.schema[:self.n_obs + 1] + self.schema[self.extra:]])

    cdef inline bint fits(self, Py_ssize_t k, object value, int more, Py_ssize_t n):
        # Whether it is an array that can be copied as it is: of n entries, or a single one where `more` is 0.
        cdef Py_ssize_t d
        if not (cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(value) == self.type_num[k]
                and cnp.PyArray_NDIM(value) == self.ndim[k] + more):
            return False
        if more and cnp.PyArray_DIM(value, 0) != n:
            return False
        for d in range(self.ndim[k]):
            if cnp.PyArray_DIM(value, d + more) != self.lengths[k][d]:
                return False
        return cnp.PyArray_ISCARRAY_RO(value)

    cdef object entry(self, Py_ssize_t k, object value):
        if self.fits(k, value, 0, 1):
            return value
        column = self.schema[k]
        return fitted(value, column.name, column.shape, column.dtype)

    cdef object block(self, Py_ssize_t k, object value, Py_ssize_t n):
        if self.fits(k, value, 1, n):
            return value
        column = self.schema[k]
        return fitted(value, column.name, (n, *column.shape), column.dtype)

    cdef object one(
            self, Entry* to, object obs, object action, object reward, object terminated, object truncated, object next_obs,
            object extra):
        # What is returned must live until the sources are copied.
        cdef Py_ssize_t k
        cdef list keep = None
        if type(reward) is float:
            to.reward = reward
        else:
            to.reward = arrays.number(reward, "reward")
        to.terminated, to.truncated = flag(terminated, "terminated"), flag(truncated, "truncated")
        to.sources[self.rewards] = <Source>&to.reward
        to.sources[self.terminated], to.sources[self.truncated] = &to.terminated, &to.truncated
        if self.n_slots == 6 and self.with_next and extra is None and not self.obs_names:
            if not self.fits(0, obs, 0, 1):
                obs = self.entry(0, obs)
                keep = [obs]
            if not self.fits(5, next_obs, 0, 1):
                next_obs = self.entry(5, next_obs)
                keep = [next_obs] if keep is None else keep + [next_obs]
            to.sources[0] = <Source>cnp.PyArray_DATA(obs)
            to.sources[5] = <Source>cnp.PyArray_DATA(next_obs)
            if self.fits(1, action, 0, 1):
                to.sources[1] = <Source>cnp.PyArray_DATA(action)
            elif self.ndim[1] == 0 and type(action) is int and self.type_num[1] == cnp.NPY_INT64 and -2**62 < action < 2**62:
                to.whole = action
                to.sources[1] = <Source>&to.whole
            elif self.ndim[1] == 0 and type(action) is float and self.type_num[1] == cnp.NPY_FLOAT32:
                to.half = action
                to.sources[1] = <Source>&to.half
            else:
                action = self.entry(1, action)
                keep = [action] if keep is None else keep + [action]
                to.sources[1] = <Source>cnp.PyArray_DATA(action)
            return keep
        keep = []
        for k, value in enumerate(self.by_column(obs, action, None, None, None, next_obs, extra)):
            if k < self.rewards or k > self.truncated:
                array = self.entry(k, value)
                keep.append(array)
                to.sources[k] = <Source>cnp.PyArray_DATA(array)
        return keep

    cdef object many(
            self, Source* sources, Py_ssize_t* n, object obs, object actions, object rewards, object terminated,
            object truncated, object next_obs, object extra):
        # What is returned must live until the sources are copied; n is set to the number of transitions.
        cdef Py_ssize_t k
        cdef list keep = []
        rows = rewards if cnp.PyArray_CheckExact(rewards) else np.asarray(rewards)
        if cnp.PyArray_NDIM(rows) != 1:
            raise ShapeError(f"expected rewards of shape (n,), got {rows.shape}")
        n[0] = cnp.PyArray_DIM(rows, 0)
        for k, value in enumerate(self.by_column(obs, actions, rewards, terminated, truncated, next_obs, extra)):
            array = self.block(k, value, n[0])
            keep.append(array)
            sources[k] = <Source>cnp.PyArray_DATA(array)
        return keep

    cdef tuple by_column(self, object obs, object actions, object rewards, object terminated, object truncated, object next_obs,
                         object extra):
        # The values in the order of the schema.
        values = (*self.parts(obs, "obs"), actions, rewards, terminated, truncated)
        if self.with_next:
            values += self.parts(next_obs, "next_obs")
        if self.n_slots == self.extra and extra is None:
            return values
        names = [c.name for c in self.schema[self.extra:]]
        if not isinstance(extra, dict) or extra.keys() != set(names):
            raise ConfigError(f"expected the extra columns {names}, got {sorted(extra) if extra else extra!r}")
        return values + tuple([extra[name] for name in names])

    def parts(self, value, name):
        """Return an observation as a tuple of its parts; ConfigError where a dict has other names."""
        if not self.obs_names:
            return (value,)
        if not isinstance(value, dict) or value.keys() != set(self.obs_names):
            got = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise ConfigError(f"expected {name} to be a dict of {', '.join(self.obs_names)}, got {got}")
        return tuple([value[part] for part in self.obs_names])

    cdef dict batch(self, tuple leading, object out, Target* targets, tuple further):
        # Arrays of shape (*leading, ...) for all columns, new ones or those of `out`, and those of `further`: name, dtype.
        cdef Py_ssize_t k
        flat = None if out is None else self.flattened_out(out, further)
        made = []
        for k, column in enumerate(self.schema):
            array = arrays.out_array(
                None if flat is None else flat[k], (*leading, *column.shape), column.dtype, name=column.name)
            made.append(array)
            targets[k] = <Target>cnp.PyArray_DATA(array)
        batch = self.nested(made)
        for name, dtype in further:
            batch[name] = arrays.out_array(None if out is None else out.get(name), leading, dtype, name=name)
        return batch

    def flattened_out(self, out, further):
        """Return the arrays of ``out`` in the order of the schema; ConfigError where one is missing or not known."""
        names = {group(c.name)[0] for c in self.schema}
        optional = {name for name, _ in further}
        if not isinstance(out, dict) or not names <= out.keys() or not out.keys() <= names | optional:
            raise ConfigError(f"expected out to be a dict with {', '.join(dict.fromkeys(group(c.name)[0] for c in self.schema))}")
        return self.flattened(out)

    cdef dict nested(self, list arrays_):
        cdef dict made = {}
        if not self.obs_names:
            for k, column in enumerate(self.schema):
                made[column.name] = arrays_[k]
            return made
        for k, column in enumerate(self.schema):
            name, part = group(column.name)
            if part:
                made.setdefault(name, {})[part] = arrays_[k]
            else:
                made[name] = arrays_[k]
        return made

    cdef tuple flattened(self, object rows):
        # The opposite of `nested`.
        obs = self.parts(rows["obs"], "obs")
        next_obs = self.parts(rows["next_obs"], "next_obs") if self.with_next else ()
        others = tuple([rows[name] for name in ("actions", "rewards", "terminated", "truncated")])
        return obs + others + next_obs + tuple([rows[c.name] for c in self.schema[self.extra:]])

    def checked_rows(self, rows):
        """Return saved columns in the order of the schema; ConfigError where the names differ, ShapeError for lengths."""
        names = {group(c.name)[0] for c in self.schema}
        if not isinstance(rows, dict) or rows.keys() != names:
            got = sorted(rows) if isinstance(rows, dict) else type(rows).__name__
            raise ConfigError(f"expected the columns {sorted(names)}, got {got}")
        flat = self.flattened(rows)
        n = len(np.asarray(flat[self.rewards]))
        return n, [self.block(k, value, n) for k, value in enumerate(flat)]

    cdef tuple views(self, unsigned char* rows, Py_ssize_t n, object owner):
        # Arrays over the rows themselves, which keep their owner alive.
        cdef cnp.npy_intp[MOST_AXES + 1] shape
        cdef cnp.npy_intp[MOST_AXES + 1] strides
        cdef Py_ssize_t k, step
        cdef int d, axes
        cdef cnp.ndarray view
        made = []
        for k, column in enumerate(self.schema):
            axes = self.ndim[k]
            shape[0], strides[0] = n, self.stride
            step = column.dtype.itemsize
            for d in range(axes - 1, -1, -1):
                shape[d + 1], strides[d + 1] = self.lengths[k][d], step
                step *= self.lengths[k][d]
            view = cnp.PyArray_New(
                np.ndarray, axes + 1, shape, self.type_num[k], strides, rows + self.slots[k].offset, 0,
                cnp.NPY_ARRAY_WRITEABLE, None)
            cnp.set_array_base(view, owner)
            cnp.PyArray_UpdateFlags(view, cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_C_CONTIGUOUS)
            made.append(view)
        return tuple(made)


cdef unsigned char flag(value, name) except 255:
    if value is True or value is False:
        return value is True
    if isinstance(value, np.bool_) or (isinstance(value, (int, float, np.number)) and value in (0, 1)):
        return bool(value)
    raise DTypeError(f"expected {name} to be a bool, got {value!r}")


def fitted(value, name, shape, dtype):
    """Return the value as a contiguous array of exactly this shape and dtype; refused where that would lose something."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"expected {name} to be a rectangular array: {error}") from error
    if array.dtype is not dtype and array.dtype != dtype:
        plain = not isinstance(value, (np.ndarray, np.generic))
        if array.dtype.kind not in "fiub":
            raise DTypeError(f"expected {name} of dtype {dtype}, got {array.dtype}")
        if not (np.can_cast(array.dtype, dtype, "safe") or (plain and np.can_cast(array.dtype, dtype, "same_kind"))):
            with np.errstate(invalid="ignore", over="ignore"):
                exact = array.astype(dtype)
            if not ((dtype.kind == "b" or plain or array.dtype.kind in "iub") and np.array_equal(exact, array)):
                raise DTypeError(f"expected {name} of dtype {dtype}, got {array.dtype}; convert it yourself if a loss is meant")
        array = array.astype(dtype)
    if array.shape != shape:
        raise ShapeError(f"expected {name} of shape {shape}, got {array.shape}")
    return array if cnp.PyArray_ISCARRAY_RO(array) else np.array(array, order="C")
