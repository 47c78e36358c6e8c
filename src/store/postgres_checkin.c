/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of scans: fetched under the lock of its events, decided here by the rules that every
 * store shares, one after another, counted, and written, each table once.
 *
 *   BEGIN, lock events, events, gates, people with ledger, nonces, ids   one round trip
 *   rule_scan for each, on what the ones before it have changed
 *   records, nonces, ledger, gates, minutes, seconds, event, COMMIT      one round trip
 *
 * Invariants (tests/contract holds them against a model that counts records):
 *   1. Whoever writes a record of an event, or a ledger row of its people, holds the lock of its
 *      event_stats row until the commit: capacity and alternation are decided on what is true.
 *   2. Numbers of records are taken under that lock, so within an event they grow in the order of
 *      decision.
 *   3. A nonce has one row in its event, written with its record.
 */
#include "store/postgres_group_priv.h"

#include <time.h>

/* One scan under decision. */
struct decision {
    struct pg_group *group;
    const struct pg_scan *item;
    struct pg_group_event *event;
    struct pg_group_gate *gate;
    struct pg_group_person *person;
    struct pg_group_nonce *nonce; /* NULL: none */
    struct scan scan;             /* with its time */
    int64_t record_id;
    struct ruling ruling;
    bool has_first; /* an admission was in the way */
    int64_t first_at_ms;
    int64_t first_gate;
};

/* ── replay ── */

static enum err_e conflict(const struct decision *d, const char *with) {
    struct scan_result *result = d->item->result;
    result->err = problem_set(&result->problem, ERR_NONCE_CONFLICT, "nonce",
                              "it came with another %s", with);
    return ERR_OK;
}

static bool copy_into(struct arena *arena, struct slice *text) {
    if (text->at != NULL) {
        *text = arena_copy(arena, *text);
        return text->at != NULL;
    }
    return true;
}

/* The nonce's record is one of this group: its operation's texts are copied, they do not live as
 * long as this one's. */
static enum err_e replay_made(const struct decision *d) {
    const struct pg_scan *made = d->nonce->made;
    struct scan_result *result = d->item->result;
    if (!slice_eq(made->scan->token, d->scan.token)) {
        return conflict(d, "token");
    }
    if (!slice_eq(made->scan->gate, d->scan.gate)) {
        return conflict(d, "gate");
    }
    if (made->scan->direction != d->scan.direction) {
        return conflict(d, "direction");
    }
    *result = *made->result;
    result->replayed = true;
    result->inside = d->event->inside;
    struct arena *arena = &d->item->op->arena;
    return copy_into(arena, &result->participant.name) &&
                   copy_into(arena, &result->participant.attention) &&
                   copy_into(arena, &result->first_gate)
               ? ERR_OK
               : ERR_NO_MEMORY;
}

static void fill_from_record(struct scan_result *result, const struct attendance_record *record) {
    result->record_id = record->record_id;
    result->verdict = record->verdict;
    result->reason = record->reason;
    result->overrode = record->overrode;
    result->forced = record->forced;
    result->annulled = record->annulled_at_ms != TIME_NONE;
    result->scanned_at_ms = record->scanned_at_ms;
    result->decided_at_ms = record->recorded_at_ms;
    result->participant.id = record->participant_id;
}

/* The columns behind the record's: what was in the way then, and the person as stored now. */
static bool read_rest(struct pg_rows *rows, struct arena *arena, struct scan_result *result) {
    result->first_at_ms = pg_get_time(rows);
    result->has_first = result->first_at_ms != TIME_NONE;
    if (!pg_get_copy(rows, arena, &result->first_gate) ||
        !pg_get_copy(rows, arena, &result->participant.name)) {
        return false;
    }
    bool known = participant_status_parse(pg_get_text(rows), &result->participant.status);
    if (!pg_get_copy(rows, arena, &result->participant.attention)) {
        return false;
    }
    bool erased = pg_get_time(rows) != TIME_NONE;
    result->has_participant = result->participant.id != 0 && known && !erased;
    return true;
}

