"""Let the motors brake before the program goes: on signals that end it, and when the interpreter exits.

One handler serves all robots of the process. It is there only while one of them is commanded, calls what was there before
it, and puts that back.
"""

import atexit
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

log = logging.getLogger("rfx.go2")

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE_S = 0.2  # for a brake that has to wait for whoever was interrupted

Brake = Callable[[str], None]
_lock = threading.RLock()
_brakes: dict[object, Brake] = {}
_before: dict[int, list[Any]] = {}  # what was there, the last on top: one that came later may call ours in turn
_depth: dict[int, int] = {}
_pid = 0
_registered = False


def watch(owner: object, brake: Brake) -> None:
    """Call ``brake(reason)`` when the program is ended; from the main thread also on signals."""
    global _pid, _registered
    with _lock:
        if _pid != os.getpid():  # a fork commands nothing that its parent did
            _brakes.clear()
            _before.clear()
            _pid = os.getpid()
        _brakes[owner] = brake
        if not _registered:
            atexit.register(_at_exit)
            _registered = True
        _install()


def release(owner: object) -> None:
    """Stop watching for this robot; the last one puts the handlers back that were there before."""
    with _lock:
        _brakes.pop(owner, None)
        if not _brakes:
            _restore()


def watched(owner: object) -> bool:
    """Whether this robot is watched, in this process."""
    return owner in _brakes and _pid == os.getpid()


def _install() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        there = signal.getsignal(number)
        if there is _handle or there is None or there is signal.SIG_IGN:
            continue  # ours; somebody's in C, which cannot be called; or a signal that ends nothing
        with contextlib.suppress(ValueError):  # a subinterpreter
            signal.signal(number, _handle)
            _before.setdefault(number, []).append(there)


def _restore() -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # they go on calling what was there before
    for number, stack in _before.items():
        if stack and signal.getsignal(number) is _handle:
            signal.signal(number, stack.pop())


def _handle(number: int, frame: FrameType | None) -> None:
    depth, stack = _depth.get(number, 0), _before.get(number, [])
    there = stack[-1 - depth] if depth < len(stack) else signal.SIG_DFL
    if _pid == os.getpid() and _brakes and not any(_depth.values()):  # not again for one that hands on to another
        _brake_all(signal.Signals(number).name)
    if callable(there):
        _depth[number] = depth + 1
        try:
            there(number, frame)
        finally:
            _depth[number] = depth
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _brake_all(reason: str) -> None:
    # In threads of their own: what was interrupted may hold a lock that braking needs.
    threads = [threading.Thread(target=brake, args=(reason,), daemon=True) for brake in list(_brakes.values())]
    for thread in threads:
        try:
            thread.start()
        except RuntimeError:  # the system has no more of them, or the interpreter ends
            thread.run()
    for thread in threads:
        if thread.is_alive():
            thread.join(PATIENCE_S)


def _at_exit() -> None:
    if _pid != os.getpid():
        return
    for brake in list(_brakes.values()):
        try:
            brake("the interpreter exits")
        except Exception as error:
            log.warning("damping at exit failed: %s", error)
