"""Random numbers that are the same on every machine.

A seed is an integer of 64 bits; the same seed gives the same numbers on every CPU and operating system. The stream is
that of Rust's ``ChaCha8Rng::seed_from_u64`` (rand 0.9), word for word.
"""

import threading

import numpy as np

from libc.stdint cimport int64_t, uint32_t, uint64_t

from rfx.kernels.chacha cimport (
    ChaCha,
    chacha_below,
    chacha_fill_below,
    chacha_fill_units,
    chacha_position,
    chacha_seed,
    chacha_seek,
    chacha_u32,
    chacha_u64,
    chacha_unit,
    mix_seed,
)

from rfx import arrays
from rfx.errors import ConfigError, InvalidValueError

cdef object LARGEST = 2**64 - 1


cdef class ChaCha8Rng:
    """A stream of random numbers from a seed.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.

    Notes
    -----
    ChaCha with 8 rounds (Bernstein 2008). Safe under threads: each call takes its numbers in one piece.
    """

    cdef ChaCha rng
    cdef readonly object seed
    cdef object lock

    def __init__(self, seed):
        self.seed = arrays.integer(seed, "seed", minimum=0, maximum=LARGEST)
        self.lock = threading.Lock()
        chacha_seed(&self.rng, self.seed)

    @property
    def position(self):
        """How many 32-bit words have been taken from the stream."""
        with self.lock:
            return chacha_position(&self.rng)

    def next_u32(self):
        """Return the next word, 0 to 2**32 - 1."""
        with self.lock:
            return chacha_u32(&self.rng)

    def next_u64(self):
        """Return the next two words as one integer, the low one first."""
        with self.lock:
            return chacha_u64(&self.rng)

    def words(self, count):
        """Return the next ``count`` words, shape (count,), uint32."""
        n = arrays.integer(count, "count", minimum=0, maximum=2**40)
        cdef object out = np.empty(n, np.uint32)
        cdef uint32_t[::1] to = out
        cdef Py_ssize_t i
        with self.lock, nogil:
            for i in range(to.shape[0]):
                to[i] = chacha_u32(&self.rng)
        return out

    def integers(self, low, high=None, size=None):
        """Draw integers within ``[low, high)``, or ``[0, low)`` where high is left out.

        Parameters
        ----------
        low, high : int
            Within int64; at least one integer between them.
        size : int or tuple of int, optional
            Shape of the result; None gives one int.

        Returns
        -------
        int, or ndarray of int64

        Notes
        -----
        One word for each integer where the range fits 32 bits, as Rust's ``random_range`` of ``usize`` takes it, a
        second one now and then (Canon's method).
        """
        bottom, top = (0, low) if high is None else (low, high)
        bottom = arrays.integer(bottom, "low", minimum=-(2**63), maximum=2**63 - 1)
        top = arrays.integer(top, "high", minimum=-(2**63), maximum=2**63 - 1)
        if not bottom < top:
            raise InvalidValueError(f"expected low to be below high, got {bottom} and {top}")
        cdef uint64_t width = top - bottom
        cdef int64_t start = bottom
        cdef int64_t[::1] to
        if size is None:
            with self.lock:
                return bottom + chacha_below(&self.rng, width)
        out = np.empty(size, np.int64)
        to = out.reshape(-1)
        if out.size:
            with self.lock, nogil:
                chacha_fill_below(&self.rng, width, start, &to[0], to.shape[0])
        return out

    def uniform(self, low=0.0, high=1.0, size=None):
        """Draw numbers within ``[low, high)``, each from two words.

        Returns a float, or an ndarray of float64 of shape ``size``. InvalidValueError where low is not below high.
        """
        cdef double bottom = arrays.number(low, "low")
        cdef double top = arrays.number(high, "high")
        cdef double[::1] to
        if not bottom < top:
            raise InvalidValueError(f"expected low to be below high, got {bottom} and {top}")
        arrays.number(top - bottom, "high - low")
        if size is None:
            with self.lock:
                return chacha_unit(&self.rng) * (top - bottom) + bottom
        out = np.empty(size, np.float64)
        to = out.reshape(-1)
        if out.size:
            with self.lock, nogil:
                chacha_fill_units(&self.rng, &to[0], to.shape[0], bottom, top)
        return out

    def seek(self, position):
        """Go on from this word of the stream; 0 is the beginning."""
        cdef uint64_t word = arrays.integer(position, "position", minimum=0, maximum=2**63)
        with self.lock:
            chacha_seek(&self.rng, word)

    def state_dict(self):
        """Return seed and position."""
        return {"seed": self.seed, "position": self.position}

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave; on an error nothing changes."""
        if not isinstance(state, dict) or set(state) != {"seed", "position"}:
            raise ConfigError("expected a dict with seed and position")
        seed = arrays.integer(state["seed"], "seed", minimum=0, maximum=LARGEST)
        cdef uint64_t word = arrays.integer(state["position"], "position", minimum=0, maximum=2**63)
        with self.lock:
            self.seed = seed
            chacha_seed(&self.rng, seed)
            chacha_seek(&self.rng, word)

    def __reduce__(self):
        return _rebuild, (self.state_dict(),)

    def __repr__(self):
        return f"ChaCha8Rng(seed={self.seed}, position={self.position})"


def _rebuild(state):
    made = ChaCha8Rng(state["seed"])
    made.load_state_dict(state)
    return made


def rng_from_seed(seed):
    """Return the stream of random numbers of a seed, 0 to 2**64 - 1."""
    return ChaCha8Rng(seed)


def derive_seed(master, index):
    """Return a seed of its own for the ``index``-th child of ``master``: an environment, a worker, an epoch.

    Parameters
    ----------
    master, index : int
        0 to 2**64 - 1.

    Notes
    -----
    ``mix(mix(master + g) + (index + 1) g)`` modulo 2**64, with g = 0x9E3779B97F4A7C15 and mix the finaliser of
    SplitMix64. For one master no two indices share a seed, and for one index no two masters do; any other two pairs
    meet with a chance of 2**-64. A sum of master and index, as it is often used, gives (42, 1) and (43, 0) the same.
    """
    cdef uint64_t a = arrays.integer(master, "master", minimum=0, maximum=LARGEST)
    cdef uint64_t b = arrays.integer(index, "index", minimum=0, maximum=LARGEST)
    return mix_seed(a, b)
