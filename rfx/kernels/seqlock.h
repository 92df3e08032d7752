/* Rows that many threads and processes write and read without a lock.
 *
 * A row is 8-byte words; the first is its sequence word: turn << 12 | lane << 2 | state. The turn is how often the ring has
 * come round to the row (0: never), the state is vacant, busy (being written by that lane; the word is odd), or committed.
 * Ticket t goes to row t % capacity in turn t / capacity + 1. A writer claims the row by one compare-and-swap from an
 * earlier turn, writes, and commits. A row that a later turn has reached already is left alone: what would have been written
 * is outdated. Readers copy and look at the sequence word again (Boehm 2012, "Can seqlocks get along with programming
 * language memory models?", figure 6); data words are relaxed atomics, so that no read is a race.
 *
 * A lane is what one thread of one process writes under, with a journal: `state` is count << 3 | stage in one word, where
 * the count is what this lane has added to the number of committed rows. Each step of a write is one store or swap, so that
 * of a writer killed anywhere the others can tell how far it came (rfx_lane_settle), and the sum of the counts is exact.
 */
#ifndef RFX_SEQLOCK_H
#define RFX_SEQLOCK_H

#include "seqlock_platform.h"

enum { RFX_VACANT = 0, RFX_BUSY = 1, RFX_COMMITTED = 2 };
enum { RFX_IDLE = 0, RFX_CLAIM = 1, RFX_CLAIM_OVER = 2, RFX_HELD = 3, RFX_ABANDON = 4 };
enum { RFX_LANES = 1024, RFX_STAGE = 7, RFX_ONE = 8 };

/* What lies at the beginning of the memory. */
typedef struct {
    uint64_t magic, version, capacity, stride, lanes, first_row, schema_bytes, space;
    uint64_t tickets, apart[7];
    uint64_t origin;  /* the ticket since which rows count: moved on by a clear */
    uint64_t earlier; /* pushes that came with a loaded state */
    uint64_t high;    /* lanes that were ever used */
    uint64_t more[5];
} rfx_head;

typedef struct {
    uint64_t identity; /* of the process it belongs to, 0: free */
    uint64_t state;
    uint64_t ticket; /* the last that it worked on */
    uint64_t apart[5];
} rfx_lane;

/* Where it all is in this process. */
typedef struct {
    rfx_head *head;
    rfx_lane *lanes;
    unsigned char *rows;
    uint64_t capacity, stride, words; /* words of a row that are used, the sequence word among them */
    uint64_t me;                      /* identity of this process */
    int alone;                        /* the memory is this process's own: of a fork's parent nobody lives on in it */
} rfx_shared;

static inline uint64_t rfx_word(uint64_t turn, uint64_t lane, uint64_t state) { return turn << 12 | lane << 2 | state; }
static inline uint64_t rfx_turn(const rfx_shared *s, uint64_t ticket) { return ticket / s->capacity + 1; }
static inline uint64_t *rfx_row(const rfx_shared *s, uint64_t slot) { return (uint64_t *)(s->rows + slot * s->stride); }
static inline unsigned rfx_holder(uint64_t word) { return (unsigned)(word >> 2) & (RFX_LANES - 1); }

/* Finish what the writer of this lane has left. Only for who owns the lane, the writer being gone or ourselves; may itself be
 * killed anywhere and done again. */
