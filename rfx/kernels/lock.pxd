from libc.stdint cimport int32_t

cdef extern from "lock.h":
    # A lock of four bytes, 0 at first. `lock_wait` is for code without the GIL only.
    ctypedef int32_t Lock "rfx_lock_t"
    bint lock_try "rfx_lock_try"(Lock* lock) noexcept nogil
    void lock_wait "rfx_lock_wait"(Lock* lock) noexcept nogil
    void lock_leave "rfx_lock_leave"(Lock* lock) noexcept nogil


cdef inline void lock_take(Lock* lock) noexcept nogil:
    # For code without the GIL.
    if not lock_try(lock):
        lock_wait(lock)


cdef inline void lock_take_gil(Lock* lock) noexcept:
    # For code with the GIL, which is let go while the lock is somebody else's.
    if not lock_try(lock):
        with nogil:
            lock_wait(lock)
