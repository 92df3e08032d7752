"""Real-time rights of a thread: priority, locked memory, CPUs. Asked for politely, reported plainly, given back.

An ordinary user mostly has none of them. Nothing here raises for that: each attempt returns a :class:`Right` that says
what was granted or why not, and the statistics of the loop carry it.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from rfx.arrays import integer
from rfx.errors import ConfigError, DTypeError

HIGHEST_CPU = 4095
MCL_CURRENT, MCL_FUTURE = 1, 2

_memory_lock = threading.Lock()
_memory_users = 0


@dataclass(frozen=True)
class Right:
    """One real-time right: what was asked for, whether it was granted, and how or why not."""

    name: str
    asked: str
    granted: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.name} {self.asked}: {'granted' if self.granted else 'not granted'} ({self.detail})"


@dataclass(frozen=True)
class Wishes:
    """Checked real-time wishes of a loop; ``None`` and ``False`` stand for "leave as it is"."""

    priority: int | None = None
    lock_memory: bool = False
    affinity: tuple[int, ...] | None = None


def check_wishes(priority: int | None, lock_memory: bool, affinity: int | Iterable[int] | None) -> Wishes:
    """Check real-time settings.

    Parameters
    ----------
    priority : int or None
        SCHED_FIFO priority, 1 to 99.
    lock_memory : bool
        Keep the pages of the process in memory (mlockall).
    affinity : int, iterable of int or None
        CPUs that the thread may run on, each 0 to 4095.

    Raises
    ------
    ConfigError
        Out of range, or no CPU at all.
    DTypeError
        Not integers, or ``lock_memory`` not a bool.
    """
    if priority is not None and not 1 <= integer(priority, "priority") <= 99:
        raise ConfigError(f"expected priority to be 1 to 99 (SCHED_FIFO) or None, got {priority}")
    if not isinstance(lock_memory, bool):
        raise DTypeError(f"expected lock_memory to be True or False, got {type(lock_memory).__name__}")
    cpus = None
    if affinity is not None:
        try:
            given = tuple(affinity)  # type: ignore[arg-type]
        except TypeError:
            given = (affinity,)  # type: ignore[assignment]
        cpus = tuple(sorted({integer(cpu, "a CPU of affinity") for cpu in given}))
        if not cpus or cpus[0] < 0 or cpus[-1] > HIGHEST_CPU:
            raise ConfigError(f"expected affinity to name at least one CPU of 0 to {HIGHEST_CPU}, got {affinity!r}")
    return Wishes(None if priority is None else integer(priority, "priority"), lock_memory, cpus)


class RealtimeRights:
    """Context manager that asks for rights for the calling thread and gives them back at the end.

    After entering, ``rights`` holds one :class:`Right` for each wish. Enter and leave it in the same thread.
    """

    def __init__(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.rights: tuple[Right, ...] = ()
        self._undo: list[Callable[[], object]] = []

    def __enter__(self) -> "RealtimeRights":
        wishes = self.wishes
        rights = []
        if wishes.affinity is not None:
            rights.append(self._attempt("affinity", f"CPU {list(wishes.affinity)}", self._pin))
        if wishes.lock_memory:
            rights.append(self._attempt("memory", "locked", self._lock))
        if wishes.priority is not None:
            rights.append(self._attempt("priority", str(wishes.priority), self._raise_priority))
        self.rights = tuple(rights)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._undo:
            try:
                self._undo.pop()()
            except OSError:
                continue  # the right is gone already, for example because the CPUs of the process were changed

    def _attempt(self, name: str, asked: str, action: Callable[[], str]) -> Right:
        try:
            return Right(name, asked, True, action())
        except (OSError, AttributeError, ImportError, ValueError) as error:
            if isinstance(error, (AttributeError, ImportError)):
                reason = f"not available on {sys.platform}"
            else:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return Right(name, asked, False, reason)

    def _pin(self) -> str:
        assert self.wishes.affinity is not None
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.wishes.affinity)
        self._undo.append(lambda: os.sched_setaffinity(0, before))
        return f"was {sorted(before)}"

    def _raise_priority(self) -> str:
        assert self.wishes.priority is not None
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(self.wishes.priority))
        self._undo.append(lambda: os.sched_setscheduler(0, policy, parameters))
        return "SCHED_FIFO"

    def _lock(self) -> str:
        detail = lock_memory()
        self._undo.append(unlock_memory)
        return detail


def lock_memory() -> str:
    """Lock the pages of the process; calls count, the last :func:`unlock_memory` unlocks. Raises OSError if refused.

    Pages of the future are locked too only where no limit is set: with a limit, a later allocation would fail.
    """
    global _memory_users
    import resource  # Unix only

    limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY and os.geteuid() != 0
    with _memory_lock:
        if _memory_users == 0:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.mlockall(MCL_CURRENT if limited else MCL_CURRENT | MCL_FUTURE) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        _memory_users += 1
    return "present pages" if limited else "present and future pages"


def unlock_memory() -> None:
    """Undo one :func:`lock_memory`."""
    global _memory_users
    with _memory_lock:
        _memory_users -= 1
        if _memory_users == 0:
            ctypes.CDLL(None).munlockall()
