from libc.stdint cimport int64_t, uint64_t

from rfx.kernels.ring cimport Slot

cdef extern from "seqlock.h":
    enum:
        VACANT "RFX_VACANT"
        BUSY "RFX_BUSY"
        COMMITTED "RFX_COMMITTED"
        LANES "RFX_LANES"
    ctypedef struct Head "rfx_head":
        uint64_t magic
        uint64_t version
        uint64_t capacity
        uint64_t stride
        uint64_t lanes
        uint64_t first_row
        uint64_t schema_bytes
        uint64_t space
        uint64_t tickets
        uint64_t origin
        uint64_t earlier
        uint64_t high
    ctypedef struct Lane "rfx_lane":
        uint64_t identity
        uint64_t state
        uint64_t ticket
    ctypedef struct Shared "rfx_shared":
        Head* head
        Lane* lanes
        unsigned char* rows
        uint64_t capacity
        uint64_t stride
        uint64_t words
        uint64_t me
        bint alone
    uint64_t word_load "rfx_load"(const uint64_t* p) noexcept nogil
    void word_store "rfx_store"(uint64_t* p, uint64_t v) noexcept nogil
    uint64_t word_add "rfx_add"(uint64_t* p, uint64_t v) noexcept nogil
    bint word_swap "rfx_swap"(uint64_t* p, uint64_t* was, uint64_t to) noexcept nogil
    uint64_t this_process "rfx_this_process"() noexcept nogil
    void rest "rfx_rest"(unsigned int microseconds) noexcept nogil
    int lane_get "rfx_lane_get"(const Shared* s) noexcept nogil
    bint lane_recover "rfx_lane_recover"(const Shared* s, unsigned int lane) noexcept nogil
    int row_put "rfx_row_put"(
        const Shared* s, unsigned int lane, uint64_t slot, uint64_t turn, const uint64_t* words) noexcept nogil
    int row_void "rfx_row_void"(const Shared* s, unsigned int lane, uint64_t slot, uint64_t turn) noexcept nogil
    int row_get "rfx_row_get"(const Shared* s, uint64_t slot, uint64_t* to) noexcept nogil
    void row_wait "rfx_row_wait"(const Shared* s, uint64_t slot, unsigned int turns) noexcept nogil
    uint64_t* row_words "rfx_row"(const Shared* s, uint64_t slot) noexcept nogil
    uint64_t committed_count "rfx_count"(const Shared* s) noexcept nogil

cdef void row_prefetch(const Shared* s, uint64_t slot) noexcept nogil
cdef void row_compose(
    uint64_t* words, Py_ssize_t n_words, const unsigned char** columns, Py_ssize_t i, const Slot* slots,
    Py_ssize_t n_slots) noexcept nogil
cdef bint row_put_waiting(
    const Shared* s, unsigned int lane, uint64_t slot, uint64_t turn, const uint64_t* words,
    unsigned int rounds) noexcept nogil
cdef Py_ssize_t rows_put(
    const Shared* s, unsigned int lane, uint64_t ticket, Py_ssize_t first, Py_ssize_t n, const unsigned char** columns,
    const Slot* slots, Py_ssize_t n_slots, uint64_t* words, unsigned int rounds) noexcept nogil
cdef Py_ssize_t rows_get(
    const Shared* s, const int64_t* index, int64_t* places, Py_ssize_t n, const Slot* slots, unsigned char** columns,
    Py_ssize_t n_slots, uint64_t* words, int64_t* tickets) noexcept nogil
cdef Py_ssize_t rows_void(
    const Shared* s, unsigned int lane, uint64_t ticket, Py_ssize_t first, unsigned int rounds) noexcept nogil
cdef Py_ssize_t rows_find(
    const Shared* s, int least, Py_ssize_t newest, Py_ssize_t n, int64_t* out) noexcept nogil
cdef void lanes_recover(const Shared* s) noexcept nogil
