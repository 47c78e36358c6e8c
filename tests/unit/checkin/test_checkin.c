/* SPDX-License-Identifier: Apache-2.0 */
/* Single scans and batches on a real loop, against a store that writes down what it is asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "checkin/checkin.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCANS_MAX = 3000, CHUNK = 100 };

/* A store that answers at once, numbers what it decides, and refuses chunk number `fail_chunk`. */
struct script {
    struct store base;
    int64_t seen_at[SCANS_MAX]; /* scanned_at in the order of decision */
    size_t seen;
    size_t chunks, largest_chunk;
    size_t fail_chunk; /* 1..; 0: none */
};

static void script_submit(struct store *store, struct store_op *op) {
    struct script *script = (struct script *)store;
    script->chunks++;
    if (op->check_in.len > script->largest_chunk) {
        script->largest_chunk = op->check_in.len;
    }
    if (script->chunks == script->fail_chunk) {
        op->err = problem_set(&op->problem, ERR_UNAVAILABLE, "", "planned");
        op->done(op);
        return;
    }
    for (size_t i = 0; i < op->check_in.len; i++) {
        script->seen_at[script->seen++] = op->check_in.scans[i].scanned_at_ms;
        op->check_in.results[i] = (struct scan_result){
            .record_id = (int64_t)script->seen,
            .participant.name = arena_copy(&op->arena, SLICE_LIT("Ann")),
        };
    }
    op->done(op);
}

static const struct store_vtable script_vtable = {"script", script_submit, NULL, NULL};

/* The loop runs on a thread of its own; a test acts on it through `act` and waits for `ended`. */
struct stage {
    struct loop_message message; /* first */
    struct loop *loop;
    struct checkin *checkin;
    struct script script;
    void (*act)(struct stage *stage);
    mtx_t lock;
    cnd_t changed;
    int ended;
    struct scan scans[SCANS_MAX];
    unsigned char skip[SCANS_MAX];
    size_t len;
    int64_t record_ids[SCANS_MAX];
    enum err_e errs[SCANS_MAX];
};

static void run_act(struct loop_message *message) {
    struct stage *stage = (struct stage *)message;
    stage->act(stage);
}

static void tell_ended(struct stage *stage) {
    mtx_lock(&stage->lock);
    stage->ended++;
    cnd_signal(&stage->changed);
    mtx_unlock(&stage->lock);
}

static void act_and_wait(struct stage *stage, void (*act)(struct stage *stage), int ends) {
    stage->act = act;
    stage->ended = 0;
    stage->message.fn = run_act;
    loop_post(stage->loop, &stage->message);
    mtx_lock(&stage->lock);
    while (stage->ended < ends) {
        cnd_wait(&stage->changed, &stage->lock);
    }
    mtx_unlock(&stage->lock);
}

static int set_up(void **state) {
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    stage->script.base.vtable = &script_vtable;
    mtx_init(&stage->lock, mtx_plain);
    cnd_init(&stage->changed);
    stage->loop = loop_create(0, clock_system());
    assert_non_null(stage->loop);
    const struct checkin_options options = {.scans_max = 2, .batches_max = 1, .chunk = CHUNK};
    stage->checkin = checkin_create(stage->loop, &stage->script.base, &options);
    assert_non_null(stage->checkin);
    assert_int_equal(loop_start(stage->loop), ERR_OK);
    *state = stage;
    return 0;
}

static int tear_down(void **state) {
    struct stage *stage = *state;
    loop_stop(stage->loop);
    loop_join(stage->loop);
    checkin_destroy(stage->checkin);
    loop_destroy(stage->loop);
    cnd_destroy(&stage->changed);
    mtx_destroy(&stage->lock);
    free(stage);
    return 0;
}

/* ── single scans ── */

static void take_scan(const struct scan_result *result, void *owner) {
    struct stage *stage = owner;
    assert_true(loop_is_current(stage->loop));
    assert_true(slice_eq_text(result->participant.name, "Ann"));
    stage->record_ids[stage->ended] = result->record_id;
    tell_ended(stage);
}

static void submit_three(struct stage *stage) {
    struct scan scan = {.scanned_at_ms = TIME_NONE};
    for (int i = 0; i < 3; i++) {
        stage->errs[i] =
            checkin_scan(stage->checkin, SLICE_LIT("e"), &scan, take_scan, stage);
    }
}

