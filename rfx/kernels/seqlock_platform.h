/* What seqlock.h needs of compiler and system: atomic words, waiting, and whether a process still lives. */
#ifndef RFX_SEQLOCK_PLATFORM_H
#define RFX_SEQLOCK_PLATFORM_H

#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#include <windows.h>
#else
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#endif

/* Called before each change of shared memory: a test may end the process there. */
#ifndef RFX_STEP
#define RFX_STEP() ((void)0)
#endif

/* Loads acquire and stores release unless they say relaxed. rfx_swap: to `to` if it is *from, which else becomes what it is. */
#if defined(_MSC_VER)
static inline uint64_t rfx_load(const uint64_t *p) {
    uint64_t v = *(const volatile uint64_t *)p;
    MemoryBarrier();
    return v;
}
static inline void rfx_store(uint64_t *p, uint64_t v) {
    MemoryBarrier();
    *(volatile uint64_t *)p = v;
}
#define rfx_load_relaxed(p) (*(const volatile uint64_t *)(p))
#define rfx_store_relaxed(p, v) (*(volatile uint64_t *)(p) = (v))
#define rfx_fence_acquire() MemoryBarrier()
#define rfx_fence_release() MemoryBarrier()
#define rfx_pause() YieldProcessor()
static inline uint64_t rfx_add(uint64_t *p, uint64_t v) { return (uint64_t)_InterlockedExchangeAdd64((volatile __int64 *)p, v); }
static inline int rfx_swap(uint64_t *p, uint64_t *from, uint64_t to) {
    uint64_t was = (uint64_t)_InterlockedCompareExchange64((volatile __int64 *)p, to, *from);
    int done = was == *from;
    *from = was;
    return done;
}
#else
static inline uint64_t rfx_load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void rfx_store(uint64_t *p, uint64_t v) {
    RFX_STEP();
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}
static inline uint64_t rfx_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void rfx_store_relaxed(uint64_t *p, uint64_t v) {
    RFX_STEP();
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}
static inline uint64_t rfx_add(uint64_t *p, uint64_t v) {
    RFX_STEP();
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
static inline int rfx_swap(uint64_t *p, uint64_t *from, uint64_t to) {
    RFX_STEP();
    return __atomic_compare_exchange_n(p, from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}
#define rfx_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define rfx_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#if defined(__x86_64__) || defined(__i386__)
#define rfx_pause() __builtin_ia32_pause()
#else
#define rfx_pause() ((void)0)
#endif
#endif

/* Let others run, for so many microseconds. */
static inline void rfx_rest(unsigned microseconds) {
#if defined(_MSC_VER)
    Sleep(microseconds / 1000);
#else
    struct timespec t = {0, (long)microseconds * 1000};
    if (microseconds == 0) sched_yield();
    else nanosleep(&t, NULL);
#endif
}

/* Who a process is: its number, and the time it began, as the number is given again. The time is 0 where it is not known;
 * all is 0 for a process that has ended, be it still in the table (a zombie). */
static inline uint64_t rfx_process(uint32_t pid) {
#if defined(_MSC_VER)
    HANDLE h = OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    FILETIME made = {0}, a, b, c;
    int lives = h != NULL && WaitForSingleObject(h, 0) == WAIT_TIMEOUT;
    if (h == NULL) return GetLastError() == ERROR_ACCESS_DENIED ? (uint64_t)pid << 32 : 0;
    GetProcessTimes(h, &made, &a, &b, &c);
    CloseHandle(h);
    return lives ? (uint64_t)pid << 32 | made.dwLowDateTime : 0;
#else
    char path[40], text[1024], *field;
    int file;
    ssize_t n;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) return 0;
    snprintf(path, sizeof path, "/proc/%u/stat", (unsigned)pid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return (uint64_t)pid << 32;
    n = read(file, text, sizeof text - 1);
    close(file);
    text[n > 0 ? n : 0] = 0;
    field = strrchr(text, ')'); /* the name before it may hold anything */
    if (field == NULL || field[1] != ' ') return (uint64_t)pid << 32;
    if (field[2] == 'Z' || field[2] == 'X') return 0;
    for (int i = 2; i < 22 && field != NULL; i++) field = strchr(field + 1, ' ');
    return (uint64_t)pid << 32 | (field == NULL ? 0 : (uint32_t)strtoull(field, NULL, 10));
#endif
}

static inline uint64_t rfx_this_process(void) {
#if defined(_MSC_VER)
    return rfx_process((uint32_t)GetCurrentProcessId());
#else
    return rfx_process((uint32_t)getpid());
#endif
}

static inline int rfx_alive(uint64_t who, uint64_t me, int alone) {
    uint64_t now;
    if (who == me || alone) return who == me;
    now = rfx_process((uint32_t)(who >> 32));
    return now != 0 && ((uint32_t)now == 0 || (uint32_t)who == 0 || now == who);
}

#endif
