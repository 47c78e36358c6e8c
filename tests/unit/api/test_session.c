/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a session stands for its key and for nothing else: not beyond its end, its key's life, its
 * bytes, or reading. And what the dashboard's files are sent with. */
#include "api/auth.h"
#include "api/call_priv.h"
#include "api/limiter.h"
#include "doubles.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static struct bench bench;
static struct arena arena;
static struct api_key key;
static char key_text[API_KEY_TEXT_SIZE];
static char cookie[256];

static void know_key(struct store_op *op) {
    if (op->kind == STORE_LOAD_KEY) {
        op->err = slice_eq(op->key.id, key.id) ? ERR_OK : ERR_UNKNOWN_KEY;
        op->key = key;
    }
}

static int open_with_key(void **state) {
    (void)state;
    bench_open(&bench, API_AUTH_REQUIRED);
    bench.store.script = know_key;
    arena_init(&arena, 1 << 16);
    key = (struct api_key){.scope = SCOPE_ADMIN, .revoked_at_ms = TIME_NONE};
    api_key_make(&bench.rng.base, &arena, &key, key_text);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    bench_close(&bench);
    arena_fini(&arena);
    return 0;
}

static const struct answer *log_in_from(const char *text, const char *origin, const char *site) {
    char body[256];
    snprintf(body, sizeof body, "{\"key\":\"%s\"}", text);
    return bench_send(&bench, &(struct sent){.method = "POST",
                                             .path = "/v1/session",
                                             .type = "application/json",
                                             .body = body,
                                             .host = "door.example:8080",
                                             .origin = origin,
                                             .fetch_site = site});
}

static const struct answer *log_in(const char *text) {
    return log_in_from(text, NULL, NULL);
}

/* Keeps what Set-Cookie gave, as a browser would send it back. */
static void keep_cookie(const struct answer *answer) {
    const char *at = strstr(answer->fields, "set-cookie: ");
    assert_non_null(at);
    at += strlen("set-cookie: ");
    snprintf(cookie, sizeof cookie, "theme=dark; %.*s; x=y", (int)strcspn(at, ";"), at);
}

static const struct answer *ask(const char *method, const char *path) {
    return bench_send(&bench, &(struct sent){.method = method, .path = path, .cookie = cookie});
}

static void a_login_gives_a_cookie_that_reads(void **state) {
    (void)state;
    const struct answer *answer = log_in(key_text);
    assert_int_equal(answer->status, 200);
    assert_non_null(strstr(answer->fields, "; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict\n"));
    assert_null(strstr(answer->fields, strchr(key_text, '.') + 1)); /* not the secret */
    assert_null(strstr(answer->body, strchr(key_text, '.') + 1));
    keep_cookie(answer);
    assert_int_equal(ask("GET", "/v1/events")->status, 200);
    assert_int_equal(ask("HEAD", "/v1/events")->status, 200);
    answer = ask("GET", "/v1/session");
    assert_int_equal(answer->status, 200);
    assert_non_null(strstr(answer->body, "\"scope\":\"admin\""));
    assert_null(strstr(answer->body, "\"ends_at\":null"));
}

static void a_session_changes_nothing(void **state) {
    (void)state;
    keep_cookie(log_in(key_text));
    size_t before = bench.store.count;
    assert_int_equal(ask("DELETE", "/v1/events/e/participants/1")->status, 401);
    assert_int_equal(ask("POST", "/v1/events/e/checkins/1:annul")->status, 401);
    assert_int_equal(ask("PATCH", "/v1/events/e/gates/g")->status, 401);
    assert_int_equal(bench.store.count, before);
}

static void a_session_ends_at_its_time(void **state) {
    (void)state;
    keep_cookie(log_in(key_text));
    bench_advance(&bench, 3590 * 1000);
    assert_int_equal(ask("GET", "/v1/events")->status, 200);
    bench_advance(&bench, 10 * 1000);
    for (int i = 0; i < 2 * LIMITER_BURST; i++) { /* and is no guess: never 429 */
        assert_int_equal(ask("GET", "/v1/events")->status, 401);
    }
}

static void a_session_ends_with_its_key(void **state) {
    (void)state;
    keep_cookie(log_in(key_text));
    assert_int_equal(ask("GET", "/v1/events")->status, 200);
    key.revoked_at_ms = 1;
    bench_advance(&bench, 1001);
    assert_int_equal(ask("GET", "/v1/events")->status, 401);
}

