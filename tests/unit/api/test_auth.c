/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, scopes, event-bound keys, revocation and the limit on failures, over doubles. */
#include "api/auth.h"
#include "api/limiter.h"
#include "doubles.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static struct bench bench;
static struct arena arena;
static struct api_key key;
static char authorization[16 + API_KEY_TEXT_SIZE];
static enum err_e store_err;

/* The store knows one key. */
static void know_key(struct store_op *op) {
    if (op->kind != STORE_LOAD_KEY) {
        return;
    }
    op->err = store_err != ERR_OK                  ? store_err
              : slice_eq(op->key.id, key.id) ? ERR_OK
                                                   : ERR_UNKNOWN_KEY;
    op->key = key;
}

static int open_with_key(void **state) {
    (void)state;
    char text[API_KEY_TEXT_SIZE];
    bench_open(&bench, API_AUTH_REQUIRED);
    bench.store.script = know_key;
    store_err = ERR_OK;
    arena_init(&arena, 1 << 16);
    key = (struct api_key){.scope = SCOPE_ADMIN, .revoked_at_ms = TIME_NONE};
    api_key_make(&bench.rng.base, &arena, &key, text);
    snprintf(authorization, sizeof authorization, "Bearer %s", text);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    bench_close(&bench);
    arena_fini(&arena);
    return 0;
}

static const struct answer *ask(const char *method, const char *path, const char *query,
                                const char *with) {
    return bench_send(&bench, &(struct sent){.method = method,
                                             .path = path,
                                             .query = query,
                                             .authorization = with});
}

static void without_a_good_key_the_answer_is_401_with_a_challenge(void **state) {
    (void)state;
    static const char *const bad[] = {NULL, "Basic eDp5", "Bearer", "Bearer tk_", "Bearer tk_a",
                                      "Bearer tk_.x", "Bearer tk_0000000000000000.secret"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct answer *answer = ask("GET", "/v1/events", NULL, bad[i]);
        assert_int_equal(answer->status, 401);
        assert_non_null(strstr(answer->fields, "www-authenticate: Bearer realm="));
    }
    char wrong[sizeof authorization];
    snprintf(wrong, sizeof wrong, "%s", authorization);
    wrong[strlen(wrong) - 2] ^= 1;
    assert_int_equal(ask("GET", "/v1/events", NULL, wrong)->status, 401);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    assert_int_equal(ask("GET", "/v1/events", NULL, wrong)->status, 401);
}

static void open_routes_need_no_key(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/livez", NULL, NULL)->status, 200);
    assert_int_equal(ask("GET", "/openapi.json", NULL, NULL)->status, 200);
    assert_int_equal(bench.store.count, 0);
}

static void a_known_key_is_not_asked_for_again_at_once(void **state) {
    (void)state;
    ask("GET", "/v1/events", NULL, authorization);
    size_t before = bench.store.count;
    ask("GET", "/v1/events", NULL, authorization);
    assert_int_equal(bench.store.count, before + 1); /* the list itself */
}

static void a_revocation_holds_within_a_second(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    key.revoked_at_ms = 1;
    bench_advance(&bench, 1001);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 401);
}

static void a_refresh_in_the_background_finds_a_revocation(void **state) {
    (void)state;
    ask("GET", "/v1/events", NULL, authorization);
    key.revoked_at_ms = 1;
    bench_advance(&bench, 600);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 401);
}

static void a_store_that_cannot_answer_is_503_and_no_failed_authentication(void **state) {
    (void)state;
    store_err = ERR_UNAVAILABLE;
    for (int i = 0; i < 2 * LIMITER_BURST; i++) {
        assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 503);
    }
    store_err = ERR_OK;
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
}

static void many_failures_of_an_address_are_limited_but_not_its_good_key(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    for (int i = 0; i < LIMITER_BURST; i++) {
        assert_int_equal(ask("GET", "/v1/events", NULL, "Bearer tk_aa.b")->status, 401);
    }
    size_t before = bench.store.count;
    const struct answer *answer = ask("GET", "/v1/events", NULL, "Bearer tk_aa.b");
    assert_int_equal(answer->status, 429);
    assert_non_null(strstr(answer->fields, "retry-after: 1\n"));
    assert_int_equal(bench.store.count, before);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    bench_advance(&bench, 1500);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    assert_int_equal(ask("GET", "/v1/events", NULL, "Bearer tk_aa.b")->status, 401);
}

