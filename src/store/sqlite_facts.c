/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writer remembers between transactions: events with their gates and counts, so that a
 * scan costs no look-up for them, and roll-ups that a transaction gathers and writes once at its
 * end: a thousand scans at forty gates become forty updates, not a thousand.
 *
 * Invariants:
 *   1. Between transactions memory and file agree; after a rollback all is forgotten.
 *   2. A change by another process (import, key) shows as another data_version: all is forgotten.
 *   3. Within a transaction the file lacks exactly what is marked dirty and the minutes gathered.
 */
#include "store/sqlite_priv.h"

enum { EVENT_MEMORY = 64 << 20 }; /* the most one event's gates may take */

static void free_event(struct event_facts *event) {
    arena_fini(&event->arena);
    free(event);
}

void facts_drop(struct facts_cache *facts) {
    for (int i = 0; i < FACTS_BUCKETS && facts->events_len > 0; i++) {
        while (facts->events[i] != NULL) {
            struct event_facts *event = facts->events[i];
            facts->events[i] = event->next;
            facts->events_len--;
            free_event(event);
        }
    }
    while (facts->minutes_used > 0) {
        *facts->minutes_taken[--facts->minutes_used] = (struct minute_delta){.gate_id = 0};
    }
}

static size_t id_bucket(const struct event_facts *event, int64_t id) {
    return (((uint64_t)id * 0x9e3779b97f4a7c15ULL) >> 32) & (event->buckets - 1);
}

static size_t code_bucket(const struct event_facts *event, struct slice code) {
    return slice_hash(code) & (event->buckets - 1);
}

struct gate_facts *facts_gate(struct event_facts *event, struct slice code) {
    struct gate_facts *gate = event->by_code[code_bucket(event, code)];
    while (gate != NULL && !slice_eq(gate->gate.code, code)) {
        gate = gate->next_by_code;
    }
    return gate;
}

struct gate_facts *facts_gate_by_id(struct event_facts *event, int64_t id) {
    struct gate_facts *gate = event->by_id[id_bucket(event, id)];
    while (gate != NULL && gate->gate.id != id) {
        gate = gate->next_by_id;
    }
    return gate;
}

/* Reads every gate into a list that grows in the arena (doubling, the old ones are left behind). */
static enum err_e load_gates(struct sqlite_conn *conn, struct event_facts *event) {
    size_t size = 0;
    bool row;
    struct sql_run run = sql_begin(conn, SQL_GATES_OF_EVENT);
    sql_int(&run, event->event.id);
    for (;;) {
        TRY(sql_step(&run, &row));
        if (!row) {
            return ERR_OK;
        }
        if (event->gates_len == size) {
            size_t grown_size = size == 0 ? 16 : 2 * size;
            struct gate_facts *grown = arena_zalloc(&event->arena, grown_size * sizeof *grown);
            if (grown == NULL) {
                sql_end(&run);
                return ERR_NO_MEMORY;
            }
            if (size > 0) {
                memcpy(grown, event->gates, event->gates_len * sizeof *grown);
            }
            event->gates = grown;
            size = grown_size;
        }
        struct gate_facts *gate = &event->gates[event->gates_len++];
        if (!row_gate(&run, &event->arena, &gate->gate)) {
            sql_end(&run);
            return ERR_NO_MEMORY;
        }
        gate->admitted = sql_get_int(&run);
        gate->exited = sql_get_int(&run);
        gate->refused = sql_get_int(&run);
    }
}

static bool index_gates(struct event_facts *event) {
    event->buckets = 16;
    while (event->buckets < 2 * event->gates_len) {
        event->buckets *= 2;
    }
    event->by_code = arena_zalloc(&event->arena, event->buckets * sizeof *event->by_code);
    event->by_id = arena_zalloc(&event->arena, event->buckets * sizeof *event->by_id);
    if (event->by_code == NULL || event->by_id == NULL) {
        return false;
    }
    for (size_t i = 0; i < event->gates_len; i++) {
        struct gate_facts *gate = &event->gates[i];
        struct gate_facts **code = &event->by_code[code_bucket(event, gate->gate.code)];
        struct gate_facts **id = &event->by_id[id_bucket(event, gate->gate.id)];
        gate->next_by_code = *code;
        gate->next_by_id = *id;
        *code = gate;
        *id = gate;
    }
    return true;
}

static enum err_e load_stats(struct sqlite_conn *conn, struct event_facts *event) {
    bool row;
    struct sql_run run = sql_begin(conn, SQL_EVENT_STATS);
    sql_int(&run, event->event.id);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_OK;
    }
    struct event_stats *stats = &event->stats;
    stats->participants = sql_get_int(&run);
    stats->admitted = sql_get_int(&run);
    stats->inside = sql_get_int(&run);
    stats->scans = sql_get_int(&run);
    stats->refused = sql_get_int(&run);
    for (int i = 0; i < METHOD_COUNT; i++) {
        stats->methods[i] = sql_get_int(&run);
    }
    sql_end(&run);
    return ERR_OK;
}

