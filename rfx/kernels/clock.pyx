"""Monotonic time, absolute deadlines without drift, and histograms of nanoseconds. C only: cimport it."""

from libc.math cimport ceil
from libc.stdint cimport int64_t


cdef extern from "clock_platform.h" nogil:
    int64_t rfx_monotonic_ns()
    int rfx_sleep_to(int64_t deadline_ns)
    int64_t rfx_timer_slack(int64_t slack_ns)
    void rfx_cpu_relax()


# CLOCK_MONOTONIC, the clock of Python's time.monotonic_ns().
cdef int64_t monotonic_ns() noexcept nogil:
    return rfx_monotonic_ns()


# Waits for an absolute time: asleep until spin_ns before it, then watching the clock, so never early. Returns 0 at
# the deadline, 1 when a signal came before (the caller looks at the signal and calls again).
cdef int sleep_until_ns(int64_t deadline_ns, int64_t spin_ns) noexcept nogil:
    while rfx_monotonic_ns() < deadline_ns - spin_ns:
        if rfx_sleep_to(deadline_ns - spin_ns):
            return 1
    while rfx_monotonic_ns() < deadline_ns:
        rfx_cpu_relax()
    return 0


# Linux may delay the timers of an ordinary thread by 50 us to wake the CPU less often; a control loop wants 1 ns.
# Returns the slack before, or -1 where it cannot be set.
cdef int64_t set_timer_slack_ns(int64_t slack_ns) noexcept nogil:
    return rfx_timer_slack(slack_ns)


# deadline(n + ticks) = deadline(n) + ticks * (step + rest / den), the fraction carried on. ticks * rest + den must fit an
# int64; for one tick it always does.
cdef void pace_advance(pace_t* pace, int64_t ticks) noexcept nogil:
    cdef int64_t part = pace.part + ticks * pace.rest
    pace.next_ns += ticks * pace.step_ns + part // pace.den
    pace.part = part % pace.den


# Drops every tick whose successor is due too: afterwards next_ns is the last deadline <= now_ns, or what it was when
# it lies ahead. Returns how many were dropped. Goes in chunks of periods counted one ns too long, so never too far,
# and small enough for pace_advance.
cdef int64_t pace_skip(pace_t* pace, int64_t now_ns) noexcept nogil:
    cdef int64_t dropped = 0, ticks, chunk = (<int64_t> 0x7FFFFFFFFFFFFFFF - pace.den) // (pace.rest + 1)
    cdef pace_t ahead
    while now_ns - pace.next_ns >= pace.step_ns:
        ticks = (now_ns - pace.next_ns) // (pace.step_ns + 1)
        if ticks > chunk:
            ticks = chunk
        if ticks == 0:
            ahead = pace[0]
            pace_advance(&ahead, 1)
            if ahead.next_ns > now_ns:
                break
            ticks = 1
        pace_advance(pace, ticks)
        dropped += ticks
    return dropped


# Bucket of a value: itself below 128, else 64 buckets for each power of two, as in a floating point number with six
# bits of mantissa. Negative values count as 0.
cdef int hist_index(int64_t ns) noexcept nogil:
    cdef int shift = 0
    cdef int64_t high
    if ns < 0:
        return 0
    high = ns >> (HIST_BITS + 1)
    while high > 0:
        high >>= 1
        shift += 1
    return <int> ((shift << HIST_BITS) + (ns >> shift))


# Least value of a bucket; that of HIST_BUCKETS, one past the end, is the largest int64.
cdef int64_t hist_lower(int index) noexcept nogil:
    cdef int shift
    if index < 2 << HIST_BITS:
        return index
    if index >= HIST_BUCKETS:
        return <int64_t> 0x7FFFFFFFFFFFFFFF
    shift = (index >> HIST_BITS) - 1
    return <int64_t> (index - (shift << HIST_BITS)) << shift


cdef void hist_add(hist_t* h, int64_t ns) noexcept nogil:
    if ns < 0:
        ns = 0
    if h.count == 0 or ns < h.least:
        h.least = ns
    if ns > h.most:
        h.most = ns
    h.count += 1
    h.total += <double> ns
    h.bucket[hist_index(ns)] += 1


cdef void hist_merge(hist_t* into, const hist_t* other) noexcept nogil:
    cdef int i
    if other.count == 0:
        return
    if into.count == 0 or other.least < into.least:
        into.least = other.least
    if other.most > into.most:
        into.most = other.most
    into.count += other.count
    into.total += other.total
    for i in range(HIST_BUCKETS):
        into.bucket[i] += other.bucket[i]


# Nearest rank: the value at rank ceil(q * count), taken as the middle of its bucket and never outside of what was
# seen; so within 1/128 of the true one. 0 while empty.
cdef int64_t hist_quantile(const hist_t* h, double q) noexcept nogil:
    cdef int64_t rank = <int64_t> ceil(q * <double> h.count), seen = 0, value
    cdef int i
    if h.count == 0 or rank <= 1:
        return h.least
    if rank >= h.count:
        return h.most
    for i in range(HIST_BUCKETS):
        seen += h.bucket[i]
        if seen >= rank:
            value = hist_lower(i) + (hist_lower(i + 1) - 1 - hist_lower(i)) // 2
            return min(max(value, h.least), h.most)
    return h.most
