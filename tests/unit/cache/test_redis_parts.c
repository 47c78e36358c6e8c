/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the Redis client that need no Redis: slots, map, breaker, budget, envelope. */
#include "cache/redis_breaker_priv.h"
#include "cache/redis_map_priv.h"
#include "cache/redis_value_priv.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

static void crc16_is_xmodem(void **state) {
    (void)state;
    assert_int_equal(redis_crc16(SLICE_NONE), 0);
    assert_int_equal(redis_crc16(SLICE_LIT("123456789")), 0x31c3); /* the specification's vector */
    assert_int_equal(redis_crc16(SLICE_LIT("A")), 0x58e5);
    assert_int_equal(redis_crc16(SLICE_LIT("\xff\0")) == redis_crc16(SLICE_LIT("\xff")), 0);
}

static void a_hash_tag_alone_decides_the_slot(void **state) {
    (void)state;
    static const struct {
        const char *key;
        const char *hashed;
    } rows[] = {
        {"{user1000}.following", "user1000"},
        {"foo{}{bar}", "foo{}{bar}"},
        {"foo{{bar}}zap", "{bar"},
        {"foo{bar}{zap}", "bar"},
        {"foo{bar", "foo{bar"},
        {"foo}bar{", "foo}bar{"},
        {"{", "{"},
        {"}{a}", "a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned slot = redis_slot_of(slice_of(rows[i].key));
        if (slot != redis_crc16(slice_of(rows[i].hashed)) % REDIS_SLOTS) {
            fail_msg("%s: slot %u", rows[i].key, slot);
        }
    }
    assert_int_equal(redis_slot_of(SLICE_LIT("foo")), 12182);
    assert_int_equal(redis_slot_of(SLICE_LIT("123456789")), 12739);
}

static void addresses_are_numeric_or_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        unsigned port;
    } rows[] = {
        {"127.0.0.1:6379", "127.0.0.1", 6379},
        {"[::1]:7000", "::1", 7000},
        {"::1:7000", "::1", 7000},
        {":7000", "10.0.0.9", 7000},
        {"redis.example:6379", NULL, 0},
        {"127.0.0.1", NULL, 0},
        {"127.0.0.1:", NULL, 0},
        {"127.0.0.1:0", NULL, 0},
        {"127.0.0.1:65536", NULL, 0},
        {"127.0.0.1:6379x", NULL, 0},
        {"1.2.3:6379", NULL, 0},
        {"", NULL, 0},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:6379", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_address address;
        bool taken = redis_address_parse(slice_of(rows[i].text), "10.0.0.9", &address);
        if (taken != (rows[i].host != NULL)) {
            fail_msg("%s: %d", rows[i].text, taken);
        }
        if (taken) {
            assert_string_equal(address.host, rows[i].host);
            assert_int_equal(address.port, rows[i].port);
        }
    }
}

/* A reply as Redis sends it. */
static redisReply *reply_of(const char *wire) {
    redisReader *reader = redisReaderCreate();
    assert_non_null(reader);
    assert_int_equal(redisReaderFeed(reader, wire, strlen(wire)), REDIS_OK);
    void *reply = NULL;
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static bool parse(const char *wire, struct redis_plan *plan) {
    redisReply *reply = reply_of(wire);
    bool sound = redis_plan_parse(reply, "10.0.0.9", plan);
    freeReplyObject(reply);
    return sound;
}

#define NODE(host, port) "*3\r\n$8\r\n" host "\r\n:" port "\r\n$2\r\nid\r\n"

static void the_slot_map_is_read_with_its_replicas(void **state) {
    (void)state;
    struct redis_plan plan;
    assert_true(parse("*3\r\n"
                      "*4\r\n:0\r\n:8191\r\n" NODE("10.0.0.1", "7000") NODE("10.0.0.2", "7000")
                      "*3\r\n:8192\r\n:8192\r\n*3\r\n$0\r\n\r\n:7001\r\n$1\r\nx\r\n"
                      "*4\r\n:8194\r\n:16383\r\n" NODE("10.0.0.1", "7000") NODE("10.0.0.2", "7000"),
                      &plan));
    assert_int_equal(plan.count, 3);
    assert_int_equal(plan.skipped, 0);
    assert_int_equal(plan.primary_of[1], 0);
    assert_int_equal(plan.primary_of[0], REDIS_NODE_NONE);
    assert_string_equal(plan.nodes[2].host, "10.0.0.9"); /* empty: the one that was asked */
    assert_int_equal(plan.owner[0], 0);
    assert_int_equal(plan.owner[8191], 0);
    assert_int_equal(plan.owner[8192], 2);
    assert_int_equal(plan.owner[8193], REDIS_NODE_NONE);
    assert_int_equal(plan.owner[16383], 0);
}

static void hosts_by_name_are_left_out_and_counted(void **state) {
    (void)state;
    struct redis_plan plan;
    assert_true(parse("*1\r\n*4\r\n:0\r\n:9\r\n" NODE("node-one", "7000") NODE("10.0.0.2", "7000"),
                      &plan));
    assert_int_equal(plan.skipped, 1);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.owner[0], REDIS_NODE_NONE);
}

