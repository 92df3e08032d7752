/* rfx/kernels/seqlock.h by itself: under threads (compile with -fsanitize=thread), and with processes that end at every
 * single step. Prints what is wrong and exits 1, or prints ok. */
#include <signal.h>
#include <unistd.h>

static int countdown;
static inline void step(void) {
    if (countdown && --countdown == 0) kill(getpid(), SIGKILL);
}
#define RFX_STEP() step()

#include "seqlock.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { WORDS = 7, STRIDE = 64, MOST = 8 };

static rfx_shared shared;
static int producing, wrong;

static void make(uint64_t capacity) {
    size_t size = sizeof(rfx_head) + RFX_LANES * sizeof(rfx_lane) + capacity * STRIDE;
    unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared.head = (rfx_head *)p;
    shared.lanes = (rfx_lane *)(shared.head + 1);
    shared.rows = (unsigned char *)(shared.lanes + RFX_LANES);
    shared.capacity = capacity, shared.stride = STRIDE, shared.words = WORDS;
    shared.me = rfx_this_process();
}

static void unmake(void) {
    munmap(shared.head, sizeof(rfx_head) + RFX_LANES * sizeof(rfx_lane) + shared.capacity * STRIDE);
}

static void check(int right, const char *what) {
    if (!right) {
        fprintf(stderr, "wrong: %s\n", what);
        __atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
    }
}

static void push(unsigned lane) {
    uint64_t ticket = rfx_add(&shared.head->tickets, 1), words[WORDS];
    for (int i = 1; i < WORDS; i++) words[i] = ticket * 1000 + i;
    for (unsigned round = 0; rfx_row_put(&shared, lane, ticket % shared.capacity, rfx_turn(&shared, ticket), words) == -1; round++)
        rfx_row_wait(&shared, ticket % shared.capacity, round);
}

/* Whether the row is committed, and that it is then the one that its turn says. */
static int look(uint64_t slot) {
    uint64_t words[WORDS] = {0}, ticket;
    if (rfx_row_get(&shared, slot, words) != RFX_COMMITTED) return 0;
#ifdef PLAIN_READS /* what the sanitizer must complain about */
    for (int i = 1; i < WORDS; i++) words[i] = rfx_row(&shared, slot)[i];
#endif
    ticket = ((words[0] >> 12) - 1) * shared.capacity + slot;
    for (int i = 1; i < WORDS; i++) check(words[i] == ticket * 1000 + i, "a torn row");
    return 1;
}

static void *produce(void *n) {
    unsigned lane = (unsigned)rfx_lane_get(&shared);
    for (int i = 0; i < *(int *)n; i++) push(lane);
    rfx_store(&shared.lanes[lane].identity, 0);
    __atomic_fetch_sub(&producing, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *voiding(void *n) {
    unsigned lane = (unsigned)rfx_lane_get(&shared);
    for (int i = 0; i < *(int *)n / 50; i++) {
        uint64_t ticket = rfx_load(&shared.head->tickets);
        uint64_t slot = ticket % shared.capacity, turn = rfx_turn(&shared, ticket);
        for (unsigned round = 0; rfx_row_void(&shared, lane, slot, turn) == -1; round++)
            rfx_row_wait(&shared, slot, round);
        rfx_rest(0);
    }
    rfx_store(&shared.lanes[lane].identity, 0);
    __atomic_fetch_sub(&producing, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *consume(void *unused) {
    for (uint64_t i = 0; __atomic_load_n(&producing, __ATOMIC_ACQUIRE) || i < shared.capacity; i++) {
        look(i % shared.capacity);
        check(rfx_count(&shared) <= shared.capacity, "more rows than there are");
    }
    return unused;
}

static uint64_t scan(void) {
    uint64_t n = 0;
    for (uint64_t slot = 0; slot < shared.capacity; slot++) n += look(slot);
    return n;
}

static void threads(uint64_t capacity, int n) {
    pthread_t t[5];
    make(capacity);
    producing = 3;
    pthread_create(t, NULL, produce, &n);
    pthread_create(t + 1, NULL, produce, &n);
    pthread_create(t + 2, NULL, voiding, &n);
    pthread_create(t + 3, NULL, consume, NULL);
    pthread_create(t + 4, NULL, consume, NULL);
    for (int i = 0; i < 5; i++) pthread_join(t[i], NULL);
    check(rfx_count(&shared) == scan(), "the count of rows after threads");
    unmake();
}

/* A process that ends before its step `at`, at the latest when it is through; whether it got through. */
static int child(int at, int what) {
    pid_t pid = fork();
    int status;
    siginfo_t info;
    if (pid == 0) {
        unsigned lane;
        shared.me = rfx_this_process();
        countdown = at;
        if (what == 2)
            for (unsigned i = 0; i < RFX_LANES; i++) rfx_lane_recover(&shared, i);
        else {
            lane = (unsigned)rfx_lane_get(&shared);
            if (what == 1) {
                uint64_t ticket = rfx_load(&shared.head->tickets) + shared.capacity - 1;
                rfx_row_void(&shared, lane, ticket % shared.capacity, rfx_turn(&shared, ticket));
            }
            else push(lane);
            push(lane);
            rfx_store(&shared.lanes[lane].identity, 0);
        }
        _exit(0);
    }
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT); /* it stays as a zombie for now */
    check(!rfx_alive((uint64_t)pid << 32, shared.me, 0), "a zombie is not alive");
    waitpid(pid, &status, 0);
    return WIFEXITED(status);
}

static void killed(uint64_t capacity, int before, int what) {
    for (int at = 1, through = 0; !through; at++)
        for (int again = 1, recovered = 0; !recovered; again++) {
            unsigned lane;
            make(capacity);
            lane = (unsigned)rfx_lane_get(&shared);
            for (int i = 0; i < before; i++) push(lane);
            through = child(at, what);
            check(rfx_count(&shared) == scan(), "the count after a kill");
            recovered = child(again, 2);
            check(rfx_count(&shared) == scan(), "the count after a kill while recovering");
            for (uint64_t i = 0; i < 2 * capacity; i++) push(lane);
            check(rfx_count(&shared) == capacity && scan() == capacity, "all rows are there again");
            for (unsigned i = 0; i < RFX_LANES; i++) rfx_lane_recover(&shared, i);
            check(rfx_count(&shared) == capacity, "the count after recovering");
            for (unsigned i = 0; i < RFX_LANES; i++)
                check(i == lane || shared.lanes[i].identity == 0, "lanes of the dead are free");
            unmake();
        }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "kill") == 0) {
        for (int what = 0; what < 2; what++)
            for (uint64_t capacity = 1; capacity <= 2; capacity++)
                for (int before = 0; before <= 3; before += 3) killed(capacity, before, what);
    } else {
        for (uint64_t capacity = 1; capacity <= 3; capacity++) threads(capacity, argc > 1 ? atoi(argv[1]) : 10000);
    }
    if (!wrong) puts("ok");
    return wrong;
}
