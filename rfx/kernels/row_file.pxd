from libc.stdint cimport int64_t, uint64_t

from rfx.kernels.ring cimport Slot

cdef extern from "row_file.h":
    unsigned char* map_file "rfx_map"(int fd, size_t n_bytes) noexcept nogil
    void unmap_file "rfx_unmap"(unsigned char* map, size_t n_bytes) noexcept nogil
    int64_t file_size "rfx_file_size"(int fd) noexcept nogil
    int map_sync "rfx_map_sync"(unsigned char* map, size_t n_bytes) noexcept nogil
    int map_flush "rfx_map_flush"(int fd, unsigned char* map, size_t n_bytes) noexcept nogil
    void advise_in_order "rfx_advise_in_order"(unsigned char* map, size_t n_bytes, bint yes) noexcept nogil
    int64_t major_faults "rfx_major_faults"() noexcept nogil
    void close_handle "rfx_close"(int fd) noexcept nogil
    void unlock_handle "rfx_unlock"(int fd) noexcept nogil
    void nap "rfx_nap"() noexcept nogil

# The newest `count` rows of all that were ever pushed, which are numbered from 1. Row k of the file is in slot
# (k - 1) mod (capacity + 1), so that the one being written replaces none of the newest `capacity`; the newest
# `hot_capacity` are in memory, too. Every row begins with its number and a checksum.
ctypedef struct RowFile:
    unsigned char* rows
    unsigned char* hot
    Py_ssize_t stride
    Py_ssize_t capacity
    Py_ssize_t hot_capacity
    Py_ssize_t count
    uint64_t newest
    Py_ssize_t at            # slot in the file where the next row goes
    Py_ssize_t hot_at        # in memory
    Py_ssize_t cursor        # in a ring of `capacity`, as users count

# What the numbers of the rows in a file tell; rows up to `base` do not count.
ctypedef struct Found:
    uint64_t newest
    uint64_t first           # the newest rows, in one stretch, are first, ..., newest
    uint64_t lowest          # where that stretch would begin if nothing were missing
    Py_ssize_t others        # rows below the stretch that are there all the same, or slots with a row that is not theirs
    uint64_t best_first      # the longest stretch, the newest of the longest
    uint64_t best_last

cdef uint64_t row_hash(const unsigned char* row, Py_ssize_t stride, uint64_t serial) noexcept nogil
cdef uint64_t row_serial(const unsigned char* row) noexcept nogil
cdef bint row_good(const unsigned char* row, Py_ssize_t stride, uint64_t serial) noexcept nogil
cdef void row_open(unsigned char* row) noexcept nogil
cdef void row_seal(unsigned char* row, Py_ssize_t stride, uint64_t serial) noexcept nogil
cdef void rows_push(
    RowFile* file, const unsigned char** columns, Py_ssize_t n, const Slot* slots, Py_ssize_t n_slots) noexcept nogil
cdef bint rows_gather(
    const RowFile* file, const int64_t* index, Py_ssize_t n, const Slot* slots, unsigned char** columns,
    Py_ssize_t n_slots) noexcept nogil
cdef void rows_ask(const RowFile* file, const int64_t* index, Py_ssize_t n) noexcept nogil
cdef void rows_scan(const RowFile* file, Py_ssize_t first, Py_ssize_t n, uint64_t* serials) noexcept nogil
cdef void rows_find(const uint64_t* serials, Py_ssize_t capacity, uint64_t base, Found* found) noexcept nogil
cdef void rows_drop(RowFile* file, uint64_t last) noexcept nogil
cdef bint rows_warm(RowFile* file) noexcept nogil