static void foreign_shapes_are_no_map(void **state) {
    (void)state;
    static const char *const wires[] = {
        "+OK\r\n", ":1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n*0\r\n", "*1\r\n*3\r\n:0\r\n:16384\r\n*0\r\n",
        "*1\r\n*3\r\n:-1\r\n:4\r\n*0\r\n", "*1\r\n*3\r\n+a\r\n:4\r\n*0\r\n",
    };
    struct redis_plan plan;
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        if (parse(wires[i], &plan)) {
            fail_msg("shape %zu passed", i);
        }
    }
    assert_true(parse("*1\r\n*3\r\n:0\r\n:4\r\n*0\r\n", &plan)); /* a node without address */
    assert_int_equal(plan.skipped, 1);
    assert_true(parse("*0\r\n", &plan)); /* a cluster without slots */
    assert_int_equal(plan.count, 0);
}

static void error_replies_say_what_to_do(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum redis_says_e says;
    } rows[] = {
        {"MOVED 3999 127.0.0.1:6381", REDIS_SAYS_MOVED},
        {"ASK 3999 127.0.0.1:6381", REDIS_SAYS_ASK},
        {"MOVED 16384 127.0.0.1:6381", REDIS_SAYS_OTHER},
        {"MOVED 1", REDIS_SAYS_OTHER},
        {"MOVED 1 name:6381", REDIS_SAYS_OTHER},
        {"TRYAGAIN Multiple keys", REDIS_SAYS_LATER},
        {"LOADING Redis is loading", REDIS_SAYS_LATER},
        {"CLUSTERDOWN The cluster is down", REDIS_SAYS_LOOK_AGAIN},
        {"READONLY You can't write", REDIS_SAYS_LOOK_AGAIN},
        {"ERR This instance has cluster support disabled", REDIS_SAYS_SINGLE},
        {"ERR unknown command", REDIS_SAYS_OTHER},
        {"", REDIS_SAYS_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_redirect redirect;
        if (redis_error_parse(slice_of(rows[i].text), NULL, &redirect) != rows[i].says) {
            fail_msg("%s", rows[i].text);
        }
    }
    struct redis_redirect redirect;
    redis_error_parse(SLICE_LIT("MOVED 3999 127.0.0.1:6381"), NULL, &redirect);
    assert_int_equal(redirect.slot, 3999);
    assert_int_equal(redirect.to.port, 6381);
}

static void the_third_failure_in_a_row_opens(void **state) {
    (void)state;
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct redis_breaker breaker;
    redis_breaker_init(&breaker);
    assert_false(redis_breaker_failed(&breaker, clock.now_mono_us));
    assert_false(redis_breaker_failed(&breaker, clock.now_mono_us));
    assert_false(redis_breaker_succeeded(&breaker)); /* the row is broken */
    assert_false(redis_breaker_failed(&breaker, clock.now_mono_us));
    assert_false(redis_breaker_failed(&breaker, clock.now_mono_us));
    assert_int_equal(breaker.state, REDIS_CLOSED);
    assert_true(redis_breaker_failed(&breaker, clock.now_mono_us));
    assert_int_equal(breaker.state, REDIS_OPEN);
}

static void an_open_breaker_probes_once_a_second(void **state) {
    (void)state;
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct redis_breaker breaker;
    redis_breaker_init(&breaker);
    for (int i = 0; i < BREAKER_FAILURES; i++) {
        redis_breaker_failed(&breaker, clock.now_mono_us);
    }
    virtual_clock_advance(&clock, 999);
    assert_false(redis_breaker_probe(&breaker, clock.now_mono_us));
    virtual_clock_advance(&clock, 1);
    assert_true(redis_breaker_probe(&breaker, clock.now_mono_us));
    assert_false(redis_breaker_probe(&breaker, clock.now_mono_us)); /* one probe only */
    assert_false(redis_breaker_failed(&breaker, clock.now_mono_us));
    assert_int_equal(breaker.state, REDIS_OPEN);
    virtual_clock_advance(&clock, 1000);
    assert_true(redis_breaker_probe(&breaker, clock.now_mono_us));
    assert_true(redis_breaker_succeeded(&breaker));
    assert_int_equal(breaker.state, REDIS_CLOSED);
    assert_false(redis_breaker_failed(&breaker, clock.now_mono_us)); /* begins anew */
    assert_int_equal(breaker.state, REDIS_CLOSED);
}

