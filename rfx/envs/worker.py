"""What runs in a worker process: a share of the environments, stepped when an order comes through the pipe.

An order is 8 bytes of number, one letter and, for some, a pickled rest; the answer is the number and, if there is anything to
say, a pickled dict. Arrays never go through the pipe: both sides have them in the memory whose descriptor comes first.
"""

import contextlib
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import threading
import traceback
from multiprocessing.reduction import recv_handle
from typing import Any

from rfx.envs.flat import ActionRows
from rfx.envs.group import Failure, Group
from rfx.envs.slots import Slots
from rfx.errors import EnvError

NUMBER = struct.Struct("<Q")
RESET, STEP, CALL, PING, CLOSE = b"R", b"S", b"C", b"P", b"X"


def portable(error: BaseException) -> bytes | None:
    """Return an exception as bytes, None if it would not arrive as one."""
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        return None
    return packed


def unpacked(failure: tuple[int, bytes | None, str]) -> Failure:
    """Return a failure that came from a worker; an exception that did not arrive is replaced by one with its text."""
    index, packed, text = failure
    error: BaseException | None = None
    if packed is not None:
        with contextlib.suppress(Exception):
            error = pickle.loads(packed)
    if not isinstance(error, BaseException):
        last = text.strip().splitlines()
        error = EnvError(last[-1] if last else "unknown")
    return Failure(index, error, text)


def _packed(failures: list[Failure]) -> list[tuple[int, bytes | None, str]]:
    result = []
    for index, error, _ in failures:
        text = "".join(traceback.format_exception(error)) if error is not None else ""
        result.append((index, portable(error) if error is not None else None, text))
    return result


def _leave_with_parent() -> None:
    """End this process when the one that made it ends, however it ends, even in the middle of a step."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def main(conn: Any, makers: bytes, first: int) -> None:
    """Make the environments, say what they are, then take orders until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's, which then closes us
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        group = Group(pickle.loads(makers), first)
        rows = ActionRows(group.action_space)
    except BaseException as error:
        inner = error.__cause__ if isinstance(error, EnvError) and error.__cause__ is not None else error
        index = error.environments[0] if isinstance(error, EnvError) and error.environments else first
        text = "".join(traceback.format_exception(inner))
        conn.send_bytes(pickle.dumps({"failed": (index, portable(inner), text)}))
        return
    told = {
        "observation_space": group.observation_space,
        "action_space": group.action_space,
        "max_episode_steps": group.max_episode_steps,
        "form": (group.observation_space.low.size, rows.shape, rows.dtype.str),
    }
    try:
        conn.send_bytes(pickle.dumps(told))
        serve(conn, group, len(group.adapters), first)
    except (EOFError, ConnectionError, BrokenPipeError):
        pass  # the parent has gone, or gave us up
    finally:
        group.close()


def serve(conn: Any, group: Group, count: int, first: int) -> None:
    """Take orders until CLOSE."""
    form, size = pickle.loads(conn.recv_bytes())
    file = recv_handle(conn)
    try:
        block = mmap.mmap(file, size)
    finally:
        os.close(file)
    slots = Slots(form, block).part(first, first + count)
    conn.send_bytes(b"")
    while True:
        order = conn.recv_bytes()
        number, letter, rest = order[:8], order[8:9], order[9:]
        if letter == CLOSE:
            return
        answer = _answer(group, slots, letter, rest) if letter != PING else {}
        conn.send_bytes(number + _as_bytes(answer, first) if answer else number)


def _answer(group: Group, slots: Slots, letter: bytes, rest: bytes) -> dict[str, Any]:
    if letter == CALL:
        what, local, args = pickle.loads(rest)
        results, failures = group.call(what, local, args)
        return {"results": results, "failures": _packed(failures)}
    options = pickle.loads(rest) if letter == RESET and rest else None
    failures = group.step(slots, rest[0]) if letter == STEP else group.reset(slots, options)
    answer: dict[str, Any] = {}
    for name, infos in (("infos", group.infos), ("final_infos", group.final_infos)):
        told = {i: info for i, info in enumerate(infos) if info}
        if told:
            answer[name] = told
    if failures:
        answer["failures"] = _packed(failures)
    return answer


def _as_bytes(answer: dict[str, Any], first: int) -> bytes:
    try:
        return pickle.dumps(answer)
    except Exception as error:
        told = _packed([Failure(first, error)])
        return pickle.dumps({"failures": [*answer.get("failures", []), *told]})
