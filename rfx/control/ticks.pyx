"""A compiled tick to measure and test with, and to copy: a struct, a function on it, and ``make_tick``."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from rfx.arrays import integer, number

from rfx.control.capsule cimport make_tick
from rfx.kernels.clock cimport monotonic_ns

cdef struct busy_t:
    int64_t busy_ns
    int64_t stop_after      # negative: never
    int64_t count


cdef int busy_tick(void* state, uint64_t iteration, int64_t now_ns) noexcept nogil:
    cdef busy_t* busy = <busy_t*> state
    cdef int64_t until = monotonic_ns() + busy.busy_ns
    busy.count += 1
    while busy.busy_ns > 0 and monotonic_ns() < until:
        pass
    return busy.stop_after >= 0 and busy.count >= busy.stop_after


@cython.final
cdef class BusyTick:
    """Counts its calls and computes for a while in each, without the GIL.

    Parameters
    ----------
    busy_s : float
        Time to compute in each tick, in seconds, 0 to 1.
    stop_after : int, optional
        Stop the loop at this call. As a call that stops is not an iteration, the loop counts one less.

    Examples
    --------
    >>> from rfx.control import run_control_loop
    >>> work = BusyTick()
    >>> run_control_loop(1000, work.tick, max_iterations=5).iterations, work.count
    (5, 5)
    """

    cdef busy_t state

    def __init__(self, busy_s=0.0, stop_after=None):
        self.state.busy_ns = round(number(busy_s, "busy_s", minimum=0.0, maximum=1.0) * 1e9)
        self.state.stop_after = -1 if stop_after is None else integer(
            stop_after, "stop_after", minimum=1, maximum=2**62)

    @property
    def tick(self):
        """The :class:`CompiledTick` to hand to a loop; keeps this object alive. One loop at a time."""
        return make_tick(busy_tick, &self.state, self)

    @property
    def count(self):
        """How often the tick was called."""
        return self.state.count

    def __repr__(self):
        return f"BusyTick(busy_s={self.state.busy_ns / 1e9:g}, count={self.state.count})"
