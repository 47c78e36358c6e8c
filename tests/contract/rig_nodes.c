/* SPDX-License-Identifier: Apache-2.0 */
/* A crowd at several nodes. */
#include "rig_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void crowd_begin(struct crowd *crowd, struct rig *rig, size_t nodes) {
    memset(crowd, 0, sizeof *crowd);
    for (int i = 0; i < CROWD_PEOPLE; i++) {
        char token[16];
        snprintf(token, sizeof token, "t%d", i);
        rig_person(rig, "e", token, token, "");
    }
    for (; crowd->nodes_len < nodes; crowd->nodes_len++) {
        struct problem problem = {.detail = ""};
        if (rig_open(rig, clock_system(), rng_system(), &crowd->nodes[crowd->nodes_len],
                     &problem) != ERR_OK) {
            fail_msg("open: %s", problem.detail);
        }
    }
}

void crowd_end(struct crowd *crowd) {
    for (size_t i = 0; i < crowd->nodes_len; i++) {
        store_close(crowd->nodes[i]);
    }
}

/* ── scanning ── */

struct member {
    struct crowd *crowd;
    int index;
};

static enum err_e scan_once(struct store *store, struct crowd_scan *mine) {
    const struct scan scan = {.token = slice_of(mine->token),
                              .gate = SLICE_LIT("g1"),
                              .nonce = slice_of(mine->nonce),
                              .direction = mine->direction,
                              .scanned_at_ms = TIME_NONE};
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = &scan;
    op.check_in.results = &mine->seen;
    op.check_in.len = 1;
    enum err_e err = store_run(store, &op);
    store_op_fini(&op);
    return err != ERR_OK ? err : mine->seen.err;
}

/* A scanner waits a moment after a 503 and asks another node, or the same. What is never answered
 * is told by crowd_run, on the test's own thread. */
static void scan_until_answered(struct crowd *crowd, struct crowd_scan *mine,
                                struct seeded_rng *rng) {
    enum { TRIES_MAX = 3000 };
    for (mine->retries = 0; mine->retries < TRIES_MAX; mine->retries++) {
        size_t node = rng_below(&rng->base, crowd->nodes_len);
        enum err_e err = scan_once(crowd->nodes[node], mine);
        mine->err = err;
        if (err == ERR_OK || !err_is_retryable(err)) {
            return;
        }
        struct timespec moment = {.tv_nsec = 10000000};
        thrd_sleep(&moment, NULL);
    }
}

static int member_main(void *data) {
    const struct member *member = data;
    struct seeded_rng rng;
    seeded_rng_init(&rng, (uint64_t)member->index + 1);
    for (int i = 0; i < CROWD_SCANS; i++) {
        struct crowd_scan *mine = &member->crowd->scans[member->index][i];
        snprintf(mine->token, sizeof mine->token, "t%d",
                 (int)rng_below(&rng.base, CROWD_PEOPLE));
        /* Every fifth is sent by two members: one record, whoever comes first. */
        bool shared = i % 5 == 0;
        snprintf(mine->nonce, sizeof mine->nonce, shared ? "s%d-%d" : "n%d-%d",
                 shared ? member->index / 2 : member->index, i);
        if (shared) {
            snprintf(mine->token, sizeof mine->token, "t%d", i % CROWD_PEOPLE);
        }
        mine->direction = i % 3 == 2 ? DIRECTION_EXIT : DIRECTION_ENTRY;
        scan_until_answered(member->crowd, mine, &rng);
    }
    return 0;
}

void crowd_run(struct crowd *crowd, void (*meanwhile)(struct rig *rig), struct rig *rig) {
    thrd_t threads[CROWD_THREADS];
    struct member members[CROWD_THREADS];
    for (int i = 0; i < CROWD_THREADS; i++) {
        members[i] = (struct member){crowd, i};
        assert_int_equal(thrd_create(&threads[i], member_main, &members[i]), thrd_success);
    }
    if (meanwhile != NULL) {
        meanwhile(rig);
    }
    for (int i = 0; i < CROWD_THREADS; i++) {
        thrd_join(threads[i], NULL);
    }
    for (int i = 0; i < CROWD_THREADS * CROWD_SCANS; i++) {
        const struct crowd_scan *scan = &crowd->scans[i / CROWD_SCANS][i % CROWD_SCANS];
        if (scan->err != ERR_OK) {
            fail_msg("%s was answered %s", scan->nonce, err_code(scan->err));
        }
    }
}

/* ── what must be true afterwards ── */

static void check_answer(struct rig *rig, const struct crowd_scan *mine) {
    struct scan scan = {.token = slice_of(mine->token),
                        .gate = SLICE_LIT("g1"),
                        .nonce = slice_of(mine->nonce),
                        .direction = mine->direction,
                        .scanned_at_ms = TIME_NONE};
    struct scan_result again = rig_scan(rig, "e", scan);
    if (!again.replayed) {
        fail_msg("lost: %s was answered and is not there", mine->nonce);
    }
    assert_int_equal(again.record_id, mine->seen.record_id);
    assert_int_equal(again.verdict, mine->seen.verdict);
    assert_int_equal(again.reason, mine->seen.reason);
}

static int by_id(const void *a, const void *b) {
    const struct attendance_record *x = a, *y = b;
    return x->record_id < y->record_id ? -1 : x->record_id > y->record_id;
}

/* Numbers grow in the order of decision, so that order is the one to tell the story in. */
static void check_story(struct rig *rig) {
    size_t len;
    struct attendance_filter filter = NO_FILTER;
    struct attendance_record *records = rig_history(rig, "e", &filter, 1000, &len);
    struct event_stats stats = rig_stats(rig, "e");
    bool inside[CROWD_PEOPLE + 1] = {false};
    int64_t count = 0, most = 0, refused = 0;
    qsort(records, len, sizeof *records, by_id);
    for (size_t i = 0; i < len; i++) {
        const struct attendance_record *record = &records[i];
        assert_true(record->participant_id >= 1 && record->participant_id <= CROWD_PEOPLE);
        bool *in = &inside[record->participant_id];
        assert_true(i == 0 || record->record_id != records[i - 1].record_id);
        assert_true(record->verdict != VERDICT_ADMITTED || !*in);
        refused += record->verdict == VERDICT_REFUSED;
        count += record->verdict == VERDICT_ADMITTED;
        count -= record->verdict == VERDICT_EXITED && *in;
        *in = record->verdict == VERDICT_REFUSED ? *in : record->verdict == VERDICT_ADMITTED;
        most = count > most ? count : most;
    }
    assert_int_equal(stats.inside, count);
    assert_int_equal(stats.scans, (int64_t)len);
    assert_int_equal(stats.refused, refused);
    assert_true(most <= CROWD_PEOPLE);
}

void crowd_check(struct crowd *crowd, struct rig *rig) {
    for (int i = 0; i < CROWD_THREADS; i++) {
        for (int j = 0; j < CROWD_SCANS; j++) {
            check_answer(rig, &crowd->scans[i][j]);
        }
    }
    check_story(rig);
}
