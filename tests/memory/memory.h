/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out on demand: the n-th allocation from here on fails, whoever makes it.
 *
 * The linker leads every call of malloc, calloc, realloc and strdup in the program's own code here
 * (meson.build: --wrap), and SQLite is told to take its memory here too. libuv and libh2o end the
 * process when they have none, so their own allocations are left alone, and so are those of others.
 *
 *     memory_begin_story(10);
 *     for (uint64_t n = 1; memory_more(); n = memory_next(n)) {
 *         memory_fail(n, MEMORY_ONCE);
 *         … what must fail cleanly, or come to its end …
 *         memory_end();
 *         … what must hold, with memory again …
 *     }
 *
 * Thread: fail and end from one; allocations from any.
 */
#ifndef TURNOUT_TESTS_MEMORY_MEMORY_H
#define TURNOUT_TESTS_MEMORY_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

enum memory_fault_e {
    MEMORY_ONCE,
    MEMORY_FROM_THEN_ON,
};

/* Before anything else: SQLite takes its memory from here. */
void memory_install(void);
void memory_fail(uint64_t nth, enum memory_fault_e fault);
/* True when an allocation failed since memory_fail. */
bool memory_end(void);
/* How many allocations there were, up to memory_end. */
uint64_t memory_made(void);
/* False after a round in which nothing failed: there are not so many allocations. */
bool memory_more(void);
/* In a long story about one allocation in `every` is made to fail, others each time (the seed is
 * printed, TURNOUT_SEED repeats it); with TURNOUT_EVERY=1 in the environment each one is. */
void memory_begin_story(uint64_t every);
uint64_t memory_next(uint64_t n);

#endif
