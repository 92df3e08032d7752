"""rfx.seeding: the known numbers, the stream, seeds that do not meet."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.seeding import ChaCha8Rng, derive_seed, rng_from_seed

# The first eight words of rand_chacha 0.9's ChaCha8Rng::seed_from_u64
WORDS = {
    0: [2811902828, 3045455719, 3134767159, 2001118559, 2179114726, 3002797362, 2409334908, 258433188],
    1: [2359561649, 1728662762, 4228812395, 345245400, 906430053, 2562206467, 1661472066, 941991900],
    42: [962419617, 2928721845, 628724104, 4081401798, 3317060492, 1836168968, 1477863250, 2694492921],
    2**32: [3872445525, 2338393937, 2483235119, 1901933429, 345849870, 3607723759, 3305706875, 1711471890],
    2**63: [2396702205, 315251739, 4188613557, 3106259693, 1131051327, 2642557695, 2685241898, 2259260420],
    2**64 - 1: [3819388078, 2938119046, 2545823192, 1839259395, 106437596, 1635475236, 2575672727, 1859133944],
}
# What rlox 1.2.0's buffers draw: (seed, length) -> first eight indices
INDICES = {
    (0, 10): [6, 7, 7, 4, 5, 6, 5, 0],
    (0, 1000): [654, 709, 729, 465, 507, 699, 560, 60],
    (42, 100_000): [22408, 68189, 14638, 95027, 77231, 42751, 34409, 62736],
    (7, 1_000_000): [140003, 157796, 182055, 167989, 270089, 704276, 36105, 726741],
}


class SlowChaCha:
    """The cipher from the paper, a word at a time."""

    def __init__(self, seed):
        state, self.key = seed, []
        for _ in range(8):
            state = (state * 6364136223846793005 + 11634580027462260723) % 2**64
            x, turn = (((state >> 18) ^ state) >> 27) % 2**32, state >> 59
            self.key.append(((x >> turn) | (x << (32 - turn))) % 2**32)
        self.block, self.words = 0, []

    def next(self):
        if not self.words:
            start = [
                0x61707865,
                0x3320646E,
                0x79622D32,
                0x6B206574,
                *self.key,
                self.block % 2**32,
                self.block >> 32,
                0,
                0,
            ]
            x = list(start)

            def quarter(a, b, c, d):
                for p, q, r, s in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    x[p] = (x[p] + x[q]) % 2**32
                    v = x[r] ^ x[p]
                    x[r] = ((v << s) | (v >> (32 - s))) % 2**32

            for _ in range(4):
                for i in range(4):
                    quarter(i, 4 + i, 8 + i, 12 + i)
                for i in range(4):
                    quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
            self.words = [(a + b) % 2**32 for a, b in zip(x, start, strict=True)]
            self.block += 1
        return self.words.pop(0)

    def below(self, n):
        wide = self.next() * n
        high, low = wide >> 32, wide % 2**32
        if low > -n % 2**32:
            high += (low + (self.next() * n >> 32)) >> 32
        return high


# -- the stream


@pytest.mark.parametrize("seed", WORDS)
def test_known_words(seed):
    assert rng_from_seed(seed).words(8).tolist() == WORDS[seed]


def test_known_words_where_blocks_and_buffers_meet():
    words = rng_from_seed(42).words(66).tolist()
    assert words[15:18] == [3452607245, 2697858048, 3312488290]
    assert words[63:66] == [428816906, 1229441815, 870314140]


@given(st.integers(0, 2**64 - 1), st.integers(1, 300))
def test_the_stream_is_the_ciphers(seed, count):
    slow = SlowChaCha(seed)
    assert rng_from_seed(seed).words(count).tolist() == [slow.next() for _ in range(count)]


def test_known_64_bit_words():
    rng = rng_from_seed(0)
    assert [rng.next_u64() for _ in range(3)] == [13080132717333068652, 8594738769458413623, 12896916468484187878]


def test_known_numbers_of_the_unit_interval():
    expected = [0.6818961923066713, 0.950275407672484, 0.4275164028565197, 0.6273605211973403]
    assert rng_from_seed(42).uniform(size=4).tolist() == expected
    rng = rng_from_seed(0)
    assert rng.uniform(-0.05, 0.05) == 0.02090754154265617


# -- integers


@pytest.mark.parametrize(("seed", "length"), INDICES)
def test_known_indices(seed, length):
    assert rng_from_seed(seed).integers(length, size=8).tolist() == INDICES[seed, length]


@pytest.mark.parametrize("n", [1, 2, 1000, 20_000_000, 2**31, 2**32 - 1])
def test_integers_are_the_slow_draws_with_their_second_words(n):
    slow = SlowChaCha(5)
    assert rng_from_seed(5).integers(n, size=20_000).tolist() == [slow.below(n) for _ in range(20_000)]


@pytest.mark.parametrize("n", [2**32, 2**40 + 7, 2**63 - 1])
def test_wide_integers_are_multiplied_out(n):
    rng, words = rng_from_seed(3), rng_from_seed(3)
    for value in rng.integers(n, size=500):
        first = words.next_u64() * n
        high, low = first >> 64, first % 2**64
        if low > -n % 2**64:
            high += (low + (words.next_u64() * n >> 64)) >> 64
        assert value == high


@given(st.integers(-(2**63), 2**63 - 2), st.integers(1, 2**64), st.integers(0, 2**64 - 1))
def test_integers_stay_within_their_bounds(low, width, seed):
    high = min(low + width, 2**63 - 1)
    assert low <= rng_from_seed(seed).integers(low, high) < high


def test_one_draw_and_many_take_the_same_numbers():
    one, many = rng_from_seed(9), rng_from_seed(9)
    assert [one.integers(50) for _ in range(100)] == many.integers(50, size=100).tolist()
    assert [one.uniform(1, 2) for _ in range(100)] == many.uniform(1, 2, size=100).tolist()
    assert one.position == many.position


def test_integers_are_even():
    counts = np.bincount(rng_from_seed(1).integers(10, size=100_000), minlength=10)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9  # chi-square, 9 degrees of freedom, 0.1 %


def test_shapes():
    rng = rng_from_seed(1)
    assert rng.integers(5, size=(2, 3)).shape == (2, 3)
    assert rng.uniform(size=0).shape == (0,)
    assert rng.words(0).shape == (0,)
    assert rng.uniform(size=(2, 0, 3)).shape == (2, 0, 3)


# -- state


@pytest.mark.parametrize("taken", [0, 1, 15, 16, 63, 64, 65, 1000])
def test_pickle_seek_and_state_dict_go_on_where_it_was(taken):
    rng = rng_from_seed(77)
    rng.words(taken)
    assert rng.position == taken
    copy, loaded, sought = pickle.loads(pickle.dumps(rng)), ChaCha8Rng(0), ChaCha8Rng(77)
    loaded.load_state_dict(rng.state_dict())
    sought.seek(taken)
    expected = rng.words(100).tolist()
    assert copy.words(100).tolist() == loaded.words(100).tolist() == sought.words(100).tolist() == expected


def test_threads_share_a_stream_without_losing_words():
    rng, taken = rng_from_seed(4), []
    threads = [threading.Thread(target=lambda: taken.append(rng.words(5000))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(np.concatenate(taken).tolist()) == sorted(rng_from_seed(4).words(20_000).tolist())


# -- derived seeds


def test_a_million_pairs_have_a_million_seeds():
    assert len({derive_seed(m, i) for m in range(1000) for i in range(1000)}) == 1_000_000


def test_neighbouring_masters_share_no_children():
    assert derive_seed(42, 1) != derive_seed(43, 0)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_derived_seeds_are_the_documented_function(master, index):
    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    g = 0x9E3779B97F4A7C15
    assert derive_seed(master, index) == mix((mix((master + g) % 2**64) + (index + 1) * g) % 2**64)


def test_one_bit_of_either_word_changes_half_of_the_bits():
    flips = [bin(derive_seed(5, 9) ^ derive_seed(5 ^ (1 << b), 9)).count("1") for b in range(64)]
    flips += [bin(derive_seed(5, 9) ^ derive_seed(5, 9 ^ (1 << b))).count("1") for b in range(64)]
    assert 28 < np.mean(flips) < 36
    assert min(flips) > 12


# -- bad input


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_seeds_out_of_range_are_refused(bad):
    for call in (lambda: ChaCha8Rng(bad), lambda: derive_seed(bad, 0), lambda: derive_seed(0, bad)):
        with pytest.raises(InvalidValueError):
            call()


@pytest.mark.parametrize("bad", [1.0, "1", None, True])
def test_seeds_are_integers(bad):
    with pytest.raises(DTypeError, match="seed"):
        ChaCha8Rng(bad)


def test_empty_ranges_are_refused_and_take_nothing():
    rng = rng_from_seed(1)
    for call in (
        lambda: rng.integers(0),
        lambda: rng.integers(5, 5),
        lambda: rng.integers(2**63),
        lambda: rng.uniform(1.0, 1.0),
        lambda: rng.uniform(0, np.inf),
        lambda: rng.uniform(-1.7e308, 1.7e308),
        lambda: rng.words(-1),
    ):
        with pytest.raises(InvalidValueError):
            call()
    with pytest.raises(DTypeError):
        rng.integers(1.5)
    assert rng.position == 0


def test_a_wrong_state_is_refused():
    rng = rng_from_seed(1)
    for bad in ({}, {"seed": 1}, {"seed": 1, "position": -1}, None):
        with pytest.raises((ConfigError, InvalidValueError)):
            rng.load_state_dict(bad)
    assert repr(rng) == "ChaCha8Rng(seed=1, position=0)"