static enum err_e replay_stored(const struct decision *d) {
    struct pg_rows rows = d->group->nonce_rows;
    struct scan_result *result = d->item->result;
    struct arena *arena = &d->item->op->arena;
    struct attendance_record record;
    unsigned char hash[TOKEN_HASH_SIZE];
    rows.row = d->nonce->row;
    rows.column = 1; /* behind the number */
    if (!pg_row_record(&rows, arena, &record) ||
        !token_hash(d->group->w->token_mac, d->scan.token, hash)) {
        return ERR_NO_MEMORY;
    }
    if (!slice_eq(pg_get_text(&rows), slice_from((const char *)hash, sizeof hash))) {
        return conflict(d, "token");
    }
    if (!slice_eq(record.gate, d->scan.gate)) {
        return conflict(d, "gate");
    }
    if (record.direction != d->scan.direction) {
        return conflict(d, "direction");
    }
    fill_from_record(result, &record);
    result->replayed = true;
    result->inside = d->event->inside;
    return read_rest(&rows, arena, result) ? ERR_OK : ERR_NO_MEMORY;
}

/* ── what a decided scan leaves behind ── */

static const char *reason_or_null(enum reason_e reason) {
    return reason == REASON_NONE ? NULL : reason_text(reason);
}

/* What the records need partitions of, in case one is missing: the weeks of a month, since no two
 * partitions of any period begin within one. */
static void note_time(struct pg_writer *w, int64_t at_ms) {
    time_t seconds = (time_t)(at_ms / 1000 - (at_ms % 1000 < 0));
    struct tm tm;
    int span = -1; /* what is older shares one partition */
    if (gmtime_r(&seconds, &tm) != NULL && tm.tm_year + 1900 >= PG_FIRST_YEAR) {
        int monday = tm.tm_yday - (tm.tm_wday + 6) % 7;
        span = (tm.tm_year * 12 + tm.tm_mon) * 512 + monday + 7;
    }
    for (size_t i = 0; i < w->times_len; i++) {
        if (w->spans[i] == span) {
            return;
        }
    }
    if (w->times_len < PG_SPANS_MAX) {
        w->spans[w->times_len] = span;
        w->times[w->times_len++] = at_ms;
    }
}

static bool push_record(const struct decision *d) {
    struct pg_writer *w = d->group->w;
    struct pg_array *row = &w->records;
    unsigned char hash[TOKEN_HASH_SIZE];
    struct slice kept = SLICE_NONE;
    bool has_nonce = d->nonce != NULL;
    if (has_nonce || !d->person->known) {
        if (!token_hash(w->token_mac, d->scan.token, hash)) {
            return false;
        }
        kept = slice_from((const char *)hash, sizeof hash);
    }
    pg_begin_row(row, PG_RECORD_COLUMNS_COUNT);
    pg_push_int(row, d->record_id);
    pg_push_int(row, d->event->event.id);
    pg_push_int_or_null(row, d->person->known ? d->person->person.id : 0, 0);
    pg_push_int(row, d->gate->gate.id);
    pg_push_word(row, method_text(d->scan.method));
    pg_push_word(row, direction_text(d->scan.direction));
    pg_push_word(row, verdict_text(d->ruling.verdict));
    pg_push_word(row, reason_or_null(d->ruling.reason));
    pg_push_word(row, reason_or_null(d->ruling.overrode));
    pg_push_time(row, d->scan.scanned_at_ms);
    pg_push_time(row, w->now_ms);
    pg_push_text_or_null(row, has_nonce ? d->scan.nonce : SLICE_NONE);
    pg_push_bytes_or_null(row, kept);
    pg_push_time(row, d->has_first ? d->first_at_ms : TIME_NONE);
    pg_push_int_or_null(row, d->has_first ? d->first_gate : 0, 0);
    pg_push_time(row, TIME_NONE); /* annulled_at */
    pg_end_row(row);
    note_time(w, d->scan.scanned_at_ms);
    return true;
}

static void push_nonce(const struct decision *d) {
    struct pg_array *row = &d->group->w->nonces;
    pg_begin_row(row, PG_NONCE_COLUMNS_COUNT);
    pg_push_int(row, d->event->event.id);
    pg_push_text(row, d->scan.nonce);
    pg_push_int(row, d->record_id);
    pg_push_time(row, d->scan.scanned_at_ms);
    pg_end_row(row);
}

static int64_t minute_of(int64_t ms) {
    return ms / 60000 - (ms % 60000 < 0);
}

static void count_verdict(struct pg_gate_counts *counts, enum verdict_e verdict) {
    counts->admitted += verdict == VERDICT_ADMITTED;
    counts->exited += verdict == VERDICT_EXITED;
    counts->refused += verdict == VERDICT_REFUSED;
}

