"""Rows in a mapped file, each with its number and a checksum, so that one half written is known by it."""

from libc.string cimport memcpy

cdef extern from "ring.h":
    void prefetch "rfx_prefetch"(const void* p) noexcept nogil
    void copy "rfx_copy"(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil

cdef extern from "row_file.h":
    void ask "rfx_ask"(const unsigned char* p, size_t n_bytes) noexcept nogil
    void publish "rfx_publish"(unsigned char* p, uint64_t value) noexcept nogil
    void hash_line "rfx_hash_line"(uint64_t* sums, const uint64_t* words) noexcept nogil
    uint64_t turn "rfx_turn"(uint64_t x) noexcept nogil
    const uint64_t RFX_MIX

cdef enum:
    AHEAD = 8        # rows that are asked for before they are needed
    LINE = 64
    MOST_LINES = 16
    PAGE = 4096
    WINDOW = 1 << 20
    WORDS = 8        # of a line
    HEAD = 16        # bytes of number and checksum


cdef uint64_t row_hash(const unsigned char* row, Py_ssize_t stride, uint64_t serial) noexcept nogil:
    # Eight sums s_i, each over every eighth word w of the row: s_i = rotl(s_i ^ w, 29) m; number and checksum count as
    # `serial` and 0. They begin as (i + 1) m and end in h = rotl(h ^ s_i, 29) m, h = stride at first, h ^ (h >> 32) at last.
    # Each step is one to one in the word, so that a change of a single word always changes the result.
    cdef uint64_t[WORDS] sums
    cdef uint64_t[WORDS] head
    cdef uint64_t h = <uint64_t>stride
    cdef Py_ssize_t i
    memcpy(head, row, LINE)
    head[0], head[1] = serial, 0
    for i in range(WORDS):
        sums[i] = <uint64_t>(i + 1) * RFX_MIX
    hash_line(sums, head)
    for i in range(1, stride // LINE):
        hash_line(sums, <const uint64_t*>(row + i * LINE))
    for i in range(WORDS):
        h = turn(h ^ sums[i]) * RFX_MIX
    return h ^ (h >> 32)


cdef uint64_t row_serial(const unsigned char* row) noexcept nogil:
    # The row's number; 0 where there is none.
    return (<const uint64_t*>row)[0]


cdef bint row_good(const unsigned char* row, Py_ssize_t stride, uint64_t serial) noexcept nogil:
    # Whether this is the whole of that row.
    cdef const uint64_t* head = <const uint64_t*>row
    return serial != 0 and head[0] == serial and head[1] == row_hash(row, stride, serial)


cdef void row_open(unsigned char* row) noexcept nogil:
    # From here until row_seal the row is none.
    publish(row, 0)


cdef void row_seal(unsigned char* row, Py_ssize_t stride, uint64_t serial) noexcept nogil:
    # The row becomes row `serial`, all at once.
    (<uint64_t*>row)[1] = row_hash(row, stride, serial)
    publish(row, serial)


cdef inline void ask_ahead(const RowFile* file) noexcept nogil:
    # Rows are written in order, but the mapping is advised for rows at random: what comes next is read from the disk before
    # it is written over, one window at a time.
    cdef Py_ssize_t window = WINDOW if file.stride < WINDOW else file.stride
    cdef Py_ssize_t end = (file.capacity + 1) * file.stride, at = file.at * file.stride
    if at & (WINDOW - 1) < file.stride:
        at = (at & ~<Py_ssize_t>(WINDOW - 1)) + window
        at = 0 if at >= end else at
        ask(file.rows + at, window if window < end - at else end - at)


cdef void rows_push(
        RowFile* file, const unsigned char** columns, Py_ssize_t n, const Slot* slots, Py_ssize_t n_slots) noexcept nogil:
    # Each row is whole in the file before the next begins.
    cdef Py_ssize_t i, k
    cdef unsigned char* row
    for i in range(n):
        row = file.rows + file.at * file.stride
        ask_ahead(file)
        row_open(row)
        for k in range(n_slots):
            copy(row + slots[k].offset, columns[k] + i * slots[k].size, slots[k].size)
        row_seal(row, file.stride, file.newest + 1)
        memcpy(file.hot + file.hot_at * file.stride, row, file.stride)
        file.newest += 1
        file.count += file.count < file.capacity
        file.at = 0 if file.at == file.capacity else file.at + 1
        file.hot_at = 0 if file.hot_at == file.hot_capacity - 1 else file.hot_at + 1
        file.cursor = 0 if file.cursor == file.capacity - 1 else file.cursor + 1


cdef inline const unsigned char* row_at(const RowFile* file, Py_ssize_t index) noexcept nogil:
    # Where the row is that users count as `index`, which must be below `count`.
    cdef Py_ssize_t age = file.cursor - 1 - index, slot
    age += file.capacity if age < 0 else 0
    if age < file.hot_capacity:
        slot = file.hot_at - 1 - age
        return file.hot + (slot + file.hot_capacity if slot < 0 else slot) * file.stride
    slot = file.at - 1 - age
    return file.rows + (slot + file.capacity + 1 if slot < 0 else slot) * file.stride


cdef bint rows_gather(
        const RowFile* file, const int64_t* index, Py_ssize_t n, const Slot* slots, unsigned char** columns,
        Py_ssize_t n_slots) noexcept nogil:
    # Row index[i] goes to row i of the columns. False, and nothing done, if there is no such row.
    cdef Py_ssize_t i, k, line, ahead
    cdef Py_ssize_t lines = file.stride // LINE if file.stride // LINE < MOST_LINES else MOST_LINES
    cdef const unsigned char* row
    for i in range(n):
        if not 0 <= index[i] < file.count:
            return False
    for i in range(-AHEAD, n):
        ahead = i + AHEAD
        if ahead < n:
            row = row_at(file, index[ahead])
            for line in range(lines):
                prefetch(row + line * LINE)
        if i >= 0:
            row = row_at(file, index[i])
            for k in range(n_slots):
                copy(columns[k] + i * slots[k].size, row + slots[k].offset, slots[k].size)
    return True


cdef inline const unsigned char* cold_row(const RowFile* file, Py_ssize_t index) noexcept nogil:
    # As row_at, but NULL for one in memory.
    cdef const unsigned char* row = NULL
    if 0 <= index < file.count:
        row = row_at(file, index)
    return row if file.rows <= row < file.rows + (file.capacity + 1) * file.stride else NULL


cdef void rows_ask(const RowFile* file, const int64_t* index, Py_ssize_t n) noexcept nogil:
    # Has the rows that are not in memory read from the disk, all at once, and waits for them.
    cdef Py_ssize_t i, k
    cdef const unsigned char* row
    cdef volatile unsigned char seen
    for i in range(n):
        row = cold_row(file, index[i])
        if row != NULL:
            ask(row, file.stride)
    for i in range(n):
        row = cold_row(file, index[i])
        if row != NULL:
            for k in range(file.stride // PAGE):
                seen = row[k * PAGE]
            seen = row[file.stride - 1]


cdef void rows_scan(const RowFile* file, Py_ssize_t first, Py_ssize_t n, uint64_t* serials) noexcept nogil:
    # The numbers of the rows in slots first, ..., first + n - 1; 0 where there is none, or not a whole one of this slot.
    cdef Py_ssize_t slot
    cdef const unsigned char* row
    cdef uint64_t serial
    for slot in range(first, first + n):
        row = file.rows + slot * file.stride
        serial = row_serial(row)
        if serial and ((serial - 1) % <uint64_t>(file.capacity + 1) != <uint64_t>slot or not row_good(row, file.stride, serial)):
            serial = 0
        serials[slot - first] = serial


cdef void rows_find(const uint64_t* serials, Py_ssize_t capacity, uint64_t base, Found* found) noexcept nogil:
    # `serials` are the capacity + 1 numbers that rows_scan gave.
    cdef uint64_t slots = <uint64_t>capacity + 1, k, serial, run = 0, best = 0
    cdef Py_ssize_t i
    found.newest, found.others = base, 0
    for i in range(capacity + 1):
        found.newest = serials[i] if serials[i] > found.newest else found.newest
    found.lowest = found.newest - (found.newest if found.newest < slots - 1 else slots - 1)
    found.lowest = (base if base > found.lowest else found.lowest) + 1
    found.first = found.best_first = k = found.newest + 1
    found.best_last = found.newest
    while k > found.lowest:
        k -= 1
        serial = serials[(k - 1) % slots]
        run = run + 1 if serial == k else 0
        if run and k + 1 == found.first:
            found.first = k
        elif serial:
            found.others += 1
        if run > best:
            best, found.best_first, found.best_last = run, k, k + run - 1


cdef void rows_drop(RowFile* file, uint64_t last) noexcept nogil:
    # Rows with a greater number are none from now on.
    cdef Py_ssize_t slot
    for slot in range(file.capacity + 1):
        if row_serial(file.rows + slot * file.stride) > last:
            row_open(file.rows + slot * file.stride)


cdef bint rows_warm(RowFile* file) noexcept nogil:
    # The newest rows come to memory; newest, count and capacities must be set, the places follow from them. False if one
    # of them is not whole.
    cdef Py_ssize_t i, n = file.count if file.count < file.hot_capacity else file.hot_capacity
    cdef uint64_t k
    cdef const unsigned char* row
    file.at = <Py_ssize_t>(file.newest % <uint64_t>(file.capacity + 1))
    file.hot_at = <Py_ssize_t>(file.newest % <uint64_t>file.hot_capacity)
    for i in range(n):
        k = file.newest - 1 - <uint64_t>i
        row = file.rows + <Py_ssize_t>(k % <uint64_t>(file.capacity + 1)) * file.stride
        if not row_good(row, file.stride, k + 1):
            return False
        memcpy(file.hot + <Py_ssize_t>(k % <uint64_t>file.hot_capacity) * file.stride, row, file.stride)
    return True