static void a_session_is_of_its_own_key(void **state) {
    (void)state;
    keep_cookie(log_in(key_text));
    key.hash[3] ^= 1; /* the same id with another secret: a key made anew */
    bench_advance(&bench, 1001);
    assert_int_equal(ask("GET", "/v1/events")->status, 401);
}

static void any_change_of_a_cookie_is_found(void **state) {
    (void)state;
    keep_cookie(log_in(key_text));
    char good[sizeof cookie];
    memcpy(good, cookie, sizeof good);
    size_t from = strlen("theme=dark; " SESSION_COOKIE "="), until = strlen(good) - strlen("; x=y");
    for (size_t i = from; i < until; i++) {
        bench_advance(&bench, 1000); /* forgives one failure */
        memcpy(cookie, good, sizeof cookie);
        cookie[i] = cookie[i] == '1' ? '2' : '1';
        assert_int_equal(ask("GET", "/v1/events")->status, 401);
    }
    memcpy(cookie, good, sizeof cookie);
    assert_int_equal(ask("GET", "/v1/events")->status, 200);
}

static void a_session_that_ends_too_late_is_none(void **state) {
    (void)state;
    char text[SESSION_TEXT_SIZE];
    int64_t now_s = bench.clock.now_wall_ms / 1000;
    assert_true(session_format(key.hash, key.id, now_s + 3600, text));
    snprintf(cookie, sizeof cookie, SESSION_COOKIE "=%s", text);
    assert_int_equal(ask("GET", "/v1/events")->status, 200);
    assert_true(session_format(key.hash, key.id, now_s + 3600 + 301, text));
    snprintf(cookie, sizeof cookie, SESSION_COOKIE "=%s", text);
    assert_int_equal(ask("GET", "/v1/events")->status, 401);
}

static void a_key_goes_before_a_cookie(void **state) {
    (void)state;
    keep_cookie(log_in(key_text));
    const struct answer *answer =
        bench_send(&bench, &(struct sent){.method = "GET",
                                          .path = "/v1/events",
                                          .cookie = cookie,
                                          .authorization = "Bearer tk_aa.b"});
    assert_int_equal(answer->status, 401);
}

static void wrong_keys_are_refused_and_limited(void **state) {
    (void)state;
    assert_int_equal(log_in("nonsense")->status, 401);
    char wrong[API_KEY_TEXT_SIZE];
    memcpy(wrong, key_text, sizeof wrong);
    wrong[strlen(wrong) - 2] ^= 1;
    for (int i = 1; i < LIMITER_BURST; i++) {
        const struct answer *answer = log_in(wrong);
        assert_int_equal(answer->status, 401);
        assert_null(strstr(answer->fields, "set-cookie"));
    }
    assert_int_equal(log_in(wrong)->status, 429);
    bench_advance(&bench, 1500);
    assert_int_equal(log_in(key_text)->status, 200);
}

static void a_malformed_login_is_400(void **state) {
    (void)state;
    static const char *const bodies[] = {"", "[]", "{}", "{\"key\":null}", "{\"key\":7}", "{"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(bench_post(&bench, "/v1/session", bodies[i])->status, 400);
    }
    char long_key[200];
    memset(long_key, 'a', sizeof long_key);
    long_key[sizeof long_key - 1] = '\0';
    assert_int_equal(log_in(long_key)->status, 401);
}

static void another_site_logs_nobody_in_or_out(void **state) {
    (void)state;
    const struct answer *answer = log_in_from(key_text, "http://evil.example", NULL);
    assert_int_equal(answer->status, 403);
    assert_non_null(strstr(answer->body, "\"code\":\"cross_site\""));
    assert_null(strstr(answer->fields, "set-cookie"));
    assert_int_equal(log_in_from(key_text, NULL, "cross-site")->status, 403);
    assert_int_equal(log_in_from(key_text, "null", NULL)->status, 403);
    assert_int_equal(log_in_from(key_text, "http://door.example:8080", "same-origin")->status, 200);
    answer = bench_send(&bench, &(struct sent){.method = "DELETE",
                                               .path = "/v1/session",
                                               .fetch_site = "same-site"});
    assert_int_equal(answer->status, 403);
}

static void over_tls_the_cookie_is_kept_to_tls(void **state) {
    (void)state;
    const struct answer *answer = log_in_from(key_text, "https://door.example:8080", NULL);
    assert_non_null(strstr(answer->fields, "SameSite=Strict; Secure\n"));
    struct sent said = {.method = "DELETE", .path = "/v1/session"};
    assert_null(strstr(bench_send(&bench, &said)->fields, "Secure"));
    said.is_tls = true;
    assert_non_null(strstr(bench_send(&bench, &said)->fields, "SameSite=Strict; Secure\n"));
}

