"""The engine interface over environments of Python that run in processes of their own."""

import contextlib
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing.reduction import send_handle
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx.envs import worker
from rfx.envs.flat import ActionRows
from rfx.envs.group import Failure, Maker, raise_failures
from rfx.envs.python_engine import SlotEngine
from rfx.envs.slots import FAILED, FRESH, Form, Slots
from rfx.errors import ConfigError, EnvError, InvalidStateError, MissingDependencyError
from rfx.seeding import derive_seed

GRACE_S = 2.0
CONTEXTS = ("forkserver", "spawn")


class _Worker:
    """One process and our end of its pipe; its environments are ``first`` to ``last - 1``."""

    def __init__(self, context: Any, makers: bytes, number: int, first: int, last: int) -> None:
        self.number, self.first, self.last = number, first, last
        self.conn, theirs = context.Pipe()
        self.process = context.Process(
            target=worker.main, args=(theirs, makers, first), name=f"rfx-envs-{number}", daemon=True
        )
        try:
            self.process.start()
        finally:
            theirs.close()  # so that the pipe ends with the process
        self.lost = False

    def send(self, message: bytes) -> None:
        if not self.lost:
            try:
                self.conn.send_bytes(message)
            except OSError:
                self.lost = True

    def receive(self) -> bytes | None:
        """Return the next message, None once the process has gone."""
        if not self.lost:
            try:
                return self.conn.recv_bytes()
            except (EOFError, OSError):
                self.lost = True
        return None

    def leave(self) -> None:
        """Give back what this process holds for one that has ended."""
        self.conn.close()
        with contextlib.suppress(ValueError):
            self.process.close()

    def why_lost(self) -> str:
        try:
            self.process.join(1.0)
            code = self.process.exitcode
        except ValueError:
            return f"worker {self.number} was closed"
        how = "has gone" if code is None else f"ended with code {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"was killed by {signal.Signals(-code).name}"
        return f"worker {self.number} {how}"


def _shut(workers: list[_Worker], maker: int) -> None:
    """Ask the processes to end, and see to it that they do."""
    if os.getpid() != maker:
        return  # a fork of the process that made them: they are not its own
    for one in workers:
        one.send(bytes(8) + worker.CLOSE)
    end = time.monotonic() + GRACE_S
    for step in ("join", "terminate", "kill"):
        for one in workers:
            if step != "join" and one.process.is_alive():
                getattr(one.process, step)()
        for one in workers:
            one.process.join(max(0.0, end - time.monotonic()))
        end = time.monotonic() + GRACE_S
    for one in workers:
        one.leave()
    workers.clear()


def _pickled(makers: Sequence[Maker]) -> bytes:
    """Return the makers as bytes; with cloudpickle, which Gymnasium brings, lambdas and notebooks' classes may be sent."""
    try:
        import cloudpickle as pickler  # type: ignore[import-untyped]
    except ImportError:
        pickler = pickle
    try:
        return pickler.dumps(list(makers))
    except Exception as error:
        raise ConfigError(
            f"expected factories that can be pickled, as classes and functions of a module can: {error}"
        ) from error


