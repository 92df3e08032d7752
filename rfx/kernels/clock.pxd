from libc.stdint cimport int64_t

cdef int64_t monotonic_ns() noexcept nogil
cdef int sleep_until_ns(int64_t deadline_ns, int64_t spin_ns) noexcept nogil
cdef int64_t set_timer_slack_ns(int64_t slack_ns) noexcept nogil

# Deadlines n * (step_ns + rest / den) after the first one: exact, so that 3 Hz does not drift.
cdef struct pace_t:
    int64_t next_ns     # the next deadline, rounded down
    int64_t part        # what was rounded off, in units of 1 / den ns; 0 <= part < den
    int64_t step_ns     # whole ns of the period, >= 1
    int64_t rest        # the rest of the period in units of 1 / den ns; 0 <= rest < den
    int64_t den         # 1 .. 2**62

cdef void pace_advance(pace_t* pace, int64_t ticks) noexcept nogil
cdef int64_t pace_skip(pace_t* pace, int64_t now_ns) noexcept nogil

# Counts of nanoseconds in buckets 1/64 of their value wide: 0 .. 2**63 - 1 in 30 kB.
cdef enum:
    HIST_BITS = 6
    HIST_BUCKETS = 3712         # (62 - HIST_BITS) * 64 + 128

cdef struct hist_t:
    int64_t count
    int64_t least               # exact; both 0 while empty
    int64_t most
    double total                # exact up to 2**53 ns
    int64_t[3712] bucket

cdef int hist_index(int64_t ns) noexcept nogil
cdef int64_t hist_lower(int index) noexcept nogil
cdef void hist_add(hist_t* h, int64_t ns) noexcept nogil
cdef void hist_merge(hist_t* into, const hist_t* other) noexcept nogil
cdef int64_t hist_quantile(const hist_t* h, double q) noexcept nogil
