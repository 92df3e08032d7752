from libc.stdint cimport int64_t, uint64_t

# One tick of a control loop, called without the GIL: 0 goes on, anything else stops the loop.
ctypedef int (*tick_fn)(void* state, uint64_t iteration, int64_t now_ns) noexcept nogil

cdef class CompiledTick:
    cdef tick_fn function
    cdef void* state
    cdef object owner

cdef CompiledTick make_tick(tick_fn function, void* state, object owner)
