"""Rows that many threads and processes write and read without a lock; the protocol of one row is in seqlock.h."""

cdef extern from "ring.h":
    void prefetch "rfx_prefetch"(const void* p) noexcept nogil
    void copy "rfx_copy"(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil

cdef enum:
    AHEAD = 8        # rows that are asked for before they are needed
    LINE = 8         # words
    MOST_LINES = 16


cdef void row_prefetch(const Shared* s, uint64_t slot) noexcept nogil:
    # Ask for a row that is needed soon: whoever claims it waits for its sequence word, and for all that was stored before.
    cdef Py_ssize_t line
    cdef uint64_t* row = row_words(s, slot)
    for line in range(min((<Py_ssize_t>s.words + LINE - 1) // LINE, <Py_ssize_t>MOST_LINES)):
        prefetch(row + line * LINE)


cdef void row_compose(
        uint64_t* words, Py_ssize_t n_words, const unsigned char** columns, Py_ssize_t i, const Slot* slots,
        Py_ssize_t n_slots) noexcept nogil:
    # Entry i of each column side by side, the gaps between them 0.
    cdef Py_ssize_t k, at, end = 1
    for k in range(n_slots):
        for at in range(end, slots[k].offset // 8 + 1):
            words[at] = 0
        end = (slots[k].offset + slots[k].size) // 8
    for at in range(end, n_words):
        words[at] = 0
    for k in range(n_slots):
        copy(<unsigned char*>words + slots[k].offset, columns[k] + i * slots[k].size, slots[k].size)


cdef bint row_put_waiting(
        const Shared* s, unsigned int lane, uint64_t slot, uint64_t turn, const uint64_t* words,
        unsigned int rounds) noexcept nogil:
    # Write a row, or leave it where a later turn has reached it; False if another still writes it after so many rounds.
    cdef unsigned int r
    for r in range(rounds):
        if row_put(s, lane, slot, turn, words) != -1:
            return True
        row_wait(s, slot, r)
    return False


cdef Py_ssize_t rows_put(
        const Shared* s, unsigned int lane, uint64_t ticket, Py_ssize_t first, Py_ssize_t n, const unsigned char** columns,
        const Slot* slots, Py_ssize_t n_slots, uint64_t* words, unsigned int rounds) noexcept nogil:
    # Entries first..n-1 of the columns under the tickets that follow `ticket`; the entry that had to be waited for, or n.
    cdef Py_ssize_t i
    cdef uint64_t slot = (ticket + first) % s.capacity, turn = (ticket + first) // s.capacity + 1
    for i in range(first, n):
        row_compose(words, s.words, columns, i, slots, n_slots)
        if not row_put_waiting(s, lane, slot, turn, words, rounds):
            return i
        slot += 1
        if slot == s.capacity:
            slot, turn = 0, turn + 1
        row_prefetch(s, slot + AHEAD if slot + AHEAD < s.capacity else 0)
    return n


cdef Py_ssize_t rows_get(
        const Shared* s, const int64_t* index, int64_t* places, Py_ssize_t n, const Slot* slots, unsigned char** columns,
        Py_ssize_t n_slots, uint64_t* words, int64_t* tickets) noexcept nogil:
    # For each p of `places`: row index[p] to entry p of the columns, its ticket to tickets[p] unless NULL. Places whose row
    # is not committed, or changed meanwhile, are left in `places`; returns how many.
    cdef Py_ssize_t i, k, p, left = 0
    for i in range(AHEAD if AHEAD < n else n):
        row_prefetch(s, index[places[i]])
    for i in range(n):
        if i + AHEAD < n:
            row_prefetch(s, index[places[i + AHEAD]])
        p = places[i]
        if row_get(s, index[p], words) != COMMITTED:
            places[left] = p
            left += 1
            continue
        for k in range(n_slots):
            copy(columns[k] + p * slots[k].size, <unsigned char*>words + slots[k].offset, slots[k].size)
        if tickets != NULL:
            tickets[p] = ((words[0] >> 12) - 1) * s.capacity + index[p]
    return left


cdef Py_ssize_t rows_void(
        const Shared* s, unsigned int lane, uint64_t ticket, Py_ssize_t first, unsigned int rounds) noexcept nogil:
    # Make rows first.. vacant that are older than `ticket`, the first of a turn; the row that had to be waited for, or capacity.
    cdef Py_ssize_t slot
    cdef unsigned int r
    for slot in range(first, <Py_ssize_t>s.capacity):
        for r in range(rounds):
            if row_void(s, lane, slot, ticket // s.capacity) != -1:
                break
            row_wait(s, slot, r)
        else:
            return slot
    return s.capacity


cdef Py_ssize_t rows_find(const Shared* s, int least, Py_ssize_t newest, Py_ssize_t n, int64_t* out) noexcept nogil:
    # Which of n rows are at least in this state: of slots 0..n-1, or of the n at and before `newest`; returns how many.
    cdef Py_ssize_t i, slot, found = 0
    for i in range(n):
        slot = i
        if newest >= 0:
            slot = newest - i if newest >= i else newest - i + <Py_ssize_t>s.capacity
        if (word_load(row_words(s, slot)) & 3) >= <uint64_t>least:
            out[found] = slot
            found += 1
    return found


cdef void lanes_recover(const Shared* s) noexcept nogil:
    # Free the lanes of all processes that are gone.
    cdef unsigned int i
    for i in range(<unsigned int>min(word_load(&s.head.high), <uint64_t>LANES)):
        lane_recover(s, i)