static enum err_e load_event(struct sqlite_conn *conn, struct slice code,
                             struct event_facts *event) {
    bool row;
    struct sql_run run = sql_begin(conn, SQL_EVENT_BY_CODE);
    sql_text(&run, code);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_EVENT;
    }
    bool copied = row_event(&run, &event->arena, &event->event);
    sql_end(&run);
    if (!copied) {
        return ERR_NO_MEMORY;
    }
    TRY(load_gates(conn, event));
    TRY(load_stats(conn, event));
    return index_gates(event) ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e facts_event(struct sqlite_conn *conn, struct facts_cache *facts,
                                 struct slice code, struct event_facts **ret_event) {
    struct event_facts **bucket = &facts->events[slice_hash(code) % FACTS_BUCKETS];
    for (struct event_facts *event = *bucket; event != NULL; event = event->next) {
        if (slice_eq(event->event.code, code)) {
            *ret_event = event;
            return ERR_OK;
        }
    }
    struct event_facts *event = calloc(1, sizeof *event);
    if (event == NULL) {
        return ERR_NO_MEMORY;
    }
    arena_init(&event->arena, EVENT_MEMORY);
    enum err_e err = load_event(conn, code, event);
    if (err != ERR_OK) {
        free_event(event);
        return err;
    }
    event->next = *bucket;
    *bucket = event;
    facts->events_len++;
    *ret_event = event;
    return ERR_OK;
}

static struct minute_delta *minute_place(struct facts_cache *facts,
                                         const struct minute_delta *delta) {
    uint64_t hash = (uint64_t)delta->gate_id * 0x9e3779b97f4a7c15ULL +
                    (uint64_t)delta->minute * 0xbf58476d1ce4e5b9ULL;
    for (size_t at = hash >> 32;; at++) {
        struct minute_delta *place = &facts->minutes[at % MINUTES_SIZE];
        /* gate ids are unique over all events, so event_id needs no comparison */
        if (place->gate_id == 0 ||
            (place->gate_id == delta->gate_id && place->minute == delta->minute)) {
            return place;
        }
    }
}

static enum err_e flush_minutes(struct sqlite_conn *conn, struct facts_cache *facts) {
    while (facts->minutes_used > 0) {
        struct minute_delta *delta = facts->minutes_taken[facts->minutes_used - 1];
        struct sql_run run = sql_begin(conn, SQL_GATE_MINUTE_ADD);
        sql_int(&run, delta->event_id);
        sql_int(&run, delta->minute);
        sql_int(&run, delta->gate_id);
        sql_int(&run, delta->admitted);
        sql_int(&run, delta->exited);
        sql_int(&run, delta->refused);
        TRY(sql_finish(&run));
        *delta = (struct minute_delta){.gate_id = 0};
        facts->minutes_used--;
    }
    return ERR_OK;
}

MAY_BLOCK enum err_e facts_add_minute(struct sqlite_conn *conn, struct facts_cache *facts,
                                      const struct minute_delta *delta) {
    if (2 * facts->minutes_used >= MINUTES_SIZE) {
        TRY(flush_minutes(conn, facts));
    }
    struct minute_delta *place = minute_place(facts, delta);
    if (place->gate_id == 0) {
        *place = *delta;
        facts->minutes_taken[facts->minutes_used++] = place;
        return ERR_OK;
    }
    place->admitted += delta->admitted;
    place->exited += delta->exited;
    place->refused += delta->refused;
    return ERR_OK;
}

static enum err_e flush_gates(struct sqlite_conn *conn, struct event_facts *event) {
    for (size_t i = 0; i < event->gates_len; i++) {
        struct gate_facts *gate = &event->gates[i];
        if (!gate->dirty) {
            continue;
        }
        struct sql_run run = sql_begin(conn, SQL_GATE_STATS_PUT);
        sql_int(&run, gate->gate.id);
        sql_int(&run, gate->admitted);
        sql_int(&run, gate->exited);
        sql_int(&run, gate->refused);
        TRY(sql_finish(&run));
        gate->dirty = false;
    }
    return ERR_OK;
}

static enum err_e flush_event(struct sqlite_conn *conn, struct event_facts *event) {
    TRY(flush_gates(conn, event));
    const struct event_stats *stats = &event->stats;
    struct sql_run run = sql_begin(conn, SQL_EVENT_STATS_PUT);
    sql_int(&run, event->event.id);
    sql_int(&run, stats->participants);
    sql_int(&run, stats->admitted);
    sql_int(&run, stats->inside);
    sql_int(&run, stats->scans);
    sql_int(&run, stats->refused);
    for (int i = 0; i < METHOD_COUNT; i++) {
        sql_int(&run, stats->methods[i]);
    }
    TRY(sql_finish(&run));
    event->dirty = false;
    return ERR_OK;
}

MAY_BLOCK enum err_e facts_flush(struct sqlite_conn *conn, struct facts_cache *facts) {
    size_t left = facts->events_len;
    for (int i = 0; i < FACTS_BUCKETS && left > 0; i++) {
        for (struct event_facts *event = facts->events[i]; event != NULL; event = event->next) {
            left--;
            if (event->dirty) {
                TRY(flush_event(conn, event));
            }
        }
    }
    return flush_minutes(conn, facts);
}
