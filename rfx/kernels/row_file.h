/* What a file of rows needs from the operating system: a shared mapping, its size, its way to the disk. */
#ifndef RFX_ROW_FILE_H
#define RFX_ROW_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)

/* No flock, no posix mapping: the face refuses before it comes here. */
static inline unsigned char *rfx_map(int fd, size_t bytes) { (void)fd; (void)bytes; return NULL; }
static inline void rfx_unmap(unsigned char *map, size_t bytes) { (void)map; (void)bytes; }
static inline int64_t rfx_file_size(int fd) { (void)fd; return -1; }
static inline int rfx_map_sync(unsigned char *map, size_t bytes) { (void)map; (void)bytes; return -1; }
static inline int rfx_map_flush(int fd, unsigned char *map, size_t bytes) { (void)fd; (void)map; (void)bytes; return -1; }
static inline void rfx_advise_in_order(unsigned char *map, size_t bytes, int yes) { (void)map; (void)bytes; (void)yes; }
static inline void rfx_ask(const unsigned char *p, size_t bytes) { (void)p; (void)bytes; }
static inline int64_t rfx_major_faults(void) { return 0; }
static inline void rfx_nap(void) {}
static inline void rfx_close(int fd) { (void)fd; }
static inline void rfx_unlock(int fd) { (void)fd; }
#define RFX_ORDER() ((void)0)
static inline void rfx_publish(unsigned char *p, uint64_t value) { memcpy(p, &value, 8); }

#else

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline unsigned char *rfx_map(int fd, size_t bytes) {
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return map == MAP_FAILED ? NULL : (unsigned char *)map;
}

static inline void rfx_unmap(unsigned char *map, size_t bytes) { munmap(map, bytes); }

/* A third of what fstat takes; nobody reads at the handle's position. */
static inline int64_t rfx_file_size(int fd) { return (int64_t)lseek(fd, 0, SEEK_END); }

/* Waits until the pages are on the disk; 0, or -1 with errno. */
static inline int rfx_map_sync(unsigned char *map, size_t bytes) { return msync(map, bytes, MS_SYNC); }

/* Only starts it. Linux has done nothing for MS_ASYNC since 2.6.19, hence the second call there. */
static inline int rfx_map_flush(int fd, unsigned char *map, size_t bytes) {
    if (msync(map, bytes, MS_ASYNC) != 0) return -1;
#if defined(__linux__) && defined(SYNC_FILE_RANGE_WRITE)
    if (sync_file_range(fd, 0, (off_t)bytes, SYNC_FILE_RANGE_WRITE) != 0) return -1;
#endif
    return 0;
}

/* Whether reading ahead pays: for a walk through the file, not for rows at random. */
static inline void rfx_advise_in_order(unsigned char *map, size_t bytes, int yes) {
    madvise(map, bytes, yes ? MADV_SEQUENTIAL : MADV_RANDOM);
}

/* Starts to read these bytes from the disk and does not wait. */
static inline void rfx_ask(const unsigned char *p, size_t bytes) {
    uintptr_t page = (uintptr_t)getpagesize(), first = (uintptr_t)p & ~(page - 1);
    madvise((void *)first, (size_t)((uintptr_t)p + bytes - first), MADV_WILLNEED);
}

/* How often this thread has waited for the disk. */
static inline int64_t rfx_major_faults(void) {
    struct rusage used;
#if defined(RUSAGE_THREAD)
    return getrusage(RUSAGE_THREAD, &used) == 0 ? (int64_t)used.ru_majflt : 0;
#else
    return getrusage(RUSAGE_SELF, &used) == 0 ? (int64_t)used.ru_majflt : 0;
#endif
}

static inline void rfx_close(int fd) { close(fd); }

/* At once, even if a child that is about to start another program has the handle, too. */
static inline void rfx_unlock(int fd) { flock(fd, LOCK_UN); }

static inline void rfx_nap(void) {
    struct timespec moment = {0, 200000};
    nanosleep(&moment, NULL);
}

/* A process that is killed has done its stores in the order of its instructions: the compiler must keep that order. */
#define RFX_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static inline void rfx_publish(unsigned char *p, uint64_t value) {
    RFX_ORDER();
    __atomic_store_n((uint64_t *)p, value, __ATOMIC_RELEASE);
    RFX_ORDER();
}

#endif

#define RFX_MIX 0x9FB21C651E98DF25ull

static inline uint64_t rfx_turn(uint64_t x) { return x << 29 | x >> 35; }

/* One cache line of eight words into eight sums that do not wait for each other. */
static inline void rfx_hash_line(uint64_t *sums, const uint64_t *words) {
    for (int i = 0; i < 8; i++) sums[i] = rfx_turn(sums[i] ^ words[i]) * RFX_MIX;
}

#endif
