/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans and annulments, inside the writer's transaction.
 *
 * One scan: facts ──► rule_scan ──► record ──► ledger, counts
 *                                      └─ the nonce has one: that verdict, nothing written
 *
 * Invariants (checked by tests/contract against a model that counts records):
 *   1. ledger.inside is 1 exactly when the participant's last standing record, by (timestamp, id),
 *      is an admission; event_stats.inside is the sum.
 *   2. gate_stats and gate_minutes count standing records and all refusals.
 *   3. A nonce has one record in its event.
 */
#include "store/sqlite_priv.h"

/* One scan under decision: what it is about, what was found, what comes of it. */
struct decision {
    struct sqlite_writer *w;
    struct event_facts *event;
    struct gate_facts *gate;
    const struct scan *scan; /* with its time */
    struct arena *arena;     /* of the result's texts */
    struct scan_result *result;
    bool known; /* the token belongs to `person` */
    struct participant person;
    struct standing standing; /* of the person */
    int64_t record_id;
    struct ruling ruling;
    bool has_first; /* an admission was in the way */
    int64_t first_at_ms;
    int64_t first_gate;
};

static void read_standing(struct sql_run *run, struct standing *ret_standing) {
    ret_standing->admissions = sql_get_int(run);
    ret_standing->inside = sql_get_int(run) != 0;
    ret_standing->last_at_ms = sql_get_int(run);
    ret_standing->last_id = sql_get_int(run);
    ret_standing->last_gate = sql_get_int(run);
    ret_standing->first_at_ms = sql_get_int(run);
    ret_standing->first_gate = sql_get_int(run);
}