static void every_scope_reaches_its_routes_and_no_others(void **state) {
    (void)state;
    static const struct {
        const char *method, *path, *query;
        int scanner, analyst, metrics;
    } rows[] = {
        {"GET", "/v1/events", NULL, 403, 200, 403},
        {"POST", "/v1/events", NULL, 403, 403, 403},
        {"GET", "/v1/events/e/gates", NULL, 200, 200, 403},
        {"PATCH", "/v1/events/e/gates/g", NULL, 403, 403, 403},
        {"GET", "/v1/events/e/stats", NULL, 200, 200, 403},
        {"GET", "/v1/events/e/attendance", NULL, 403, 200, 403},
        {"GET", "/v1/events/e/participants", NULL, 403, 200, 403},
        {"GET", "/v1/events/e/participants", "q=an", 403, 200, 403},
        {"GET", "/v1/events/e/participants", "q=ann", 200, 200, 403},
        {"GET", "/v1/events/e/participants", "token=t", 200, 200, 403},
        {"GET", "/v1/events/e/participants/1", NULL, 403, 200, 403},
        {"DELETE", "/v1/events/e/participants/1", NULL, 403, 403, 403},
        {"POST", "/v1/events/e/checkins", NULL, 400, 403, 403},
        {"POST", "/v1/events/e/checkins/1:annul", NULL, 200, 403, 403},
    };
    const enum key_scope_e scopes[] = {SCOPE_SCANNER, SCOPE_ANALYST, SCOPE_METRICS};
    for (size_t s = 0; s < 3; s++) {
        key.scope = scopes[s];
        bench_advance(&bench, 2000);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            const int wanted[] = {rows[i].scanner, rows[i].analyst, rows[i].metrics};
            assert_int_equal(
                ask(rows[i].method, rows[i].path, rows[i].query, authorization)->status, wanted[s]);
        }
    }
}

static void a_bound_key_sees_its_own_event_only(void **state) {
    (void)state;
    key.event = SLICE_LIT("mine");
    assert_int_equal(ask("GET", "/v1/events/mine/stats", NULL, authorization)->status, 200);
    const struct answer *answer = ask("GET", "/v1/events/other/stats", NULL, authorization);
    assert_int_equal(answer->status, 404);
    assert_non_null(strstr(answer->body, "\"code\":\"unknown_event\""));
    assert_int_equal(ask("POST", "/v1/events", NULL, authorization)->status, 403);
    assert_int_equal(ask("GET", "/v1/events", NULL, authorization)->status, 200);
    assert_int_equal(bench.store.last, STORE_LOAD_EVENT);
}

static void the_limiter_forgives_one_failure_a_second(void **state) {
    (void)state;
    static struct limiter limiter;
    limiter_init(&limiter, 7);
    struct slice peer = SLICE_LIT("192.0.2.9");
    for (int i = 0; i < LIMITER_BURST; i++) {
        assert_int_equal(limiter_wait_s(&limiter, peer, 0), 0);
        limiter_note_failure(&limiter, peer, 0);
    }
    assert_int_equal(limiter_wait_s(&limiter, peer, 0), 1);
    assert_int_equal(limiter_wait_s(&limiter, SLICE_LIT("192.0.2.8"), 0), 0);
    assert_int_equal(limiter_wait_s(&limiter, peer, LIMITER_INTERVAL_US), 0);
}

static void addresses_of_one_ipv6_network_share_an_account(void **state) {
    (void)state;
    static struct limiter limiter;
    limiter_init(&limiter, 7);
    char peer[40];
    for (int i = 0; i < LIMITER_BURST; i++) {
        snprintf(peer, sizeof peer, "2001:db8::%x", i + 1);
        limiter_note_failure(&limiter, slice_of(peer), 0);
    }
    assert_int_equal(limiter_wait_s(&limiter, SLICE_LIT("2001:db8::ffff"), 0), 1);
    assert_int_equal(limiter_wait_s(&limiter, SLICE_LIT("2001:db8:0:1::1"), 0), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_with_key, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(without_a_good_key_the_answer_is_401_with_a_challenge),
        EACH(open_routes_need_no_key),
        EACH(a_known_key_is_not_asked_for_again_at_once),
        EACH(a_revocation_holds_within_a_second),
        EACH(a_refresh_in_the_background_finds_a_revocation),
        EACH(a_store_that_cannot_answer_is_503_and_no_failed_authentication),
        EACH(many_failures_of_an_address_are_limited_but_not_its_good_key),
        EACH(every_scope_reaches_its_routes_and_no_others),
        EACH(a_bound_key_sees_its_own_event_only),
        cmocka_unit_test(the_limiter_forgives_one_failure_a_second),
        cmocka_unit_test(addresses_of_one_ipv6_network_share_an_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
