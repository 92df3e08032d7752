/* What the clock kernels need from the operating system; see clock.pyx for what it means. */
#ifndef RFX_CLOCK_PLATFORM_H
#define RFX_CLOCK_PLATFORM_H

#include <stdint.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <errno.h>
#include <time.h>
#endif
#if defined(__linux__)
#include <sys/prctl.h>
#endif

/* Tells the processor that this thread is only waiting, so that its sibling gets the execution units. */
static inline void rfx_cpu_relax(void) {
#if defined(_WIN32)
    YieldProcessor();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline int64_t rfx_monotonic_ns(void) {
#if defined(_WIN32)
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    int64_t whole = ticks.QuadPart / frequency.QuadPart;
    int64_t rest = ticks.QuadPart % frequency.QuadPart;
    return whole * 1000000000 + rest * 1000000000 / frequency.QuadPart;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#endif
}

/* Sleeps until rfx_monotonic_ns() is about deadline_ns (> 0). 0: slept; 1: a signal came first. */
static inline int rfx_sleep_to(int64_t deadline_ns) {
#if defined(__linux__)
    struct timespec until = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR;
#elif defined(_WIN32)
    int64_t left = deadline_ns - rfx_monotonic_ns();
    if (left > 2000000)
        Sleep((DWORD)((left - 1000000) / 1000000));
    while (rfx_monotonic_ns() < deadline_ns)
        SwitchToThread();
    return 0;
#else
    int64_t left = deadline_ns - rfx_monotonic_ns();
    struct timespec time = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    return left > 0 && nanosleep(&time, NULL) != 0 && errno == EINTR;
#endif
}

/* Sets by how much the kernel may delay this thread's timers; the value before, or -1 where there is no such thing. */
static inline int64_t rfx_timer_slack(int64_t slack_ns) {
#if defined(__linux__)
    int64_t before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (before >= 0 && prctl(PR_SET_TIMERSLACK, (unsigned long)slack_ns, 0, 0, 0) == 0)
        return before;
#else
    (void)slack_ns;
#endif
    return -1;
}

#endif
