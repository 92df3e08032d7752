/* A lock of four bytes: taking and leaving it costs one atomic step each while nobody else wants it. */
#ifndef RFX_LOCK_H
#define RFX_LOCK_H

#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#include <windows.h>
#elif defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <sched.h>
#endif

/* 0 free, 1 taken, 2 taken and somebody sleeps (Drepper 2011, "Futexes are tricky", mutex 2). */
typedef int32_t rfx_lock_t;

#if defined(_MSC_VER)
#define RFX_SWAP(p, v) _InterlockedExchange((volatile long *)(p), (v))
#define RFX_CAS(p, from, to) (_InterlockedCompareExchange((volatile long *)(p), (to), (from)) == (from))
#else
#define RFX_SWAP(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
static inline int rfx_cas(rfx_lock_t *p, int32_t from, int32_t to) {
    return __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}
#define RFX_CAS(p, from, to) rfx_cas((p), (from), (to))
#endif

static inline int rfx_lock_try(rfx_lock_t *lock) { return RFX_CAS(lock, 0, 1); }

/* Not to be called with the GIL: whoever has the lock may need the GIL first. */
static inline void rfx_lock_wait(rfx_lock_t *lock) {
    while (RFX_SWAP(lock, 2) != 0) {
#if defined(_MSC_VER)
        Sleep(0);
#elif defined(__linux__)
        syscall(SYS_futex, lock, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
#else
        sched_yield();
#endif
    }
}

static inline void rfx_lock_leave(rfx_lock_t *lock) {
    if (RFX_SWAP(lock, 0) == 2) {
#if defined(__linux__)
        syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
#endif
    }
}

#endif