def _shared_file(size: int) -> int:
    """Return the descriptor of so many zeroed bytes that have no name: they go when the last process that has them does."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("rfx-envs", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as holder:
            file = os.dup(holder.fileno())
    try:
        os.ftruncate(file, size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
    except OSError as error:
        os.close(file)
        raise MemoryError(f"{size} bytes of shared memory cannot be had: {error}") from error
    return file


class WorkerEngine(SlotEngine):
    """Environments of Python in worker processes; actions and results go through shared memory.

    Which environment is in which process changes nothing: each has a seed of its own. Environments are made in the workers
    only. Ctrl+C gets through at any time; a step that it interrupted may have been taken by some environments and not by
    others, so reset then. When this process ends, however it ends, the workers end as well, and the memory has no name that
    could be left behind.

    Parameters
    ----------
    makers : sequence of callable
        One for each environment, see :class:`rfx.envs.PythonEngine`. They must be fit for pickling.
    workers : int
        How many processes, at most one for each environment.
    context : str, optional
        "forkserver" or "spawn", how processes begin: the first on Linux by default, the second elsewhere.

    Raises
    ------
    EnvError
        A maker raised, or a worker ended before it was ready.
    ConfigError
        As for PythonEngine, or the makers cannot be pickled.
    """

    def __init__(self, makers: Sequence[Maker], workers: int, context: str | None = None) -> None:
        if sys.platform == "win32":
            raise MissingDependencyError("worker processes need POSIX shared memory, which Windows has not")
        n = len(makers)
        count = min(arrays.integer(workers, "workers", minimum=1), n)
        chosen = context or CONTEXTS[sys.platform != "linux"]
        if chosen not in CONTEXTS:
            raise ConfigError(f"expected context to be one of {', '.join(CONTEXTS)}, got {context!r}")
        self._context = multiprocessing.get_context(chosen)
        bounds = [n * w // count for w in range(count + 1)]
        self._shares = list(pairwise(bounds))
        self._makers = [_pickled(makers[first:last]) for first, last in self._shares]
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _shut, self._workers, os.getpid())
        self._file, self._number, self._settled, self._restarts = -1, 0, True, 0
        try:
            for w in range(count):
                self._workers.append(self._start(w))
            told = [self._told(one) for one in self._workers]
            if any((t["observation_space"], t["action_space"]) != _spaces(told[0]) for t in told):
                raise ConfigError("expected environments of the same spaces in all workers")
            form: Form = (n, *told[0]["form"])
            size = Slots.size(form)
            self._file = _shared_file(size)
            self._closing = weakref.finalize(self, os.close, self._file)
            slots = Slots(form, mmap.mmap(self._file, size))
            self._hold(SimpleNamespace(**told[0]), slots, ActionRows(told[0]["action_space"]))
            for one in self._workers:
                self._hand_memory(one)
        except BaseException:
            self._finalizer()
            raise
        self._last_seeds: NDArray[np.uint64] | None = None

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers."""
        return [one.process.pid or 0 for one in self._workers]

    def _start(self, w: int) -> _Worker:
        first, last = self._shares[w]
        return _Worker(self._context, self._makers[w], w, first, last)

    def _told(self, one: _Worker) -> dict[str, Any]:
        """Wait until a worker has made its environments."""
        message = one.receive()
        if message is None:
            raise EnvError(
                f"{one.why_lost()} before its environments were made; a script that starts workers "
                'must do so under `if __name__ == "__main__":`'
            )
        told = pickle.loads(message)
        if "failed" in told:
            failure = worker.unpacked(told["failed"])
            if isinstance(failure.error, ConfigError):
                raise failure.error
            raise_failures([failure])
        return told

    def _hand_memory(self, one: _Worker) -> None:
        form = self._open_slots().form
        one.send(pickle.dumps((form, Slots.size(form))))
        try:
            send_handle(one.conn, self._file, one.process.pid)
        except OSError:
            one.lost = True
        if one.receive() is None:
            raise EnvError(f"{one.why_lost()} before it was ready")

    def _open_slots(self) -> Slots:
        if self._slots is None:
            raise InvalidStateError("expected an open engine, this one is closed")
        return self._slots

    def _open(self) -> Slots:
        slots = self._open_slots()
        if not self._settled:  # an order was interrupted: wait until nobody writes any more
            self._exchange({one.number: worker.PING for one in self._workers})
            self._settled = True
        return slots

    def _exchange(self, orders: dict[int, bytes]) -> dict[int, dict[str, Any]]:
        """Send orders to workers, wait for the answers; a worker that has gone has none. Old answers are passed over."""
        self._settled = False
        self._number += 1
        number, workers = worker.NUMBER.pack(self._number), list(self._workers)
        for w, order in orders.items():
            workers[w].send(number + order)
        answers = {}
        for w in orders:
            while (message := workers[w].receive()) is not None:
                if message[:8] == number:
                    answers[w] = pickle.loads(message[8:]) if len(message) > 8 else {}
                    break
        self._open_slots()  # another thread may have closed this engine meanwhile
        self._settled = True
        return answers

    def _all(self, order: bytes) -> list[Failure]:
        """Give all workers one order, take what they say."""
        gone = [one for one in self._workers if one.lost]
        if gone:
            raise InvalidStateError(f"expected restart_workers() first: {gone[0].why_lost()}")
        workers = list(self._workers)
        answers = self._exchange(dict.fromkeys(range(len(workers)), order))
        self.infos, self.final_infos = [{} for _ in range(self.num_envs)], [{} for _ in range(self.num_envs)]
        failures: list[Failure] = []
        for one in workers:
            answer = answers.get(one.number)
            if answer is None:
                failures += self._lose(one)
                continue
            for name in ("infos", "final_infos"):
                for i, info in answer.get(name, {}).items():
                    getattr(self, name)[one.first + i] = info
            failures += map(worker.unpacked, answer.get("failures", ()))
        return failures

    def _lose(self, one: _Worker) -> list[Failure]:
        slots, share = self._open_slots(), slice(one.first, one.last)
        slots.phase[share] = FAILED
        slots.rewards[share], slots.terminated[share], slots.truncated[share] = 0.0, False, False
        which = f"environments {one.first} to {one.last - 1} are lost"
        error = EnvError(f"{one.why_lost()}: {which}, call restart_workers() and reset them; the others are intact")
        return [Failure(i, error) for i in range(one.first, one.last)]

    def _run_reset(self, options: dict[str, Any] | None) -> list[Failure]:
        slots = self._open_slots()
        if slots.seeded.any():
            known = np.zeros(self.num_envs, np.uint64) if self._last_seeds is None else self._last_seeds
            self._last_seeds = np.where(slots.seeded, slots.seeds, known)
        return self._all(worker.RESET + (pickle.dumps(options) if options else b""))

    def _run_step(self, autoreset: int) -> list[Failure]:
        return self._all(worker.STEP + bytes([autoreset]))

    def _run_call(self, what: str, indices: Sequence[int], args: tuple[Any, ...]) -> list[Any]:
        orders, places = {}, {}
        for one in self._workers:
            places[one.number] = [k for k, i in enumerate(indices) if one.first <= i < one.last]
            if places[one.number]:
                here = (args[0], [args[1][k] for k in places[one.number]]) if what == "set_attribute" else args
                local = [indices[k] - one.first for k in places[one.number]]
                orders[one.number] = worker.CALL + pickle.dumps((what, local, here))
        answers = self._exchange(orders)
        results: list[Any] = [None] * len(indices)
        for w in orders:
            if w not in answers:
                raise_failures(self._lose(self._workers[w]))
            for told in answers[w].get("failures", ()):
                failure = worker.unpacked(told)
                assert failure.error is not None
                failure.error.add_note(f"In environment {failure.env}, in the worker:\n{failure.trace}")
                raise failure.error
            for k, value in zip(places[w], answers[w]["results"], strict=True):
                results[k] = value
        return results

    def restart_workers(self) -> NDArray[np.bool_]:
        """Start the processes that have gone again, and make their environments anew.

        Returns
        -------
        ndarray of bool, (num_envs,)
            Which environments are new: reset them with it as the mask. They draw from ``derive_seed`` of their old seed and
            how often workers were restarted; the others go on as if nothing had happened.
        """
        with self._lock:
            slots = self._open()
            new = np.zeros(self.num_envs, np.bool_)
            for w, one in enumerate(self._workers):
                if not one.lost and one.process.is_alive():
                    continue
                one.lost = True  # whatever keeps the new one from its place
                one.process.join(GRACE_S)
                if one.process.is_alive():  # it was given up before it was ready
                    one.process.kill()
                    one.process.join()
                self._restarts += 1
                self._workers[w] = fresh = self._start(w)
                one.leave()
                try:
                    self._told(fresh)
                    self._hand_memory(fresh)
                except BaseException:
                    fresh.lost = True  # nobody takes orders there yet
                    raise
                new[one.first : one.last] = True
                slots.phase[one.first : one.last] = FRESH
                if self._last_seeds is not None:
                    for i in range(one.first, one.last):
                        slots.seeds[i] = derive_seed(int(self._last_seeds[i]), self._restarts)
                        slots.seeded[i] = True
            return new

    def close(self) -> None:
        """End the processes; one that does not within two seconds is killed. Done twice it does nothing."""
        mine = self._lock.acquire(timeout=GRACE_S)  # a thread that is in a step may end it
        try:
            if self._finalizer.alive:
                self._slots = None
                self._finalizer()
                self._closing()
        finally:
            if mine:
                self._lock.release()

    def __repr__(self) -> str:
        return f"WorkerEngine(num_envs={self.num_envs}, workers={len(self._shares)})"


def _spaces(told: dict[str, Any]) -> tuple[Any, Any]:
    return told["observation_space"], told["action_space"]