static inline void rfx_lane_settle(const rfx_shared *s, unsigned lane) {
    rfx_lane *l = s->lanes + lane;
    uint64_t state = rfx_load(&l->state), ticket = rfx_load(&l->ticket), turn = rfx_turn(s, ticket);
    uint64_t *row = rfx_row(s, ticket % s->capacity), count = state & ~(uint64_t)RFX_STAGE, stage = state & RFX_STAGE;
    int held = rfx_load(row) == rfx_word(turn, lane, RFX_BUSY);
    if (stage == RFX_CLAIM || stage == RFX_CLAIM_OVER) {
        if (held && stage == RFX_CLAIM_OVER) count -= RFX_ONE; /* the row that it has claimed was a committed one */
        stage = held ? RFX_HELD : RFX_IDLE;
        rfx_store(&l->state, count | stage);
    }
    if (stage == RFX_HELD) {
        if (!held) count += RFX_ONE; /* it has committed */
        stage = held ? RFX_ABANDON : RFX_IDLE;
        rfx_store(&l->state, count | stage);
    }
    if (stage == RFX_ABANDON) {
        if (held) rfx_store(row, rfx_word(turn, 0, RFX_VACANT));
        rfx_store(&l->state, count | RFX_IDLE);
    }
}

/* Free the lane if its process is gone; whether it was. */
static inline int rfx_lane_recover(const rfx_shared *s, unsigned lane) {
    rfx_lane *l = s->lanes + lane;
    uint64_t owner = rfx_load(&l->identity);
    if (owner == 0 || rfx_alive(owner, s->me, s->alone) || !rfx_swap(&l->identity, &owner, s->me)) return 0;
    rfx_lane_settle(s, lane);
    rfx_store(&l->identity, 0);
    return 1;
}

/* A lane for one thread of this process; -1 if all are in use by living ones. */
static inline int rfx_lane_get(const rfx_shared *s) {
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < RFX_LANES; i++) {
            uint64_t free_ = 0, high = rfx_load(&s->head->high);
            if (pass == 1) rfx_lane_recover(s, i);
            if (rfx_load(&s->lanes[i].identity) != 0 || !rfx_swap(&s->lanes[i].identity, &free_, s->me)) continue;
            while (high <= i && !rfx_swap(&s->head->high, &high, i + 1)) {}
            return (int)i;
        }
    return -1;
}

/* Claim a row for a turn: 1 claimed, -1 somebody is writing it, -2 a later turn was there already. `count` becomes what the
 * lane has added to the number of committed rows, times RFX_ONE. `same` (a clear) allows a row of the turn itself. */
static inline int rfx_row_claim(
    const rfx_shared *s, unsigned lane, uint64_t slot, uint64_t turn, int same, uint64_t *count) {
    rfx_lane *l = s->lanes + lane;
    uint64_t *row = rfx_row(s, slot), was = rfx_load(row), mine = rfx_word(turn, lane, RFX_BUSY), stage;
    *count = rfx_load(&l->state) & ~(uint64_t)RFX_STAGE;
    rfx_store(&l->ticket, (turn - 1) * s->capacity + slot);
    for (;;) {
        int refused = (was >> 12) >= turn + (uint64_t)same ? -2 : (was & 3) == RFX_BUSY ? -1 : 0;
        if (refused) {
            rfx_store(&l->state, *count | RFX_IDLE);
            return refused;
        }
        stage = (was & 3) == RFX_COMMITTED ? RFX_CLAIM_OVER : RFX_CLAIM;
        rfx_store(&l->state, *count | stage);
        if (rfx_swap(row, &was, mine)) break;
    }
    if (stage == RFX_CLAIM_OVER) *count -= RFX_ONE;
    rfx_store(&l->state, *count | RFX_HELD);
    return 1;
}

/* Write a row: 1 written, -2 a later turn was there already, -1 somebody is writing it. */
static inline int rfx_row_put(const rfx_shared *s, unsigned lane, uint64_t slot, uint64_t turn, const uint64_t *from) {
    uint64_t *row = rfx_row(s, slot), count, words = s->words;
    int claimed = rfx_row_claim(s, lane, slot, turn, 0, &count);
    if (claimed < 0) return claimed;
    rfx_fence_release(); /* who sees a word of the new row sees it busy, too */
    for (uint64_t i = 1; i < words; i++) rfx_store_relaxed(row + i, from[i]);
    rfx_store(row, rfx_word(turn, 0, RFX_COMMITTED));
    rfx_store(&s->lanes[lane].state, (count + RFX_ONE) | RFX_IDLE);
    return 1;
}

