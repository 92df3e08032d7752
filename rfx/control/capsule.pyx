"""Compiled ticks: C functions that a control loop calls without the GIL."""

import ctypes

cimport cython
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport int64_t, uint64_t, uintptr_t

from rfx.errors import ConfigError, DTypeError

cdef const char* CAPSULE_NAME = "rfx.control.tick"


@cython.final
@cython.freelist(4)
cdef class CompiledTick:
    """A C function and its state, to be given to :class:`ControlLoop` in place of a Python callback.

    The function is ``int (void* state, uint64_t iteration, int64_t now_ns)``. It is called without the GIL, must not
    touch Python, and returns 0 to go on or anything else to stop. In Cython it is made by ``make_tick``, from a
    PyCapsule by :meth:`from_capsule`, from ctypes, cffi or numba by :meth:`from_ctypes`.
    """

    def __init__(self):
        raise DTypeError("a CompiledTick is made by make_tick (Cython), from_capsule or from_ctypes")

    @staticmethod
    def from_capsule(capsule):
        """Wrap a PyCapsule named ``"rfx.control.tick"``: its pointer is the function, its context the state.

        The capsule is kept alive as long as the tick, so its destructor is the place to free the state.

        Raises
        ------
        DTypeError
            Not a capsule, or one of another name.
        """
        if not PyCapsule_IsValid(capsule, CAPSULE_NAME):
            raise DTypeError(f"expected a PyCapsule named {CAPSULE_NAME.decode()!r}, got {capsule!r}")
        return make_tick(<tick_fn> PyCapsule_GetPointer(capsule, CAPSULE_NAME), PyCapsule_GetContext(capsule), capsule)

    @staticmethod
    def from_ctypes(function, state=None):
        """Wrap a ctypes function pointer, such as the ``.ctypes`` of a numba ``cfunc``.

        Parameters
        ----------
        function : ctypes function
            With ``restype`` c_int32 and ``argtypes`` (c_void_p, c_uint64, c_int64).
        state : ctypes instance, optional
            Handed over by its address; NULL without. Kept alive, as ``function`` is.

        Raises
        ------
        DTypeError
            Not a ctypes function, or a state that is not a ctypes instance.
        ConfigError
            Another signature.
        """
        cdef uintptr_t address, where = 0
        if not isinstance(function, ctypes._CFuncPtr):
            raise DTypeError(f"expected a ctypes function pointer, got {type(function).__name__}")
        wanted = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int64)
        if function.restype is not ctypes.c_int32 or tuple(function.argtypes or ()) != wanted:
            raise ConfigError(
                "expected restype c_int32 and argtypes (c_void_p, c_uint64, c_int64), "
                f"got {function.restype} and {function.argtypes}")
        if state is not None:
            try:
                where = ctypes.addressof(state)
            except TypeError as error:
                raise DTypeError(f"expected state to be a ctypes instance, got {type(state).__name__}") from error
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        if address == 0:
            raise ConfigError("expected a function pointer that is not NULL")
        return make_tick(<tick_fn> address, <void*> where, (function, state))

    def __call__(self, iteration, now_ns):
        """Run one tick, without the GIL, and return its answer: 0 goes on, anything else stops."""
        cdef uint64_t number = iteration
        cdef int64_t now = now_ns
        cdef int answer
        if self.function == NULL:
            raise DTypeError("expected a CompiledTick made by make_tick, from_capsule or from_ctypes, got an empty one")
        with nogil:
            answer = self.function(self.state, number, now)
        return answer

    def __repr__(self):
        return f"CompiledTick(function=0x{<uintptr_t> self.function:x}, state=0x{<uintptr_t> self.state:x})"


# ``owner`` is kept alive as long as the tick: the object that ``state`` points into.
cdef CompiledTick make_tick(tick_fn function, void* state, object owner):
    cdef CompiledTick tick = CompiledTick.__new__(CompiledTick)
    tick.function = function
    tick.state = state
    tick.owner = owner
    return tick
