/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What contract tests drive a store with: a fresh store on a virtual clock, and one-line operations
 * that wait for their answer. Texts of answers live until rig_end. TURNOUT_CONTRACT_STORE names the
 * store: sqlite (also when it is not set) or postgres (see with-postgres). With
 * TURNOUT_CONTRACT_CACHED=1 the caching store stands in front of it, with TURNOUT_CONTRACT_LOOP
 * operations are submitted on a loop, by its own way to PostgreSQL (rig_loop.h).
 */
#ifndef TURNOUT_TESTS_CONTRACT_RIG_H
#define TURNOUT_TESTS_CONTRACT_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "store/store.h"

#define RIG_START_MS 1790000000000LL /* 2026-09-21T14:13:20Z */

struct rig {
    struct store *store;
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct arena arena;
    char folder[64];
    char path[256]; /* of the file; PostgreSQL: the libpq string */
    size_t group_max;
};

/* True when the suite runs through the caching store (rig_cached.h). */
bool rig_is_cached(void);

/* Another node on the rig's file or database, with these clocks. */
enum err_e rig_open(const struct rig *rig, struct clock *clock, struct rng *rng,
                    struct store **ret_store, struct problem *ret_problem);

/* An empty store in a folder or database of its own. `rig` is cleared, but for group_max (0:
 * 256). */
void rig_begin(struct rig *rig);
void rig_reopen(struct rig *rig);
void rig_resume(struct rig *rig); /* begins at `path` with what another process left there */
void rig_end(struct rig *rig); /* closes and removes it */

/* cmocka fixtures: *state is a struct rig with event "e" (after_exit, no limit) and gates g1, g2 */
int rig_setup(void **state);
int rig_teardown(void **state);

void rig_event(struct rig *rig, const char *code, enum reentry_e reentry, int64_t capacity);
void rig_set_event(struct rig *rig, const char *code, enum reentry_e reentry, int64_t capacity);
void rig_gate(struct rig *rig, const char *event, const char *code);
void rig_set_gate(struct rig *rig, const char *event, const char *code,
                  enum gate_status_e status);
/* An active participant with this token, valid always and everywhere. Returns the id. */
int64_t rig_person(struct rig *rig, const char *event, const char *token, const char *name,
                   const char *email);
enum err_e rig_patch(struct rig *rig, const char *event, int64_t id, unsigned fields,
                     const struct participant *values);
enum err_e rig_erase(struct rig *rig, const char *event, int64_t id);
enum err_e rig_load(struct rig *rig, const char *event, int64_t id,
                    struct participant *ret_person);

#define ENTRY(t, g)                                                                                \
    ((struct scan){.token = SLICE_LIT(t), .gate = SLICE_LIT(g), .scanned_at_ms = TIME_NONE})
#define EXIT_SCAN(t, g)                                                                            \
    ((struct scan){.token = SLICE_LIT(t), .gate = SLICE_LIT(g), .scanned_at_ms = TIME_NONE,        \
                   .direction = DIRECTION_EXIT})
/* One scan in its own operation. The operation must succeed; result.err may say otherwise. */
struct scan_result rig_scan(struct rig *rig, const char *event, struct scan scan);
enum err_e rig_annul(struct rig *rig, const char *event, int64_t record_id,
                     struct attendance_record *ret_record);
struct event_stats rig_stats(struct rig *rig, const char *event);
/* All records that pass the filter, newest first, read page by page. */
struct attendance_record *rig_history(struct rig *rig, const char *event,
                                      const struct attendance_filter *filter, size_t page,
                                      size_t *ret_len);
#define NO_FILTER                                                                                  \
    ((struct attendance_filter){.method = -1, .verdict = -1, .since_ms = TIME_NONE,                \
                                .until_ms = TIME_NONE, .recorded_since_ms = TIME_NONE})
/* The change mark. */
uint64_t rig_read_mark(struct store *store);
void rig_turn_mark(struct store *store, uint64_t bits);
/* Ids that a search finds, joined by spaces; "!code" for an error. */
const char *rig_search(struct rig *rig, const char *event, const char *query);

#endif