static void count_scan(const struct decision *d) {
    size_t gate = (size_t)(d->gate - d->group->gates);
    int64_t minute = minute_of(d->scan.scanned_at_ms);
    count_verdict(&d->gate->counts, d->ruling.verdict);
    count_verdict(pg_group_minute(d->group, gate, minute), d->ruling.verdict);
    struct pg_group_event *event = d->event;
    int change = (int)d->ruling.comes_in - (int)d->ruling.goes_out;
    event->counted = true;
    event->scans++;
    event->methods[d->scan.method]++;
    event->refused += d->ruling.verdict == VERDICT_REFUSED;
    event->inside += change;
    event->inside_more += change;
}

static bool apply(const struct decision *d) {
    if (!push_record(d)) {
        return false;
    }
    if (d->ruling.verdict != VERDICT_REFUSED) {
        struct standing *standing = &d->person->standing;
        bool first_admission = standing->admissions == 0;
        standing_add(standing, &d->ruling, d->scan.scanned_at_ms, d->record_id,
                     d->gate->gate.id);
        d->event->admitted += first_admission && standing->admissions > 0;
        d->person->changed = true;
    }
    count_scan(d);
    if (d->nonce != NULL) {
        push_nonce(d);
        d->nonce->state = PG_NONCE_MADE;
        d->nonce->made = d->item;
    }
    return true;
}

/* A standing names gates of the ledger as it was, which the fetch made known, or of this group. */
static struct slice code_of(const struct decision *d, int64_t gate) {
    struct slice known = pg_known_gate_code(d->group->w, gate);
    if (known.at != NULL) {
        return known;
    }
    for (size_t i = 0; i < d->group->gate_names.len; i++) {
        if (d->group->gates[i].known && d->group->gates[i].gate.id == gate) {
            return d->group->gates[i].gate.code;
        }
    }
    return SLICE_NONE;
}

static enum err_e fill_verdict(const struct decision *d) {
    struct scan_result *result = d->item->result;
    struct arena *arena = &d->item->op->arena;
    result->record_id = d->record_id;
    result->verdict = d->ruling.verdict;
    result->reason = d->ruling.reason;
    result->overrode = d->ruling.overrode;
    result->forced = d->ruling.forced;
    result->has_participant = d->person->known;
    result->inside = d->event->inside;
    result->scanned_at_ms = d->scan.scanned_at_ms;
    result->decided_at_ms = d->group->w->now_ms;
    const struct participant *person = &d->person->person;
    result->participant = (struct participant){.id = person->id,
                                               .name = person->name,
                                               .status = person->status,
                                               .attention = person->attention};
    result->first_gate = d->has_first ? code_of(d, d->first_gate) : SLICE_NONE;
    result->has_first = result->first_gate.at != NULL;
    result->first_at_ms = d->first_at_ms;
    return copy_into(arena, &result->participant.name) &&
                   copy_into(arena, &result->participant.attention) &&
                   copy_into(arena, &result->first_gate)
               ? ERR_OK
               : ERR_NO_MEMORY;
}

/* ── decision ── */

static enum err_e decide(struct decision *d) {
    const struct facts facts = {
        .event = &d->event->event,
        .gate = &d->gate->gate,
        .participant = d->person->known ? &d->person->person : NULL,
        .standing = &d->person->standing,
        .inside = d->event->inside,
    };
    bool numbered = pg_next(&d->group->ids);
    ASSERT(numbered); /* one for every scan */
    d->record_id = pg_get_int(&d->group->ids);
    d->ruling = rule_scan(&facts, &d->scan);
    if (d->ruling.reason == REASON_ALREADY_USED) {
        d->has_first = standing_in_the_way(&d->person->standing, d->event->event.reentry,
                                           &d->first_at_ms, &d->first_gate);
    }
    return apply(d) ? fill_verdict(d) : ERR_NO_MEMORY;
}

/* An error here is memory's and ends the transaction; what is wrong with the scan itself goes into
 * its result. */