/* Make a row vacant that is of this turn or an earlier one; as rfx_row_put. */
static inline int rfx_row_void(const rfx_shared *s, unsigned lane, uint64_t slot, uint64_t turn) {
    uint64_t *row = rfx_row(s, slot), count;
    int claimed = rfx_row_claim(s, lane, slot, turn, 1, &count);
    if (claimed < 0) return claimed;
    rfx_store(&s->lanes[lane].state, count | RFX_ABANDON);
    rfx_store(row, rfx_word(turn, 0, RFX_VACANT));
    rfx_store(&s->lanes[lane].state, count | RFX_IDLE);
    return 1;
}

/* Copy a row: its state if it is not committed, RFX_COMMITTED if `to` is a whole row now, RFX_BUSY if it changed. */
static inline int rfx_row_get(const rfx_shared *s, uint64_t slot, uint64_t *to) {
    const uint64_t *row = rfx_row(s, slot);
    uint64_t word = rfx_load(row), words = s->words;
    if ((word & 3) != RFX_COMMITTED) return (int)(word & 3);
    for (uint64_t i = 1; i < words; i++) to[i] = rfx_load_relaxed(row + i);
    rfx_fence_acquire();
    if (rfx_load_relaxed(row) != word) return RFX_BUSY;
    to[0] = word;
    return RFX_COMMITTED;
}

/* Wait a little for who writes this row, and see from time to time whether it is still there. `round` counts on from 0. */
static inline void rfx_row_wait(const rfx_shared *s, uint64_t slot, unsigned round) {
    uint64_t word = rfx_load(rfx_row(s, slot));
    if ((word & 3) != RFX_BUSY) return;
    if (round < 64) rfx_pause();
    else if (round % 128 == 127) rfx_lane_recover(s, rfx_holder(word));
    else rfx_rest(round < 127 ? 0 : 100);
}

/* One look at all lanes: the sum of their counts, and a number that differs when anything has changed. A lane in the middle
 * of a step counts as its row says. */
static inline uint64_t rfx_lanes_look(const rfx_shared *s, int64_t *sum) {
    uint64_t mark = 0, high = rfx_load(&s->head->high);
    *sum = 0;
    for (unsigned i = 0; i < high && i < RFX_LANES; i++) {
        uint64_t state = rfx_load(&s->lanes[i].state), ticket = rfx_load(&s->lanes[i].ticket), held = 0;
        unsigned stage = state & RFX_STAGE;
        int64_t count = ((int64_t)state >> 3);
        if (stage == RFX_CLAIM_OVER || stage == RFX_HELD)
            held = rfx_load(rfx_row(s, ticket % s->capacity)) == rfx_word(rfx_turn(s, ticket), i, RFX_BUSY);
        *sum += stage == RFX_CLAIM_OVER ? count - (int64_t)held : stage == RFX_HELD ? count + !held : count;
        mark = (mark ^ state) * 0x9E3779B97F4A7C15u;
        mark = (mark ^ (ticket << 1) ^ held) * 0xBF58476D1CE4E5B9u;
        mark ^= mark >> 29;
    }
    return mark;
}

/* How many rows are committed: two looks that agree. Where writers never let two looks agree, the least of many. */
static inline uint64_t rfx_count(const rfx_shared *s) {
    int64_t sum, again, least = INT64_MAX;
    for (int i = 0; i < 2000; i++) {
        uint64_t mark = rfx_lanes_look(s, &sum);
        if (mark == rfx_lanes_look(s, &again)) return sum < 0 ? 0 : (uint64_t)sum;
        least = sum < least ? sum : least;
        least = again < least ? again : least;
    }
    return least < 0 ? 0 : (uint64_t)least;
}

#endif
