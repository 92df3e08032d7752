"""ChaCha with 8 rounds (Bernstein 2008) as a random number generator, and a mixer of seeds.

The stream, the expansion of a seed and the draws are those of Rust's rand 0.9 with rand_chacha 0.9, so that the same
seed gives the same numbers as in programs built on those: 64-bit block counter from 0, stream 0, words in order.
"""

from libc.string cimport memcpy

cdef extern from *:
    """
    static inline void rfx_quarter(unsigned int a[4], unsigned int b[4], unsigned int c[4], unsigned int d[4]) {
        for (int i = 0; i < 4; i++) { a[i] += b[i]; d[i] ^= a[i]; d[i] = (d[i] << 16) | (d[i] >> 16); }
        for (int i = 0; i < 4; i++) { c[i] += d[i]; b[i] ^= c[i]; b[i] = (b[i] << 12) | (b[i] >> 20); }
        for (int i = 0; i < 4; i++) { a[i] += b[i]; d[i] ^= a[i]; d[i] = (d[i] << 8) | (d[i] >> 24); }
        for (int i = 0; i < 4; i++) { c[i] += d[i]; b[i] ^= c[i]; b[i] = (b[i] << 7) | (b[i] >> 25); }
    }
    static inline unsigned long long rfx_mulhi64(unsigned long long a, unsigned long long b, unsigned long long *low) {
        unsigned long long a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
        unsigned long long t = a0 * b0, m = a1 * b0 + (t >> 32), n = a0 * b1 + (m & 0xFFFFFFFFu);
        *low = a * b;
        return a1 * b1 + (m >> 32) + (n >> 32);
    }
    """
    void quarter "rfx_quarter"(uint32_t* a, uint32_t* b, uint32_t* c, uint32_t* d) noexcept nogil
    uint64_t mulhi64 "rfx_mulhi64"(uint64_t a, uint64_t b, uint64_t* low) noexcept nogil


cdef void refill(ChaCha* rng) noexcept nogil:
    # Four blocks side by side: lane k of every word belongs to block rng.block + k.
    cdef uint32_t[16][4] x
    cdef uint32_t[16] start
    cdef int i, k, _round
    start[0], start[1], start[2], start[3] = 0x61707865U, 0x3320646EU, 0x79622D32U, 0x6B206574U
    memcpy(&start[4], rng.key, 32)
    start[14] = start[15] = 0
    for k in range(4):
        start[12] = <uint32_t>(rng.block + k)
        start[13] = <uint32_t>((rng.block + k) >> 32)
        for i in range(16):
            x[i][k] = start[i]
    for _round in range(4):
        quarter(x[0], x[4], x[8], x[12])
        quarter(x[1], x[5], x[9], x[13])
        quarter(x[2], x[6], x[10], x[14])
        quarter(x[3], x[7], x[11], x[15])
        quarter(x[0], x[5], x[10], x[15])
        quarter(x[1], x[6], x[11], x[12])
        quarter(x[2], x[7], x[8], x[13])
        quarter(x[3], x[4], x[9], x[14])
    for k in range(4):
        start[12] = <uint32_t>(rng.block + k)
        start[13] = <uint32_t>((rng.block + k) >> 32)
        for i in range(16):
            rng.words[16 * k + i] = x[i][k] + start[i]
    rng.block += 4
    rng.used = 0


cdef void chacha_seed(ChaCha* rng, uint64_t seed) noexcept nogil:
    # The key from a 64-bit seed: eight outputs of a PCG32 (XSH RR), advanced before each.
    cdef uint64_t state = seed
    cdef uint32_t word, turn
    cdef int i
    for i in range(8):
        state = state * 6364136223846793005ULL + 11634580027462260723ULL
        word = <uint32_t>(((state >> 18) ^ state) >> 27)
        turn = <uint32_t>(state >> 59)
        rng.key[i] = (word >> turn) | (word << ((32 - turn) & 31))
    rng.block = 0
    rng.used = 64


cdef void chacha_seek(ChaCha* rng, uint64_t word) noexcept nogil:
    # Go on from this word of the stream.
    rng.block = word // 16
    refill(rng)
    rng.used = <int>(word % 16)


cdef uint64_t chacha_position(const ChaCha* rng) noexcept nogil:
    # How many words have been taken.
    return rng.block * 16 - 64 + rng.used if rng.block else 0


cdef uint32_t chacha_u32(ChaCha* rng) noexcept nogil:
    if rng.used == 64:
        refill(rng)
    rng.used += 1
    return rng.words[rng.used - 1]


cdef uint64_t chacha_u64(ChaCha* rng) noexcept nogil:
    # Two words, the low one first.
    cdef uint64_t low = chacha_u32(rng)
    return low | (<uint64_t>chacha_u32(rng) << 32)


cdef double chacha_unit(ChaCha* rng) noexcept nogil:
    # Uniform in [0, 1) with 52 bits: the mantissa of a number in [1, 2), less 1.
    cdef uint64_t bits = (chacha_u64(rng) >> 12) | 0x3FF0000000000000ULL
    cdef double value
    memcpy(&value, &bits, 8)
    return value - 1.0


cdef uint64_t chacha_below(ChaCha* rng, uint64_t n) noexcept nogil:
    # Uniform in 0..n-1, n > 0: multiply and take the high half, with one further draw where that could matter
    # (Canon; biased by less than n / 2^64, or n / 2^128 above 32 bits). 32-bit words where n fits.
    cdef uint64_t high, low, second, wide
    if n <= 0xFFFFFFFFULL:
        wide = <uint64_t>chacha_u32(rng) * n
        high, low = wide >> 32, wide & 0xFFFFFFFFULL
        if low > ((0x100000000ULL - n) & 0xFFFFFFFFULL):
            second = (<uint64_t>chacha_u32(rng) * n) >> 32
            high += (low + second) >> 32
        return high
    high = mulhi64(chacha_u64(rng), n, &low)
    if low > 0 - n:
        second = mulhi64(chacha_u64(rng), n, &wide)
        if low + second < low:
            high += 1
    return high


cdef void chacha_fill_units(ChaCha* rng, double* out, Py_ssize_t count, double low, double high) noexcept nogil:
    # low + (high - low) u, multiplied first, then added.
    cdef Py_ssize_t i
    cdef double width = high - low
    for i in range(count):
        out[i] = chacha_unit(rng) * width + low


cdef void chacha_fill_below(ChaCha* rng, uint64_t n, int64_t low, int64_t* out, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <int64_t>(<uint64_t>low + chacha_below(rng, n))


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    # The finaliser of SplitMix64 (Steele, Lea, Flood 2014, variant 13 of Stafford): a bijection.
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef uint64_t mix_seed(uint64_t master, uint64_t index) noexcept nogil:
    # mix(mix(master + g) + (index + 1) g) with g odd: for one master a bijection of the index, and the other way round,
    # so neither two children of a master nor the same child of two masters ever share a seed.
    cdef uint64_t golden = 0x9E3779B97F4A7C15ULL
    return mix(mix(master + golden) + (index + 1) * golden)