static enum err_e check_in_one(struct pg_group *group, size_t number) {
    const struct pg_group_scan *about = &group->about[number];
    struct decision d = {
        .group = group,
        .item = &group->scans->items[number],
        .event = &group->events[about->event],
        .gate = &group->gates[about->gate],
        .person = &group->people[about->person],
        .nonce = about->nonce == SIZE_MAX ? NULL : &group->nonces[about->nonce],
    };
    *d.item->result = (struct scan_result){.err = ERR_OK};
    if (!d.event->known) {
        d.item->op->err = ERR_UNKNOWN_EVENT;
        return ERR_OK;
    }
    if (!d.gate->known) {
        d.item->result->err = problem_set(&d.item->result->problem, ERR_UNKNOWN_GATE, "gate",
                                          "the event has no gate with this code");
        return ERR_OK;
    }
    d.scan = *d.item->scan;
    if (d.scan.scanned_at_ms == TIME_NONE) {
        d.scan.scanned_at_ms = group->w->now_ms;
    }
    if (d.nonce != NULL && d.nonce->state == PG_NONCE_STORED) {
        return replay_stored(&d);
    }
    return d.nonce != NULL && d.nonce->state == PG_NONCE_MADE ? replay_made(&d) : decide(&d);
}

/* ── writing ── */

static bool add_arrays(struct pg_args *args, struct pg_array *arrays, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!pg_arg_array(args, &arrays[i])) {
            return false;
        }
    }
    return true;
}

static bool put_arrays(struct pg_conn *conn, enum pg_sql_e sql, struct pg_array *arrays,
                       size_t len) {
    struct pg_args args;
    pg_args_init(&args);
    if (arrays[0].count == 0) {
        return true;
    }
    if (!add_arrays(&args, arrays, len)) {
        return false;
    }
    pg_put(conn, sql, &args);
    return true;
}

static void push_counts(struct pg_array arrays[4], int64_t gate,
                        const struct pg_gate_counts *counts) {
    pg_push_int(&arrays[0], gate);
    pg_push_int(&arrays[1], counts->admitted);
    pg_push_int(&arrays[2], counts->exited);
    pg_push_int(&arrays[3], counts->refused);
}

/* Gates that counted something, and their minutes. */
static bool put_gates(const struct pg_group *group) {
    struct pg_writer *w = group->w;
    struct pg_args args;
    for (size_t i = 0; i < group->gate_names.len; i++) {
        const struct pg_gate_counts *counts = &group->gates[i].counts;
        if (counts->admitted + counts->exited + counts->refused > 0) {
            push_counts(w->gates, group->gates[i].gate.id, counts);
        }
    }
    for (size_t i = 0; i < group->minutes.len; i++) {
        const struct pg_group_minute *minute = &group->minutes.items[i];
        const struct pg_name *gate = &group->gate_names.items[minute->gate];
        pg_push_int(&w->minutes[0], group->events[gate->event].event.id);
        pg_push_int(&w->minutes[1], minute->minute);
        push_counts(w->minutes + 2, group->gates[minute->gate].gate.id, &minute->counts);
    }
    if (w->gates[0].count == 0) {
        return true;
    }
    pg_args_init(&args);
    bool whole = add_arrays(&args, w->gates, PG_GATE_ARRAYS);
    pg_arg_int(&args, w->now_ms / 1000);
    if (!whole || !add_arrays(&args, w->minutes, PG_MINUTE_ARRAYS)) {
        return false;
    }
    pg_put(&w->conn, PG_SQL_GATES_ADD, &args);
    return true;
}

bool pg_put_standing(struct pg_writer *w) {
#ifdef PLANT_SKIP_LEDGER
    (void)w;
    return true;
#else
    return put_arrays(&w->conn, PG_SQL_LEDGER_ADD, &w->newcomers, 1) &&
           put_arrays(&w->conn, PG_SQL_LEDGER_CHANGE, &w->ledger, 1);
#endif
}

void pg_push_standing(struct pg_array *ledger, int64_t participant,
                      const struct standing *standing) {
    bool admitted = standing->admissions > 0;
    pg_begin_row(ledger, PG_LEDGER_COLUMNS_COUNT);
    pg_push_int(ledger, participant);
    pg_push_int(ledger, standing->admissions);
    pg_push_bool(ledger, standing->inside);
    pg_push_time(ledger, standing->last_at_ms);
    pg_push_int(ledger, standing->last_id);
    pg_push_int(ledger, standing->last_gate);
    pg_push_time(ledger, admitted ? standing->first_at_ms : TIME_NONE);
    pg_push_int_or_null(ledger, admitted ? standing->first_gate : 0, 0);
    pg_end_row(ledger);
}

