"""CRC-32/MPEG-2: polynomial 0x04C11DB7, start 0xFFFFFFFF, not reflected, no final xor; check value 0x0376E6E7."""

cdef unsigned int[4][256] table


cdef void fill_table() noexcept nogil:
    # table[0] is the plain byte table; table[k] feeds k further zero bytes (Sarwate 1988; slicing by 4: Kounavis 2005).
    cdef unsigned int crc
    cdef int i, k, _k
    for i in range(256):
        crc = (<unsigned int>i) << 24
        for _k in range(8):
            crc = (crc << 1) ^ (0x04C11DB7U if crc & 0x80000000U else 0U)
        table[0][i] = crc
    for k in range(1, 4):
        for i in range(256):
            crc = table[k - 1][i]
            table[k][i] = (crc << 8) ^ table[0][crc >> 24]


fill_table()


cdef unsigned int crc32_mpeg2_bytes(const unsigned char* data, Py_ssize_t n, unsigned int start) noexcept nogil:
    # crc' = (crc << 8) ^ table[(crc >> 24) ^ byte]
    cdef unsigned int crc = start
    cdef Py_ssize_t i
    for i in range(n):
        crc = (crc << 8) ^ table[0][(crc >> 24) ^ data[i]]
    return crc


cdef unsigned int crc32_mpeg2_words(const unsigned char* data, Py_ssize_t n_words, unsigned int start) noexcept nogil:
    # The same over little-endian 32-bit words, most significant byte of each word first.
    cdef unsigned int crc = start
    cdef unsigned int word
    cdef Py_ssize_t i
    for i in range(n_words):
        word = (<unsigned int>data[4 * i] | <unsigned int>data[4 * i + 1] << 8
                | <unsigned int>data[4 * i + 2] << 16 | <unsigned int>data[4 * i + 3] << 24)
        crc ^= word
        crc = (table[3][crc >> 24] ^ table[2][(crc >> 16) & 0xFF]
               ^ table[1][(crc >> 8) & 0xFF] ^ table[0][crc & 0xFF])
    return crc
