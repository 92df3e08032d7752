"""Rows 19 to 21: group advantages, token KL and packing against rlox, torch and numpy.

rlox's compiled module is loaded by itself, without the torch that its package asks for. `python benchmarks/bench_llm.py`
prints the ratios of many interleaved rounds, which is what counts on a machine that others use too.
"""

import math

import numpy as np
import pytest
from interleaved import table
from rlox_core import rlox_core

from rfx.llm import VarLenStore, compute_token_kl, group_advantages, pack_sequences, token_kl


def torch():
    return pytest.importorskip("torch", reason="torch is not installed: pip install torch")


# -- row 19

REWARDS = np.random.default_rng(0).normal(size=16_000)


def advantages_numpy(rewards):
    groups = rewards.reshape(-1, 16)
    return ((groups - groups.mean(1, keepdims=True)) / groups.std(1, keepdims=True)).ravel()


def advantages_torch():
    library = torch()
    rewards = library.from_numpy(REWARDS)

    def run():
        groups = rewards.view(-1, 16)
        std = groups.std(1, keepdim=True, correction=0)
        return ((groups - groups.mean(1, keepdim=True)) / std).view(-1).numpy()

    return run


ADVANTAGES = {
    "rfx": lambda: lambda: group_advantages(REWARDS, 16),
    "rlox": lambda: (lambda f: lambda: f(REWARDS, 16))(rlox_core().compute_batch_group_advantages),
    "torch": advantages_torch,
    "numpy": lambda: lambda: advantages_numpy(REWARDS),
}

# -- row 20

LOG_P = np.random.default_rng(1).uniform(-8, 0, 1_000_000)
LOG_Q = LOG_P + np.random.default_rng(2).normal(0, 0.3, 1_000_000)


def kl_torch():
    library = torch()
    p, q = library.from_numpy(LOG_P), library.from_numpy(LOG_Q)
    return lambda: float((p.exp() * (p - q)).sum())


KL = {
    "rfx": lambda: lambda: compute_token_kl(LOG_P, LOG_Q),
    "rlox": lambda: (lambda f: lambda: f(LOG_P, LOG_Q))(rlox_core().compute_token_kl),
    "torch": kl_torch,
    "numpy": lambda: lambda: float((np.exp(LOG_P) * (LOG_P - LOG_Q)).sum()),
}


def k3_torch():
    library = torch()
    p, q = library.from_numpy(LOG_P), library.from_numpy(LOG_Q)
    return lambda: (library.exp(q - p) - (q - p) - 1).numpy()


def k3_numpy():
    d = LOG_Q - LOG_P
    return np.exp(d) - d - 1


K3 = {"rfx": lambda: lambda: token_kl(LOG_P, LOG_Q), "torch": k3_torch, "numpy": lambda: k3_numpy}

# -- row 21

_LENGTHS = np.random.default_rng(3).integers(10, 513, 10_000)
SEQUENCES = [np.arange(n, dtype=np.uint32) for n in _LENGTHS]


def pack_store():
    store = VarLenStore()
    store.push_many(SEQUENCES)
    return lambda: pack_sequences(store, 2048)


PACKING = {
    "rfx": lambda: lambda: pack_sequences(SEQUENCES, 2048),
    "rfx ffd": lambda: lambda: pack_sequences(SEQUENCES, 2048, strategy="ffd"),
    "rfx wrapped": lambda: lambda: pack_sequences(SEQUENCES, 2048, strategy="wrapped"),
    "rfx from a store": pack_store,
    "rlox": lambda: (lambda f: lambda: f(SEQUENCES, 2048))(rlox_core().pack_sequences),
}


def check_packing(packed, cut):
    """Every token is there once, at its position; sequences are whole unless they may be cut."""
    lengths = []
    for row in packed:
        used = np.asarray(row["attention_mask"]) == 1
        ids, starts = np.asarray(row["input_ids"])[used], np.asarray(row["sequence_starts"]).astype(int)
        lengths += np.diff(np.append(starts, len(ids))).tolist()
        if not cut:  # token i of a sequence is i
            np.testing.assert_array_equal(ids, np.asarray(row["position_ids"])[used])
            assert (ids[starts] == 0).all()
    assert sum(lengths) == _LENGTHS.sum()
    assert cut or sorted(lengths) == sorted(_LENGTHS)


@pytest.mark.parametrize("who", ADVANTAGES)
@pytest.mark.benchmark(group="row 19: group advantages, 1000 x 16")
def test_group_advantages(benchmark, who):
    result = benchmark(ADVANTAGES[who]())
    np.testing.assert_allclose(result, advantages_numpy(REWARDS), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("who", KL)
@pytest.mark.benchmark(group="row 20: token KL, 1e6")
def test_token_kl(benchmark, who):
    result = benchmark(KL[who]())
    expected = math.fsum((np.exp(LOG_P) * (LOG_P - LOG_Q)).tolist())
    assert result == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("who", K3)
@pytest.mark.benchmark(group="k3 per token, 1e6")
def test_k3(benchmark, who):
    result = benchmark(K3[who]())
    np.testing.assert_allclose(result, k3_numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("who", PACKING)
@pytest.mark.benchmark(group="row 21: packing 10 000 sequences of 10..512 into 2048")
def test_packing(benchmark, who):
    packed = benchmark(PACKING[who]())
    check_packing(packed, cut=who == "rfx wrapped")


if __name__ == "__main__":
    table("row 19, group advantages", ADVANTAGES, 2000)
    table("row 20, token KL", KL, 100)
    table("k3 per token", K3, 100)
    table("row 21, packing", PACKING, 30)