static void scans_beyond_the_limit_are_overloaded_at_once(void **state) {
    struct stage *stage = *state;
    act_and_wait(stage, submit_three, 2);
    assert_int_equal(stage->errs[0], ERR_OK);
    assert_int_equal(stage->errs[1], ERR_OK);
    assert_int_equal(stage->errs[2], ERR_OVERLOADED);
    act_and_wait(stage, submit_three, 2); /* both came back to the pool */
    assert_int_equal(stage->errs[1], ERR_OK);
}

/* ── batches ── */

static void take_batch(struct checkin_batch *batch, const struct scan_result *results,
                       void *owner) {
    struct stage *stage = owner;
    for (size_t i = 0; i < stage->len; i++) {
        stage->record_ids[i] = results[i].record_id;
        stage->errs[i] = results[i].err;
    }
    checkin_batch_free(batch);
    tell_ended(stage);
}

static void submit_batch(struct stage *stage) {
    assert_int_equal(checkin_batch(stage->checkin, SLICE_LIT("e"), stage->scans, stage->skip,
                                   stage->len, take_batch, stage),
                     ERR_OK);
    struct scan scan = {.scanned_at_ms = 1};
    assert_int_equal(checkin_batch(stage->checkin, SLICE_LIT("e"), &scan, NULL, 1, take_batch,
                                   stage),
                     ERR_OVERLOADED);
}

static void check_order(const struct stage *stage) {
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < stage->script.seen; i++) {
        int64_t at =
            stage->script.seen_at[i] == TIME_NONE ? INT64_MAX : stage->script.seen_at[i];
        assert_true(at >= last);
        last = at;
    }
}

static void a_batch_is_decided_by_scanned_at_and_answered_as_uploaded(void **state) {
    struct stage *stage = *state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 42);
    stage->len = 2345;
    for (size_t i = 0; i < stage->len; i++) {
        bool timed = rng_below(&rng.base, 10) != 0;
        stage->scans[i].scanned_at_ms =
            timed ? (int64_t)rng_below(&rng.base, 300) : TIME_NONE;
    }
    act_and_wait(stage, submit_batch, 1);
    assert_int_equal(stage->script.seen, stage->len);
    assert_int_equal(stage->script.largest_chunk, CHUNK);
    check_order(stage);
    for (size_t i = 0; i < stage->len; i++) { /* the answer at i is of the scan at i */
        int64_t at = stage->script.seen_at[stage->record_ids[i] - 1];
        assert_true(at == stage->scans[i].scanned_at_ms);
        for (size_t j = i + 1; j < stage->len && j < i + 5; j++) { /* equal ones keep order */
            assert_true(stage->scans[j].scanned_at_ms != stage->scans[i].scanned_at_ms ||
                        stage->record_ids[i] < stage->record_ids[j]);
        }
    }
}

static void skipped_scans_are_not_decided(void **state) {
    struct stage *stage = *state;
    stage->len = 250;
    for (size_t i = 0; i < stage->len; i++) {
        stage->scans[i].scanned_at_ms = (int64_t)i;
        stage->skip[i] = i % 3 == 0;
    }
    act_and_wait(stage, submit_batch, 1);
    for (size_t i = 0; i < stage->len; i++) {
        assert_int_equal(stage->record_ids[i] != 0, i % 3 != 0);
    }
}

static void a_failed_chunk_harms_no_other(void **state) {
    struct stage *stage = *state;
    stage->len = 250;
    stage->script.fail_chunk = 2;
    for (size_t i = 0; i < stage->len; i++) {
        stage->scans[i].scanned_at_ms = (int64_t)i;
    }
    act_and_wait(stage, submit_batch, 1);
    for (size_t i = 0; i < stage->len; i++) {
        bool failed = i >= CHUNK && i < 2 * CHUNK;
        assert_int_equal(stage->errs[i], failed ? ERR_UNAVAILABLE : ERR_OK);
    }
}

static void an_empty_batch_is_answered(void **state) {
    struct stage *stage = *state;
    stage->len = 0;
    act_and_wait(stage, submit_batch, 1);
    assert_int_equal(stage->script.chunks, 0);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(scans_beyond_the_limit_are_overloaded_at_once),
        CASE(a_batch_is_decided_by_scanned_at_and_answered_as_uploaded),
        CASE(skipped_scans_are_not_decided),
        CASE(a_failed_chunk_harms_no_other),
        CASE(an_empty_batch_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
