from libc.stdint cimport int64_t, uint32_t, uint64_t

# A ChaCha8 stream: blocks 0, 1, 2, ... under one key, four at a time in `words`.
ctypedef struct ChaCha:
    uint32_t[8] key
    uint64_t block           # the first block that is not in `words`
    uint32_t[64] words
    int used                 # of the 64 words

cdef void chacha_seed(ChaCha* rng, uint64_t seed) noexcept nogil
cdef void chacha_seek(ChaCha* rng, uint64_t word) noexcept nogil
cdef uint64_t chacha_position(const ChaCha* rng) noexcept nogil
cdef uint32_t chacha_u32(ChaCha* rng) noexcept nogil
cdef uint64_t chacha_u64(ChaCha* rng) noexcept nogil
cdef double chacha_unit(ChaCha* rng) noexcept nogil
cdef uint64_t chacha_below(ChaCha* rng, uint64_t n) noexcept nogil
cdef void chacha_fill_units(ChaCha* rng, double* out, Py_ssize_t count, double low, double high) noexcept nogil
cdef void chacha_fill_below(ChaCha* rng, uint64_t n, int64_t low, int64_t* out, Py_ssize_t count) noexcept nogil
cdef uint64_t mix_seed(uint64_t master, uint64_t index) noexcept nogil