static void retries_are_a_tenth_of_requests_beyond_the_burst(void **state) {
    (void)state;
    struct redis_retry_budget budget;
    redis_retry_budget_init(&budget);
    int burst = 0;
    while (redis_retry_budget_take(&budget)) {
        burst++;
    }
    assert_int_equal(burst, RETRY_BALANCE_MAX);
    int more = 0;
    for (int i = 0; i < 1000; i++) {
        redis_retry_budget_deposit(&budget);
        more += redis_retry_budget_take(&budget);
    }
    assert_int_equal(more, 100);
    for (int i = 0; i < 10000; i++) {
        redis_retry_budget_deposit(&budget);
    }
    assert_int_equal(budget.balance, RETRY_BALANCE_MAX * 100);
}

static void back_off_doubles_and_ends(void **state) {
    (void)state;
    assert_int_equal(redis_backoff_us(1, 0), 5000);
    assert_int_equal(redis_backoff_us(1, 5000), 10000);
    assert_int_equal(redis_backoff_us(2, 10000), 20000);
    assert_int_equal(redis_backoff_us(5, 0), 80000);
    assert_int_equal(redis_backoff_us(4000000000u, 80000), 160000);
    for (uint64_t chance = 0; chance < 100000; chance += 77) {
        assert_in_range(redis_backoff_us(3, chance), 20000, 40000);
    }
}

static void an_envelope_survives_and_any_flipped_bit_is_seen(void **state) {
    (void)state;
    struct slice key = SLICE_LIT("event:1");
    struct redis_envelope in = {.kind = REDIS_KIND_VALUE, .generation = 0x0102030405060708u,
                                .version = 42, .payload = SLICE_LIT("hello")};
    char bytes[REDIS_ENVELOPE + 5];
    redis_envelope_write(key, &in, bytes);
    memcpy(bytes + REDIS_ENVELOPE, "hello", 5);
    struct redis_envelope out;
    assert_true(redis_envelope_read(key, slice_from(bytes, sizeof bytes), &out));
    assert_int_equal(out.version, 42);
    assert_int_equal(out.generation, in.generation);
    assert_true(slice_eq_text(out.payload, "hello"));
    assert_memory_equal(bytes + REDIS_GENERATION_AT, "\1\2\3\4\5\6\7\10", 8);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_false(redis_envelope_read(key, slice_from(bytes, sizeof bytes), &out));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof bytes; len++) {
        assert_false(redis_envelope_read(key, slice_from(bytes, len), &out));
    }
    assert_false(redis_envelope_read(SLICE_LIT("event:2"), slice_from(bytes, sizeof bytes), &out));
}

static int status_after(const char *sent) {
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_non_null(reader);
    assert_true(redis_reader_bound(reader));
    assert_int_equal(redisReaderFeed(reader, sent, strlen(sent)), REDIS_OK);
    int status = redisReaderGetReply(reader, &reply);
    assert_null(reply); /* not whole, in any case */
    redisReaderFree(reader);
    return status;
}

static void a_reply_cannot_ask_for_memory_that_no_reply_needs(void **state) {
    (void)state;
    assert_int_equal(status_after("*131072\r\n"), REDIS_OK);
    assert_int_equal(status_after("*131073\r\n"), REDIS_ERR);
    assert_int_equal(status_after("*666666666\r\n:1\r\n"), REDIS_ERR);
    assert_int_equal(status_after("*2\r\n*1\r\n:1\r\n*2000000000\r\n"), REDIS_ERR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_cannot_ask_for_memory_that_no_reply_needs),
        cmocka_unit_test(crc16_is_xmodem),
        cmocka_unit_test(a_hash_tag_alone_decides_the_slot),
        cmocka_unit_test(addresses_are_numeric_or_refused),
        cmocka_unit_test(the_slot_map_is_read_with_its_replicas),
        cmocka_unit_test(hosts_by_name_are_left_out_and_counted),
        cmocka_unit_test(foreign_shapes_are_no_map),
        cmocka_unit_test(error_replies_say_what_to_do),
        cmocka_unit_test(the_third_failure_in_a_row_opens),
        cmocka_unit_test(an_open_breaker_probes_once_a_second),
        cmocka_unit_test(retries_are_a_tenth_of_requests_beyond_the_burst),
        cmocka_unit_test(back_off_doubles_and_ends),
        cmocka_unit_test(an_envelope_survives_and_any_flipped_bit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
