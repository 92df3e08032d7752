"""Minima of many interleaved rounds: what counts on a machine that others use too."""

import math
import time

import pytest


def table(title, makers, rounds):
    """Minimum of each over interleaved rounds, and ours over the best peer."""
    calls = {}
    for who, make in makers.items():
        try:
            calls[who] = make()
        except pytest.skip.Exception as reason:
            print(f"  ({who}: {reason})")
    best = dict.fromkeys(calls, math.inf)
    for _ in range(rounds):
        for who, call in calls.items():
            start = time.perf_counter()
            call()
            best[who] = min(best[who], time.perf_counter() - start)
    print(title, {who: f"{1e6 * t:.1f} us" for who, t in best.items()})
    peers = [t for who, t in best.items() if not who.startswith("rfx")]
    if peers and "rfx" in best:
        print(f"  ours / best peer = {best['rfx'] / min(peers):.2f}")
