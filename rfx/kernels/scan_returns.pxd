from rfx.kernels.types cimport real


# A rollout, time-major, steps rows of n; all arrays of the same real type. truncated and final_values are NULL where nothing
# is truncated; what a scan does not read may be NULL.
cdef struct Rollout:
    const void* rewards
    const void* values
    const void* q_values
    const void* log_rhos
    const void* final_values
    const void* last_values
    void* row   # n numbers to work with
    const unsigned char* terminated
    const unsigned char* truncated
    double gamma
    double lam
    double c_bar
    Py_ssize_t steps
    Py_ssize_t n


cdef void discounted_rows(const Rollout* s, real* out) noexcept nogil
cdef void td_lambda_rows(const Rollout* s, real* out) noexcept nogil
cdef void one_step_rows(const Rollout* s, real* out) noexcept nogil
cdef void step_more_rows(const Rollout* s, real* out) noexcept nogil
cdef Py_ssize_t longest_episode(const Rollout* s) noexcept nogil
cdef void retrace_rows(const Rollout* s, real* out) noexcept nogil
cdef void upgo_rows(const Rollout* s, real* out) noexcept nogil