static void a_logout_takes_the_cookie_back(void **state) {
    (void)state;
    const struct answer *answer =
        bench_send(&bench, &(struct sent){.method = "DELETE", .path = "/v1/session"});
    assert_int_equal(answer->status, 204);
    assert_non_null(strstr(answer->fields, "set-cookie: " SESSION_COOKIE "=; Path=/; Max-Age=0;"));
}

static void a_bound_key_may_ask_what_it_is(void **state) {
    (void)state;
    key.event = SLICE_LIT("mine");
    key.scope = SCOPE_SCANNER;
    keep_cookie(log_in(key_text));
    const struct answer *answer = ask("GET", "/v1/session");
    assert_int_equal(answer->status, 200);
    assert_non_null(strstr(answer->body, "\"event\":\"mine\""));
    assert_int_equal(ask("GET", "/v1/events/mine/stats")->status, 200);
    assert_int_equal(ask("GET", "/v1/performance")->status, 403);
}

static void the_page_needs_no_key_and_says_what_it_may_do(void **state) {
    (void)state;
    const struct answer *answer = bench_get(&bench, "/", NULL);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->type, "text/html; charset=utf-8");
    assert_non_null(strstr(answer->fields, "content-security-policy: default-src 'self';"));
    assert_null(strstr(answer->fields, "unsafe"));
    assert_non_null(strstr(answer->fields, "cache-control: no-cache\n"));
    assert_int_equal(bench.store.count, 0);
    assert_int_equal(bench_get(&bench, "/assets/no.js", NULL)->status, 404);
    assert_int_equal(bench_get(&bench, "/assets/..%2findex.html", NULL)->status, 404);
    assert_int_equal(bench_get(&bench, "/assets/a%00b", NULL)->status, 404);
    assert_int_equal(bench_get(&bench, "/index.html", NULL)->status, 404);
}

static void gzip_is_sent_to_who_takes_it(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        bool gzip;
    } rows[] = {
        {"", false},
        {"gzip", true},
        {"br, GZIP;q=0.1", true},
        {"gzip;q=0", false},
        {"gzip; q=0.000, br", false},
        {"*", true},
        {"*;q=0", false},
        {"*, gzip;q=0", false},
        {"identity", false},
        {" x-gzip ", true},
        {",;,", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(accepts_gzip(slice_of(rows[i].accept)), rows[i].gzip);
    }
}

static void an_etag_is_found_in_a_list(void **state) {
    (void)state;
    struct slice etag = SLICE_LIT("\"ab\"");
    assert_true(etag_matches(SLICE_LIT("\"ab\""), etag));
    assert_true(etag_matches(SLICE_LIT("\"x\", W/\"ab\" "), etag));
    assert_true(etag_matches(SLICE_LIT("*"), etag));
    assert_false(etag_matches(SLICE_NONE, etag));
    assert_false(etag_matches(SLICE_LIT("\"ab-gzip\", ab"), etag));
}

static void cookies_are_found_by_their_whole_name(void **state) {
    (void)state;
    assert_true(slice_eq_text(session_of_cookies(SLICE_LIT("a=b;turnout_session=x.1.y")), "x.1.y"));
    assert_int_equal(session_of_cookies(SLICE_LIT("my_turnout_session=x")).len, 0);
    assert_int_equal(session_of_cookies(SLICE_LIT("turnout_sessions=x; turnout_session")).len, 0);
    assert_int_equal(session_of_cookies(SLICE_NONE).len, 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_with_key, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(a_login_gives_a_cookie_that_reads),
        EACH(a_session_changes_nothing),
        EACH(a_session_ends_at_its_time),
        EACH(a_session_ends_with_its_key),
        EACH(a_session_is_of_its_own_key),
        EACH(any_change_of_a_cookie_is_found),
        EACH(a_session_that_ends_too_late_is_none),
        EACH(a_key_goes_before_a_cookie),
        EACH(wrong_keys_are_refused_and_limited),
        EACH(a_malformed_login_is_400),
        EACH(another_site_logs_nobody_in_or_out),
        EACH(over_tls_the_cookie_is_kept_to_tls),
        EACH(a_logout_takes_the_cookie_back),
        EACH(a_bound_key_may_ask_what_it_is),
        EACH(the_page_needs_no_key_and_says_what_it_may_do),
        cmocka_unit_test(gzip_is_sent_to_who_takes_it),
        cmocka_unit_test(an_etag_is_found_in_a_list),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
