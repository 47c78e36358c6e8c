/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at any moment: a child runs scans from many threads and tells each answer it got through
 * a pipe; the parent kills it, opens the store again and asks for everything that was acknowledged.
 * Ten kills by default; TURNOUT_KILLS=200 is the long run. The seed is printed.
 */
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 6, PEOPLE = 40, NAMES = 24 };

/* One acknowledged scan, written in one write(2): shorter than PIPE_BUF, so it comes whole or
 * not. */
struct acknowledged {
    char nonce[NAMES];
    char token[NAMES];
    enum direction_e direction;
    int64_t record_id;
    enum verdict_e verdict;
    enum reason_e reason;
};

static uint64_t env_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* ── the child ── */

struct client {
    struct store *store;
    int pipe;
    int round;
    int index;
};

static void scan_and_tell(struct client *client, struct seeded_rng *rng, int i) {
    struct acknowledged ack = {.direction = rng_below(&rng->base, 2) == 0 ? DIRECTION_ENTRY
                                                                          : DIRECTION_EXIT};
    snprintf(ack.nonce, sizeof ack.nonce, "%d-%d-%d", client->round, client->index, i);
    snprintf(ack.token, sizeof ack.token, "t%d", (int)rng_below(&rng->base, PEOPLE));
    const struct scan scan = {.token = slice_of(ack.token),
                              .gate = SLICE_LIT("g1"),
                              .nonce = slice_of(ack.nonce),
                              .direction = ack.direction,
                              .scanned_at_ms = TIME_NONE};
    struct scan_result result;
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = &scan;
    op.check_in.results = &result;
    op.check_in.len = 1;
    if (store_run(client->store, &op) == ERR_OK && result.err == ERR_OK) {
        ack.record_id = result.record_id;
        ack.verdict = result.verdict;
        ack.reason = result.reason;
        if (write(client->pipe, &ack, sizeof ack) != (ssize_t)sizeof ack) {
            _exit(1);
        }
    }
    store_op_fini(&op);
}

static int client_main(void *data) {
    struct client *client = data;
    struct seeded_rng rng;
    seeded_rng_init(&rng, (uint64_t)(client->round * THREADS + client->index));
    for (int i = 0; i < INT32_MAX; i++) {
        scan_and_tell(client, &rng, i);
    }
    return 0;
}

static _Noreturn void run_child(const struct rig *rig, int pipe, int round) {
    static struct client clients[THREADS];
    struct store *store;
    struct problem problem;
    if (rig_open(rig, clock_system(), rng_system(), &store, &problem) != ERR_OK) {
        _exit(1);
    }
    for (int i = 0; i < THREADS; i++) {
        thrd_t thread;
        clients[i] = (struct client){store, pipe, round, i};
        if (thrd_create(&thread, client_main, &clients[i]) != thrd_success) {
            _exit(1);
        }
    }
    for (;;) {
        pause();
    }
}

/* ── the parent ── */

/* Reads what was acknowledged until a number of answers has come, then kills; the rest of the pipe
 * was acknowledged too. */
static size_t kill_after(pid_t child, int pipe, size_t answers, struct acknowledged *acks,
                         size_t size) {
    size_t len = 0;
    bool killed = false;
    while (len < size) {
        ssize_t got = read(pipe, &acks[len], sizeof acks[len]);
        if (got != (ssize_t)sizeof acks[len]) {
            break;
        }
        if (++len == answers) {
            assert_int_equal(kill(child, SIGKILL), 0);
            killed = true;
        }
    }
    if (!killed) {
        kill(child, SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return len;
}

static void check_acknowledged(struct rig *rig, const struct acknowledged *ack) {
    struct scan scan = {.token = slice_of(ack->token),
                        .gate = SLICE_LIT("g1"),
                        .nonce = slice_of(ack->nonce),
                        .direction = ack->direction,
                        .scanned_at_ms = TIME_NONE};
    struct scan_result seen = rig_scan(rig, "e", scan);
    if (!seen.replayed) {
        fail_msg("lost: %s was acknowledged and is not there", ack->nonce);
    }
    assert_int_equal(seen.record_id, ack->record_id);
    assert_int_equal(seen.verdict, ack->verdict);
    assert_int_equal(seen.reason, ack->reason);
}

/* Entries and exits of each person alternate, and the counts are those of the records. */
static void check_whole(struct rig *rig) {
    size_t len;
    struct attendance_filter filter = NO_FILTER;
    const struct attendance_record *records = rig_history(rig, "e", &filter, 1000, &len);
    struct event_stats stats = rig_stats(rig, "e");
    bool inside[PEOPLE + 1] = {false};
    int64_t count = 0, refused = 0;
    for (size_t i = len; i-- > 0;) { /* oldest first */
        const struct attendance_record *record = &records[i];
        assert_true(record->participant_id >= 1 && record->participant_id <= PEOPLE);
        bool *in = &inside[record->participant_id];
        refused += record->verdict == VERDICT_REFUSED;
        assert_true(record->verdict != VERDICT_ADMITTED || !*in);
        count += record->verdict == VERDICT_ADMITTED && !*in;
        count -= record->verdict == VERDICT_EXITED && *in;
        *in = record->verdict == VERDICT_REFUSED ? *in : record->verdict == VERDICT_ADMITTED;
    }
    assert_int_equal(stats.inside, count);
    assert_int_equal(stats.scans, (int64_t)len);
    assert_int_equal(stats.refused, refused);
}

static void one_kill(struct rig *rig, int round, size_t answers) {
    enum { ACKS = 65536 };
    static struct acknowledged acks[ACKS];
    int ends[2];
    store_close(rig->store);
    rig->store = NULL;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        run_child(rig, ends[1], round);
    }
    close(ends[1]);
    size_t len = kill_after(child, ends[0], answers, acks, ACKS);
    close(ends[0]);
    assert_true(len > 0);
    rig_reopen(rig);
    for (size_t i = 0; i < len; i++) {
        check_acknowledged(rig, &acks[i]);
    }
    check_whole(rig);
    arena_reset(&rig->arena);
}

static void nothing_acknowledged_is_lost_or_doubled_by_kill_9(void **state) {
    struct rig *rig = *state;
    uint64_t kills = env_number("TURNOUT_KILLS", 10);
    uint64_t seed = env_number("TURNOUT_SEED", rng_u64(rng_system()) % 1000000);
    printf("seed %llu\n", (unsigned long long)seed);
    struct seeded_rng rng;
    seeded_rng_init(&rng, seed);
    for (int i = 0; i < PEOPLE; i++) {
        char token[NAMES];
        snprintf(token, sizeof token, "t%d", i);
        rig_person(rig, "e", token, token, "");
    }
    /* At most so many records in one file that the whole history stays quick to check. */
    for (uint64_t i = 0; i < kills; i++) {
        one_kill(rig, (int)i, 1 + rng_below(&rng.base, kills > 20 ? 80 : 400));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_or_doubled_by_kill_9,
                                        rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