static void push_event(struct pg_writer *w, const struct pg_group_event *event) {
    struct pg_array *column = w->events;
    pg_push_int(column++, event->event.id);
    pg_push_int(column++, event->admitted);
    pg_push_int(column++, event->inside_more);
    pg_push_int(column++, event->scans);
    pg_push_int(column++, event->refused);
    for (int i = 0; i < METHOD_COUNT; i++) {
        pg_push_int(column++, event->methods[i]);
    }
    ASSERT(column == w->events + PG_EVENT_ARRAYS);
}

/* Nonces whose record is gone and whose scan was decided anew: the old row makes room. */
static bool drop_orphans(const struct pg_group *group, const bool *orphans) {
    struct pg_array arrays[2];
    pg_array_init(&arrays[0], PG_BIGINT);
    pg_array_init(&arrays[1], PG_TEXT);
    for (size_t i = 0; i < group->nonce_names.len; i++) {
        if (orphans[i]) {
            const struct pg_name *name = &group->nonce_names.items[i];
            pg_push_int(&arrays[0], group->events[name->event].event.id);
            pg_push_text(&arrays[1], name->text);
        }
    }
    bool put = put_arrays(&group->w->conn, PG_SQL_NONCES_DROP, arrays, 2);
    pg_array_fini(&arrays[0]);
    pg_array_fini(&arrays[1]);
    return put;
}

static void clear_arrays(struct pg_array *arrays, size_t len) {
    for (size_t i = 0; i < len; i++) {
        pg_array_clear(&arrays[i]);
    }
}

void pg_clear_arrays(struct pg_writer *w) {
    pg_array_clear(&w->records);
    pg_array_clear(&w->nonces);
    pg_array_clear(&w->ledger);
    pg_array_clear(&w->newcomers);
    clear_arrays(w->events, PG_EVENT_ARRAYS);
    clear_arrays(w->gates, PG_GATE_ARRAYS);
    clear_arrays(w->minutes, PG_MINUTE_ARRAYS);
}

/* A group of replays alone writes nothing here. Its commit waits for a synchronous standby all the
 * same, so that a verdict is no less durable when it is told again: locking the events' rows is
 * written to the server's log. */
static enum err_e write_group(const struct pg_group *group, const bool *orphans) {
    struct pg_writer *w = group->w;
    for (size_t i = 0; i < group->person_names.len; i++) {
        const struct pg_group_person *person = &group->people[i];
        if (person->changed) {
            pg_push_standing(person->has_row ? &w->ledger : &w->newcomers, person->person.id,
                             &person->standing);
        }
    }
    for (size_t i = 0; i < group->event_names.len; i++) {
        if (group->events[i].counted) {
            push_event(w, &group->events[i]);
        }
    }
    bool put = drop_orphans(group, orphans) &&
               put_arrays(&w->conn, PG_SQL_RECORDS_ADD, &w->records, 1) &&
               put_arrays(&w->conn, PG_SQL_NONCES_ADD, &w->nonces, 1) && pg_put_standing(w) &&
               put_gates(group) &&
               put_arrays(&w->conn, PG_SQL_EVENT_STATS_ADD, w->events, PG_EVENT_ARRAYS);
    return put ? ERR_OK : ERR_NO_MEMORY;
}

static bool *find_orphans(const struct pg_group *group) {
    bool *orphans = arena_zalloc(&group->w->arena, group->nonce_names.len + 1);
    for (size_t i = 0; orphans != NULL && i < group->nonce_names.len; i++) {
        orphans[i] = group->nonces[i].state == PG_NONCE_ORPHAN;
    }
    return orphans;
}

MAY_BLOCK enum err_e pg_check_in(struct pg_writer *w, void *scans) {
    struct pg_group group;
    TRY(pg_group_fetch(&group, w, scans));
    const bool *orphans = find_orphans(&group);
    if (orphans == NULL) {
        return ERR_NO_MEMORY;
    }
    pg_clear_arrays(w);
    w->now_ms = clock_wall_ms(w->clock); /* the lock may have taken its time */
    for (size_t i = 0; i < group.scans->len; i++) {
        TRY(check_in_one(&group, i));
    }
    return write_group(&group, orphans);
}
