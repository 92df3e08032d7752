"""Push throughput (obs 48, act 12, with next_obs) of 1, 2 and 4 producers: threads, and processes over shared memory.

Peers are ReplayBuffer, for threads, and what people write: numpy columns and a lock around them. Run as a program it takes
turns between all of them and prints pushes per second, the best of all turns.
"""

import multiprocessing
import os
import threading
import time
from multiprocessing import shared_memory

import numpy as np
import pytest

from rfx.buffers import ConcurrentReplayBuffer, ReplayBuffer

OBS, ACT, CAPACITY, PUSHES, BLOCK = 48, 12, 20_000, 8_000, 32
SHAPES = {
    "obs": ((OBS,), np.float32),
    "actions": ((ACT,), np.float32),
    "rewards": ((), np.float32),
    "terminated": ((), np.bool_),
    "truncated": ((), np.bool_),
    "next_obs": ((OBS,), np.float32),
}


class LockedNumpy:
    """One array for each column, in shared memory if asked, under one lock."""

    def __init__(self, capacity, shared):
        widths = {name: int(np.prod(s, dtype=int)) * np.dtype(t).itemsize for name, (s, t) in SHAPES.items()}
        self.memory = (
            shared_memory.SharedMemory(create=True, size=capacity * sum(widths.values()) + 64) if shared else None
        )
        self.columns, at = {}, 64
        for name, (shape, dtype) in SHAPES.items():
            buf = self.memory.buf[at:] if shared else None
            self.columns[name] = (
                np.ndarray((capacity, *shape), dtype, buf) if shared else np.zeros((capacity, *shape), dtype)
            )
            at += capacity * widths[name]
        self.pushed = np.ndarray(1, np.int64, self.memory.buf) if shared else np.zeros(1, np.int64)
        self.pushed[0] = 0
        self.capacity = capacity
        self.lock = multiprocessing.get_context("fork").Lock() if shared else threading.Lock()

    def push(self, *row):
        with self.lock:
            at = int(self.pushed[0]) % self.capacity
            for column, value in zip(self.columns.values(), row, strict=True):
                column[at] = value
            self.pushed[0] += 1

    def push_batch(self, *rows):
        with self.lock:
            n = len(rows[2])
            at = (int(self.pushed[0]) + np.arange(n)) % self.capacity
            for column, value in zip(self.columns.values(), rows, strict=True):
                column[at] = value
            self.pushed[0] += n

    def __len__(self):
        return min(int(self.pushed[0]), self.capacity)

    def close(self):
        self.columns = self.pushed = None
        if self.memory is not None:
            self.memory.close()
            self.memory.unlink()


def make(kind, shared):
    if kind == "rfx":
        return ConcurrentReplayBuffer(CAPACITY, OBS, ACT, shared=shared)
    return ReplayBuffer(CAPACITY, OBS, ACT) if kind == "ReplayBuffer" else LockedNumpy(CAPACITY, shared)


def unmake(buffer):
    if isinstance(buffer, ConcurrentReplayBuffer):
        buffer.__exit__()
    elif isinstance(buffer, LockedNumpy):
        buffer.close()


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, n, OBS)).astype(np.float32)
    flags = np.zeros(n, bool)
    return obs, rng.normal(size=(n, ACT)).astype(np.float32), np.arange(n, dtype=np.float32), flags, flags, next_obs


def produce(buffer, pushes, block):
    """So many rows, one at a time or in blocks."""
    if block:
        batch, push = rows(BLOCK), buffer.push_batch
        for _ in range(pushes // BLOCK):
            push(*batch)
    else:
        obs, actions, _, _, _, next_obs = (c[0] for c in rows(1))
        push = buffer.push
        for _ in range(pushes):
            push(obs, actions, 1.0, False, False, next_obs)


class Crew:
    """Producers that wait at a barrier for each round."""

    def __init__(self, buffer, n, processes, block):
        context = multiprocessing.get_context("fork")
        self.barrier = context.Barrier(n + 1) if processes else threading.Barrier(n + 1)
        self.processes, member = processes, context.Process if processes else threading.Thread
        self.leave = context.Event() if processes else threading.Event()
        self.share = PUSHES // n // BLOCK * BLOCK
        self.members = [member(target=self.work, args=(buffer, block), daemon=True) for _ in range(n)]
        for m in self.members:
            m.start()

    def work(self, buffer, block):
        while True:
            self.barrier.wait()
            if self.leave.is_set():
                if self.processes:
                    os._exit(0)  # the parent gives all memory back
                return
            produce(buffer, self.share, block)
            self.barrier.wait()

    def run(self):
        self.barrier.wait()
        self.barrier.wait()

    def end(self):
        self.leave.set()
        self.barrier.wait()
        for m in self.members:
            m.join()


CASES = [(False, "rfx"), (False, "ReplayBuffer"), (False, "lock + numpy"), (True, "rfx"), (True, "lock + numpy")]


def same_rows():
    """All three hold the same after the same pushes."""
    made = [make(kind, shared) for shared, kind in CASES]
    for buffer in made:
        buffer.push_batch(*rows(64, 5))
    expected = rows(64, 5)
    for buffer in made:
        got = buffer.columns["obs"][:64] if isinstance(buffer, LockedNumpy) else buffer.gather(range(64))["obs"]
        np.testing.assert_array_equal(got, expected[0])
        assert len(buffer) == 64
        del got
        unmake(buffer)


@pytest.mark.parametrize("block", [False, True], ids=["one", f"block of {BLOCK}"])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize(("processes", "kind"), CASES, ids=[f"{'processes' if p else 'threads'} {k}" for p, k in CASES])
def test_push(benchmark, processes, kind, n, block):
    same_rows()
    benchmark.group = f"{n} {'processes' if processes else 'threads'}, {'blocks' if block else 'single rows'}"
    buffer = make(kind, processes)
    crew = Crew(buffer, n, processes, block)
    benchmark.pedantic(crew.run, rounds=15, warmup_rounds=1)
    crew.end()
    assert len(buffer) >= crew.share * n  # also of a single round
    unmake(buffer)


def main(turns=15):
    same_rows()
    print(f"{'pushes per second':34s} {'rfx':>12s} {'ReplayBuffer':>14s} {'lock + numpy':>14s}   rfx / best peer")
    for block in (False, True):
        for processes in (False, True):
            for n in (1, 2, 4):
                kinds = [k for p, k in CASES if p == processes]
                buffers = {k: make(k, processes) for k in kinds}
                crews = {k: Crew(buffers[k], n, processes, block) for k in kinds}
                best = dict.fromkeys(kinds, float("inf"))
                for _ in range(turns):
                    for k in kinds:
                        start = time.perf_counter()
                        crews[k].run()
                        best[k] = min(best[k], time.perf_counter() - start)
                for k in kinds:
                    crews[k].end()
                    unmake(buffers[k])
                rate = {k: crews[k].share * n / best[k] for k in kinds}
                name = (
                    f"{n} {'processes' if processes else 'threads'}, {f'blocks of {BLOCK}' if block else 'single rows'}"
                )
                shown = [f"{rate[k]:14,.0f}" if k in rate else " " * 14 for _, k in CASES[:3]]
                peer = max(v for k, v in rate.items() if k != "rfx")
                print(f"{name:32s} {' '.join(shown)}   {rate['rfx'] / peer:.2f}", flush=True)


if __name__ == "__main__":
    main()
