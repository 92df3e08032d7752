"""For those within rfx.comm who put and take without a call by way of Python."""

cimport cython

from rfx.comm.ring cimport Ring

cdef extern from *:
    """
    #ifdef _WIN32
    #include <windows.h>
    #define rfx_step_back() ((void)SwitchToThread())
    #else
    #include <sched.h>
    #define rfx_step_back() ((void)sched_yield())
    #endif
    """
    void rfx_step_back() noexcept nogil    # others have the processor


cdef class Mailbox:
    cdef readonly object capacity
    cdef readonly str overflow
    cdef readonly bint closed
    cdef readonly long long accepted, taken, dropped, skipped
    cdef Py_ssize_t room
    cdef int rule
    cdef Ring items
    cdef Ring getters           # locks, each held by who waits for it
    cdef Ring putters
    cdef cython.pymutex lock    # held around C code only

    cdef bint offer(self, item, bint again=*) except -1
    cdef object poll(self)
    cdef bint pass_by(self) noexcept
    cdef object linger(self)
    cdef list empty(self, bint skip)
    cdef bint await_(self, bint getter, end) except -1
    cdef bint line_up(self, bint getter, waiter) except -1
    cdef int leave(self, bint getter, waiter) except -1
