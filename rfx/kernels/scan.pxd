from rfx.kernels.types cimport real


cdef void gae_one(
    const real* rewards, const real* values, const unsigned char* terminated, const unsigned char* truncated,
    const real* final_values, real last_value, real gamma, real lam, real* advantages, real* returns,
    Py_ssize_t steps) noexcept nogil
cdef void gae_rows(
    const real* rewards, const real* values, const unsigned char* terminated, const unsigned char* truncated,
    const real* final_values, const real* last_values, real gamma, real lam, real* advantages, real* returns,
    Py_ssize_t steps, Py_ssize_t n) noexcept nogil
cdef bint flags_of(const real* x, unsigned char* out, Py_ssize_t n) noexcept nogil
cdef bint any_flag(const unsigned char* flags, Py_ssize_t n) noexcept nogil
