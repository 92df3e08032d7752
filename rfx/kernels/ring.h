/* Memory for many rows, and the copies of one column of one row. */
#ifndef RFX_RING_H
#define RFX_RING_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define rfx_prefetch(p) __builtin_prefetch((p), 0, 1)
#else
#define rfx_prefetch(p) ((void)(p))
#endif

/* Rows are read at random, so that small pages cost a walk of the page table each: large ones are asked for. */
static inline void *rfx_rows_alloc(size_t bytes) {
#if defined(__linux__)
    void *p = NULL;
    size_t page = bytes >= ((size_t)1 << 22) ? (size_t)1 << 21 : 64;
    if (posix_memalign(&p, page, bytes ? bytes : 64) != 0) return NULL;
    if (page > 64) madvise(p, bytes, MADV_HUGEPAGE);
    return p;
#else
    return malloc(bytes ? bytes : 64);
#endif
}

static inline void rfx_copy(unsigned char *to, const unsigned char *from, size_t n) {
    switch (n) {
    case 1: *to = *from; break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, n);
    }
}

#endif