static enum err_e load_person_by(struct decision *d, enum sql_e sql) {
    struct sql_run run = sql_begin(&d->w->conn, sql);
    sql_text(&run, d->scan->token);
    sql_int(&run, d->event->event.id);
    TRY(sql_step(&run, &d->known));
    if (!d->known) {
        return ERR_OK;
    }
    bool copied = row_person(&run, d->arena, &d->person);
    if (copied) {
        read_standing(&run, &d->standing);
    }
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

/* The active participant with this token, else the latest. */
static enum err_e load_person(struct decision *d) {
    TRY(load_person_by(d, SQL_PERSON_ACTIVE));
    return d->known ? ERR_OK : load_person_by(d, SQL_PERSON_LATEST);
}

static const char *reason_or_null(enum reason_e reason) {
    return reason == REASON_NONE ? NULL : reason_text(reason);
}

/* `token_hash` has at NULL where the token's hash is not kept. ret_known: the nonce has a record
 * already, and nothing was written. */
static enum err_e insert_record(const struct decision *d, struct slice token_hash,
                                bool *ret_known) {
    const struct scan *scan = d->scan;
    struct sql_run run = sql_begin(&d->w->conn, SQL_RECORD_INSERT);
    sql_int(&run, d->record_id);
    sql_int(&run, d->event->event.id);
    sql_int_or_null(&run, d->known ? d->person.id : 0, 0);
    sql_int(&run, d->gate->gate.id);
    sql_word(&run, method_text(scan->method));
    sql_word(&run, direction_text(scan->direction));
    sql_word(&run, verdict_text(d->ruling.verdict));
    sql_word(&run, reason_or_null(d->ruling.reason));
    sql_word(&run, reason_or_null(d->ruling.overrode));
    sql_int(&run, scan->scanned_at_ms);
    sql_int(&run, d->w->now_ms);
    sql_text_or_null(&run, scan->nonce.len > 0 ? scan->nonce : SLICE_NONE);
    sql_blob(&run, token_hash);
    sql_int_or_null(&run, d->has_first ? d->first_at_ms : TIME_NONE, TIME_NONE);
    sql_int_or_null(&run, d->has_first ? d->first_gate : 0, 0);
    TRY(sql_finish(&run));
    *ret_known = sqlite3_changes(d->w->conn.db) == 0;
    return ERR_OK;
}

static enum err_e put_ledger(struct sqlite_writer *w, int64_t participant_id,
                             const struct standing *standing) {
#ifdef PLANT_SKIP_LEDGER
    (void)w, (void)participant_id, (void)standing;
    return ERR_OK;
#else
    struct sql_run run = sql_begin(&w->conn, SQL_LEDGER_PUT);
    sql_int(&run, participant_id);
    sql_int(&run, standing->admissions);
    sql_int(&run, standing->inside);
    sql_int(&run, standing->last_at_ms);
    sql_int(&run, standing->last_id);
    sql_int(&run, standing->last_gate);
    sql_int(&run, standing->first_at_ms);
    sql_int(&run, standing->first_gate);
    return sql_finish(&run);
#endif
}

static void note_recent(struct sqlite_writer *w, int64_t gate, int64_t at_ms, int64_t count) {
    if (w->changes_len == w->changes_size) {
        size_t size = w->changes_size == 0 ? 1024 : 2 * w->changes_size;
        struct recent_change *grown = realloc(w->changes, size * sizeof *grown);
        if (grown == NULL) {
            return; /* the last minute shows one admission too few for a minute */
        }
        w->changes = grown;
        w->changes_size = size;
    }
    w->changes[w->changes_len++] = (struct recent_change){gate, at_ms / 1000, count};
}

static int64_t minute_of(int64_t ms) {
    return ms / 60000 - (ms % 60000 < 0);
}

/* Counts a record in (sign 1) or, annulled, out (sign -1) of its gate and minute. */
static enum err_e count_at_gate(struct sqlite_writer *w, struct event_facts *event,
                                struct gate_facts *gate, const struct attendance_record *record,
                                int64_t sign) {
    struct minute_delta delta = {
        .event_id = event->event.id,
        .minute = minute_of(record->scanned_at_ms),
        .gate_id = gate->gate.id,
        .admitted = record->verdict == VERDICT_ADMITTED ? sign : 0,
        .exited = record->verdict == VERDICT_EXITED ? sign : 0,
        .refused = record->verdict == VERDICT_REFUSED ? sign : 0,
    };
    gate->admitted += delta.admitted;
    gate->exited += delta.exited;
    gate->refused += delta.refused;
    gate->dirty = true;
    event->dirty = true;
    if (delta.admitted != 0) {
        note_recent(w, gate->gate.id, record->recorded_at_ms, sign);
    }
    return facts_add_minute(&w->conn, &w->facts, &delta);
}

static enum err_e count_scan(struct decision *d) {
    struct event_stats *stats = &d->event->stats;
    stats->scans++;
    stats->methods[d->scan->method]++;
    stats->refused += d->ruling.verdict == VERDICT_REFUSED;
    stats->inside += (int)d->ruling.comes_in - (int)d->ruling.goes_out;
    const struct attendance_record record = {
        .verdict = d->ruling.verdict,
        .scanned_at_ms = d->scan->scanned_at_ms,
        .recorded_at_ms = d->w->now_ms,
    };
    return count_at_gate(d->w, d->event, d->gate, &record, 1);
}

/* ── replay ── */

/* The nonce came with the same token, gate and direction as the first time? */
static enum err_e check_same_scan(const struct decision *d, const struct attendance_record *first,
                                  struct slice first_hash) {
    unsigned char hash[TOKEN_HASH_SIZE];
    struct problem *problem = &d->result->problem;
    if (!token_hash(d->w->token_mac, d->scan->token, hash)) {
        return ERR_NO_MEMORY;
    }
    if (!slice_eq(first_hash, slice_from((const char *)hash, sizeof hash))) {
        return problem_set(problem, ERR_NONCE_CONFLICT, "nonce", "it came with another token");
    }
    if (!slice_eq(first->gate, d->scan->gate)) {
        return problem_set(problem, ERR_NONCE_CONFLICT, "nonce", "it came with another gate");
    }
    if (first->direction != d->scan->direction) {
        return problem_set(problem, ERR_NONCE_CONFLICT, "nonce", "it came with another direction");
    }
    return ERR_OK;
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
}

static struct slice get_blob(struct sql_run *run) {
    int column = run->column++;
    const char *at = sqlite3_column_blob(run->stmt, column);
    return slice_from(at, at == NULL ? 0 : (size_t)sqlite3_column_bytes(run->stmt, column));
}

/* The participant as part of a replay: as stored now, and nobody when erased. */
static bool read_replayed_person(const struct decision *d, struct sql_run *run, int64_t id) {
    struct participant *person = &d->result->participant;
    person->id = id;
    if (!sql_get_copy(run, d->arena, &person->name)) {
        return false;
    }
    bool known = participant_status_parse(sql_get_text(run), &person->status);
    if (!sql_get_copy(run, d->arena, &person->attention)) {
        return false;
    }
    bool erased = sql_get_int_or(run, TIME_NONE) != TIME_NONE;
    d->result->has_participant = id != 0 && known && !erased;
    return true;
}

static void fill_first(const struct decision *d, int64_t at_ms, int64_t gate_id) {
    const struct gate_facts *gate = facts_gate_by_id(d->event, gate_id);
    d->result->has_first = gate != NULL;
    if (gate != NULL) {
        d->result->first_at_ms = at_ms;
        d->result->first_gate = arena_copy(d->arena, gate->gate.code);
    }
}

static enum err_e read_replay(const struct decision *d, struct sql_run *run) {
    struct attendance_record record;
    if (!row_record(run, d->arena, &record)) {
        return ERR_NO_MEMORY;
    }
    enum err_e same = check_same_scan(d, &record, get_blob(run));
    if (same != ERR_OK) {
        d->result->err = same;
        return same == ERR_NO_MEMORY ? same : ERR_OK;
    }
    fill_from_record(d->result, &record);
    d->result->replayed = true;
    d->result->inside = d->event->stats.inside;
    int64_t first_at_ms = sql_get_int_or(run, TIME_NONE);
    int64_t first_gate = sql_get_int(run);
    if (first_at_ms != TIME_NONE) {
        fill_first(d, first_at_ms, first_gate);
    }
    return read_replayed_person(d, run, record.participant_id) ? ERR_OK : ERR_NO_MEMORY;
}

/* The record of the scan's nonce, which is there. */
static enum err_e replay(const struct decision *d) {
    bool found;
    struct sql_run run = sql_begin(&d->w->conn, SQL_RECORD_BY_NONCE);
    sql_int(&run, d->event->event.id);
    sql_text(&run, d->scan->nonce);
    TRY(sql_step(&run, &found));
    ASSERT(found);
    enum err_e err = read_replay(d, &run);
    sql_end(&run);
    return err;
}

/* ── decision ── */

static int64_t next_record_id(struct sqlite_writer *w) {
    int64_t from_clock = w->now_ms << 20;
    w->last_id = from_clock > w->last_id ? from_clock : w->last_id + 1;
    return w->last_id;
}

static enum err_e settle_person(struct decision *d) {
    bool first_admission = d->standing.admissions == 0;
    standing_add(&d->standing, &d->ruling, d->scan->scanned_at_ms, d->record_id, d->gate->gate.id);
    d->event->stats.admitted += first_admission && d->standing.admissions > 0;
    return put_ledger(d->w, d->person.id, &d->standing);
}

/* Writes what a decided scan changes: record, ledger, counts. The record comes first: its insertion
 * finds a nonce that is known, which saves looking for it before every scan. */
static enum err_e apply(struct decision *d, bool *ret_known) {
    unsigned char hash[TOKEN_HASH_SIZE];
    struct slice kept = SLICE_NONE;
    if (d->scan->nonce.len > 0 || !d->known) {
        if (!token_hash(d->w->token_mac, d->scan->token, hash)) {
            return ERR_NO_MEMORY;
        }
        kept = slice_from((const char *)hash, sizeof hash);
    }
    TRY(insert_record(d, kept, ret_known));
    if (*ret_known) {
        return ERR_OK;
    }
    if (d->ruling.verdict != VERDICT_REFUSED) {
        TRY(settle_person(d));
    }
    return count_scan(d);
}

static void fill_verdict(const struct decision *d) {
    struct scan_result *result = d->result;
    result->record_id = d->record_id;
    result->verdict = d->ruling.verdict;
    result->reason = d->ruling.reason;
    result->overrode = d->ruling.overrode;
    result->forced = d->ruling.forced;
    result->has_participant = d->known;
    result->participant = d->person;
    result->inside = d->event->stats.inside;
    result->scanned_at_ms = d->scan->scanned_at_ms;
    result->decided_at_ms = d->w->now_ms;
    if (d->has_first) {
        fill_first(d, d->first_at_ms, d->first_gate);
    }
}

static enum err_e decide(struct decision *d) {
    TRY(load_person(d));
    const struct facts facts = {
        .event = &d->event->event,
        .gate = &d->gate->gate,
        .participant = d->known ? &d->person : NULL,
        .standing = &d->standing,
        .inside = d->event->stats.inside,
    };
    d->record_id = next_record_id(d->w);
    d->ruling = rule_scan(&facts, d->scan);
    if (d->ruling.reason == REASON_ALREADY_USED) {
        d->has_first = standing_in_the_way(&d->standing, d->event->event.reentry, &d->first_at_ms,
                                           &d->first_gate);
    }
    bool known;
    TRY(apply(d, &known));
    if (known) {
        return replay(d);
    }
    fill_verdict(d);
    return ERR_OK;
}

/* An error here is the file's or memory's and ends the transaction; what is wrong with the scan
 * itself goes into its result. */
static enum err_e check_in_one(struct decision *d, const struct scan *scan) {
    *d->result = (struct scan_result){.err = ERR_OK};
    d->gate = facts_gate(d->event, scan->gate);
    if (d->gate == NULL) {
        d->result->err = problem_set(&d->result->problem, ERR_UNKNOWN_GATE, "gate",
                                     "the event has no gate with this code");
        return ERR_OK;
    }
    struct scan timed = *scan;
    if (timed.scanned_at_ms == TIME_NONE) {
        timed.scanned_at_ms = d->w->now_ms;
    }
    d->scan = &timed;
    return decide(d);
}

MAY_BLOCK enum err_e writer_check_in(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    for (size_t i = 0; i < op->check_in.len; i++) {
        struct decision d = {
            .w = w, .event = event, .arena = &op->arena, .result = &op->check_in.results[i]};
        TRY(check_in_one(&d, &op->check_in.scans[i]));
    }
    return ERR_OK;
}

/* ── annulment ── */

static enum err_e load_ledger(struct sqlite_writer *w, int64_t participant_id,
                              struct standing *ret_standing) {
    bool row;
    *ret_standing = (struct standing){.admissions = 0};
    struct sql_run run = sql_begin(&w->conn, SQL_LEDGER_GET);
    sql_int(&run, participant_id);
    TRY(sql_step(&run, &row));
    if (row) {
        read_standing(&run, ret_standing);
        sql_end(&run);
    }
    return ERR_OK;
}

/* The standing as the participant's records tell it: work in the size of one person's history. */
static enum err_e standing_from_records(struct sqlite_writer *w, int64_t participant_id,
                                        struct standing *ret_standing) {
    *ret_standing = (struct standing){.admissions = 0};
    struct sql_run run = sql_begin(&w->conn, SQL_STANDING_OF);
    sql_int(&run, participant_id);
    for (;;) {
        bool row;
        TRY(sql_step(&run, &row));
        if (!row) {
            return ERR_OK;
        }
        int64_t id = sql_get_int(&run);
        int64_t at_ms = sql_get_int(&run);
        struct ruling ruling = {.verdict = VERDICT_REFUSED};
        bool known = verdict_parse(sql_get_text(&run), &ruling.verdict);
        (void)known;
        standing_add(ret_standing, &ruling, at_ms, id, sql_get_int(&run));
    }
}

static enum err_e load_record(struct sqlite_writer *w, struct store_op *op, int64_t event_id,
                              int64_t *ret_gate_id) {
    bool row;
    struct sql_run run = sql_begin(&w->conn, SQL_RECORD_BY_ID);
    sql_int(&run, op->annul.record_id);
    sql_int(&run, event_id);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_RECORD;
    }
    bool copied = row_record(&run, &op->arena, &op->annul.record);
    *ret_gate_id = sql_get_int(&run);
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

static enum err_e check_annullable(struct store_op *op) {
    const struct attendance_record *record = &op->annul.record;
    if (record->verdict == VERDICT_REFUSED) {
        return problem_set(&op->problem, ERR_NOT_ANNULLABLE, "", "the scan was refused");
    }
    if (record->annulled_at_ms != TIME_NONE) {
        return problem_set(&op->problem, ERR_NOT_ANNULLABLE, "", "it was annulled before");
    }
    return ERR_OK;
}

static enum err_e mark_annulled(struct sqlite_writer *w, struct attendance_record *record) {
    record->annulled_at_ms = w->now_ms;
    struct sql_run run = sql_begin(&w->conn, SQL_RECORD_ANNUL);
    sql_int(&run, record->record_id);
    sql_int(&run, w->now_ms);
    return sql_finish(&run);
}

static enum err_e settle_standing(struct sqlite_writer *w, struct event_facts *event,
                                  int64_t participant_id) {
    struct standing before, after;
    TRY(load_ledger(w, participant_id, &before));
    TRY(standing_from_records(w, participant_id, &after));
    event->stats.inside += (int)after.inside - (int)before.inside;
    event->stats.admitted -= before.admissions > 0 && after.admissions == 0;
    event->dirty = true;
    if (after.last_id != 0) {
        return put_ledger(w, participant_id, &after);
    }
    struct sql_run run = sql_begin(&w->conn, SQL_LEDGER_DELETE);
    sql_int(&run, participant_id);
    return sql_finish(&run);
}

MAY_BLOCK enum err_e writer_annul(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    int64_t gate_id;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    TRY(load_record(w, op, event->event.id, &gate_id));
    TRY(check_annullable(op));
    struct gate_facts *gate = facts_gate_by_id(event, gate_id);
    ASSERT(gate != NULL);
    TRY(mark_annulled(w, &op->annul.record));
    TRY(settle_standing(w, event, op->annul.record.participant_id));
    return count_at_gate(w, event, gate, &op->annul.record, -1);
}
