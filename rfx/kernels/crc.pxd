cdef unsigned int crc32_mpeg2_bytes(const unsigned char* data, Py_ssize_t n, unsigned int start) noexcept nogil
cdef unsigned int crc32_mpeg2_words(const unsigned char* data, Py_ssize_t n_words, unsigned int start) noexcept nogil
