/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas, pools, buffers, randomness, log lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/rng.h"

static void an_arena_is_aligned_bounded_and_reused(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    void *first = arena_alloc(&arena, 1);
    assert_non_null(first);
    for (size_t size = 1; size < 200; size += 7) {
        char *at = arena_alloc(&arena, size);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % 16, 0);
        memset(at, 0xff, size);
    }
    assert_null(arena_alloc(&arena, 64 * 1024));
    assert_true(arena.total <= arena.limit);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 1), first); /* the first block was kept */
    char *zeroed = arena_zalloc(&arena, 100);
    assert_non_null(zeroed);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    arena_fini(&arena);
}

static void an_arena_gives_its_last_byte(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_FIRST_BLOCK + 64);
    assert_non_null(arena_alloc(&arena, ARENA_FIRST_BLOCK));
    assert_non_null(arena_alloc(&arena, 64));
    assert_null(arena_alloc(&arena, 1));
    arena_fini(&arena);
}

static int finished;
static void count_fini(void *object) {
    (void)object;
    finished++;
}

static void a_pool_lends_up_to_its_limit_and_the_same_object_again(void **state) {
    (void)state;
    struct pool pool;
    assert_true(pool_init(&pool, 32, 2, count_fini));
    void *a = pool_borrow(&pool), *b = pool_borrow(&pool);
    assert_true(a != NULL && b != NULL);
    assert_null(pool_borrow(&pool));
    pool_give_back(&pool, a);
    assert_ptr_equal(pool_borrow(&pool), a);
    pool_give_back(&pool, a);
    pool_give_back(&pool, b);
    finished = 0;
    pool_fini(&pool);
    assert_int_equal(finished, 2);
}

static void a_pool_follows_another_limit_while_objects_are_out(void **state) {
    (void)state;
    struct pool pool;
    void *out[5];
    assert_true(pool_init(&pool, 32, 2, NULL));
    out[0] = pool_borrow(&pool);
    out[1] = pool_borrow(&pool);
    assert_true(pool_set_limit(&pool, 5));
    for (size_t i = 2; i < 5; i++) {
        out[i] = pool_borrow(&pool);
        assert_non_null(out[i]);
    }
    assert_null(pool_borrow(&pool));
    assert_true(pool_set_limit(&pool, 1));
    for (size_t i = 0; i < 5; i++) {
        assert_null(pool_borrow(&pool)); /* too many are out already */
        pool_give_back(&pool, out[i]);
    }
    void *one = pool_borrow(&pool);
    assert_non_null(one);
    assert_null(pool_borrow(&pool));
    pool_give_back(&pool, one);
    pool_fini(&pool);
}

static void a_buffer_grows_to_its_limit_and_then_says_so(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++) {
        buf_add_text(&buf, "0123456789");
    }
    assert_false(buf.failed);
    assert_int_equal(buf.len, 1000);
    buf_add_char(&buf, 'x');
    assert_true(buf.failed);
    assert_int_equal(buf.len, 1000);
    buf_clear(&buf);
    buf_add_int(&buf, INT64_MIN);
    buf_printf(&buf, " %d", 42);
    assert_true(slice_eq_text(buf_slice(&buf), "-9223372036854775808 42"));
    buf_fini(&buf);
}

static void a_seeded_source_repeats_itself_and_stays_below(void **state) {
    (void)state;
    struct seeded_rng a, b;
    seeded_rng_init(&a, 7);
    seeded_rng_init(&b, 7);
    int counts[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint64_t value = rng_below(&a.base, 10);
        assert_int_equal(value, rng_below(&b.base, 10));
        assert_true(value < 10);
        counts[value]++;
        double unit = rng_unit(&a.base);
        assert_true(unit >= 0 && unit < 1);
        rng_u64(&b.base);
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 800, 1200);
    }
}

static char lines[64][1024];
static int lines_len;
static void keep_line(const char *line, size_t len, void *data) {
    (void)data;
    assert_true(len < sizeof lines[0] && line[len - 1] == '\n');
    memcpy(lines[lines_len], line, len);
    lines[lines_len++][len] = '\0';
}

static void log_lines_cannot_be_forged_and_repeats_fold(void **state) {
    (void)state;
    log_set_sink(keep_line, NULL);
    log_event(LOG_INFO, "one", "name=%s", "a\nlevel=error event=forged");
    assert_int_equal(lines_len, 1);
    assert_non_null(strstr(lines[0], "level=info event=one name=a?level=error"));
    lines_len = 0;
    for (int i = 0; i < 50; i++) {
        log_event(LOG_WARN, "again", "n=%d", i);
    }
    assert_true(lines_len >= 10 && lines_len <= 20); /* two seconds at most */
    log_event(LOG_DEBUG, "quiet", "%s", "");
    assert_null(strstr(lines[lines_len - 1], "quiet"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_is_aligned_bounded_and_reused),
        cmocka_unit_test(an_arena_gives_its_last_byte),
        cmocka_unit_test(a_pool_lends_up_to_its_limit_and_the_same_object_again),
        cmocka_unit_test(a_pool_follows_another_limit_while_objects_are_out),
        cmocka_unit_test(a_buffer_grows_to_its_limit_and_then_says_so),
        cmocka_unit_test(a_seeded_source_repeats_itself_and_stays_below),
        cmocka_unit_test(log_lines_cannot_be_forged_and_repeats_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
