/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations, counted and failed. */
#include "memory.h"

#include "base/assert.h"
#include "base/rng.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker's names. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);

static _Atomic uint64_t made;
static _Atomic uint64_t fails_at; /* 0: none does */
static _Atomic bool goes_on_failing;
static _Atomic bool has_failed;
static _Atomic bool is_over; /* a node's orders come by a thread of their own */
static uint64_t stride;
static struct seeded_rng dice;
static sqlite3_mem_methods sqlite_own;

static bool must_fail(void) {
    uint64_t nth = atomic_load_explicit(&fails_at, memory_order_relaxed);
    if (nth == 0) {
        return false;
    }
    uint64_t number = atomic_fetch_add(&made, 1) + 1;
    bool fails = number == nth || (number > nth && atomic_load(&goes_on_failing));
    if (fails) {
        atomic_store(&has_failed, true);
    }
    return fails;
}

void *__wrap_malloc(size_t size) {
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return must_fail() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text) {
    return must_fail() ? NULL : __real_strdup(text);
}

static void *sqlite_malloc(int size) {
    return must_fail() ? NULL : sqlite_own.xMalloc(size);
}

static void *sqlite_realloc(void *block, int size) {
    return must_fail() ? NULL : sqlite_own.xRealloc(block, size);
}

void memory_install(void) {
    ASSERT(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_own) == SQLITE_OK);
    sqlite3_mem_methods methods = sqlite_own;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    ASSERT(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}

void memory_fail(uint64_t nth, enum memory_fault_e fault) {
    atomic_store(&made, 0);
    atomic_store(&has_failed, false);
    atomic_store(&goes_on_failing, fault == MEMORY_FROM_THEN_ON);
    atomic_store(&fails_at, nth);
}

bool memory_end(void) {
    atomic_store(&fails_at, 0);
    bool failed = atomic_load(&has_failed);
    atomic_store(&is_over, !failed);
    return failed;
}

uint64_t memory_made(void) {
    return atomic_load(&made);
}

bool memory_more(void) {
    return !is_over;
}

static uint64_t env_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

void memory_begin_story(uint64_t every) {
    uint64_t seed = env_number("TURNOUT_SEED", rng_u64(rng_system()) % 1000000);
    stride = env_number("TURNOUT_EVERY", every);
    ASSERT(stride >= 1);
    if (stride > 1) {
        printf("TURNOUT_SEED=%llu\n", (unsigned long long)seed);
    }
    seeded_rng_init(&dice, seed);
    is_over = false;
}

uint64_t memory_next(uint64_t n) {
    return n + 1 + rng_below(&dice.base, 2 * stride - 1);
}
