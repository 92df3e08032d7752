"""A million operations on the buffers: what they hold stays right, and their memory stays what it was."""

from pathlib import Path

import numpy as np
import pytest

from rfx.buffers import HERBuffer, PrioritizedReplayBuffer, ReplayBuffer, SequenceReplayBuffer

ROUNDS = 110_000
STATM = Path("/proc/self/statm")


def resident_pages():
    return int(STATM.read_text().split()[1])


@pytest.mark.skipif(not STATM.exists(), reason="reads /proc")
def test_a_million_operations_leave_memory_flat_and_rows_whole():
    common = {"act_dtype": np.int64}
    uniform = ReplayBuffer(5000, 4, (), n_step=3, **common)
    ranked = PrioritizedReplayBuffer(5000, 4, (), **common)
    sequences = SequenceReplayBuffer(5000, 4, (), num_envs=4, **common)
    goals = HERBuffer(5000, 4, (), 1, **common)
    rng = np.random.default_rng(0)
    ends = rng.random(ROUNDS) < 0.05
    operations, before = 0, None
    for i in range(ROUNDS):
        obs, end = np.full(4, i % 4096, np.float32), bool(ends[i])
        row = obs, i % 7, float(i % 4096), end, False, obs
        uniform.push(*row)
        slot = ranked.push(*row)
        sequences.push(*row, env=i % 4)
        goals.push(*row, [i % 9], [3.0])
        ranked.update_priorities([slot], [1.0 + i % 5])
        operations += 5
        if i % 10 == 9:
            seed = i
            batches = [
                uniform.sample(8, seed),
                uniform.sample_recent(4, 100, seed),
                ranked.sample(8, seed),
                sequences.sample(8, seed),
                sequences.sample_sequences(2, 4, seed, pad=True, with_open=True),
                goals.sample(8, seed) if goals.num_complete_episodes() else goals.sample(8, seed, her_ratio=0.0),
            ]
            for batch in batches:
                np.testing.assert_array_equal(batch["obs"][..., 0], batch["obs"][..., 3])
            assert (batches[2]["obs"][:, 0] == batches[2]["rewards"]).all()
            ranked.update_priorities(batches[2]["indices"], rng.random(8) + 0.1, batches[2]["serials"])
            operations += 7 + sum(len(batch["obs"]) for batch in batches)  # a drawn row counts as one
        if i == ROUNDS // 5:
            before = resident_pages()
    assert operations > 1_000_000
    assert len(uniform) == len(ranked) == len(sequences) == len(goals) == 5000
    grown = (resident_pages() - before) * 4096
    assert grown < 16 << 20
