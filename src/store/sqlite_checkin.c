/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans and annulments, inside the writer's transaction.
 *
 * One scan: a nonce that is known ──► the first verdict again, nothing written
 *           otherwise                 facts ──► rule_scan ──► record, ledger, counts
 *
 * Invariants (checked by tests/contract against a model that counts records):
 *   1. ledger.inside is 1 exactly when the participant's last standing record, by (timestamp, id), is an
 *      admission; event_stats.inside is the sum.
 *   2. gate_stats and gate_minutes count standing records and all refusals.
 *   3. A nonce has one record in its event.
 */
#include "store/sqlite_priv.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { TOKEN_HASH_SIZE = 16 };

struct person {
    struct participant participant;
    struct standing standing;
};

/* HMAC-SHA-256 of the token, cut to 128 bits: tells tokens apart without keeping them. */
static bool hash_token(const struct sqlite_writer *w, struct slice token,
                       unsigned char ret_hash[TOKEN_HASH_SIZE]) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (HMAC(EVP_sha256(), w->token_key, sizeof w->token_key, (const unsigned char *)token.at,
             token.len, mac, &len) == NULL) {
        return false;
    }
    memcpy(ret_hash, mac, TOKEN_HASH_SIZE);
    return true;
}

static void read_standing(struct sql_run *run, struct standing *ret_standing) {
    ret_standing->admissions = sql_get_int(run);
    ret_standing->inside = sql_get_int(run) != 0;
    ret_standing->last_at_ms = sql_get_int(run);
    ret_standing->last_id = sql_get_int(run);
    ret_standing->last_gate = sql_get_int(run);
    ret_standing->first_at_ms = sql_get_int(run);
    ret_standing->first_gate = sql_get_int(run);
}

static enum err_e load_person_by(struct sqlite_writer *w, enum sql_e sql, struct slice token,
                                 int64_t event_id, struct arena *arena, struct person *ret_person,
                                 bool *ret_found) {
    struct sql_run run = sql_begin(&w->conn, sql);
    sql_text(&run, token);
    sql_int(&run, event_id);
    TRY(sql_step(&run, ret_found));
    if (!*ret_found) {
        return ERR_OK;
    }
    bool copied = row_participant(&run, arena, &ret_person->participant);
    if (copied) {
        read_standing(&run, &ret_person->standing);
    }
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

/* The active participant with this token, else the latest. */
static enum err_e load_person(struct sqlite_writer *w, const struct event_facts *event,
                              struct slice token, struct arena *arena, struct person *ret_person,
                              bool *ret_found) {
    TRY(load_person_by(w, SQL_PERSON_ACTIVE, token, event->event.id, arena, ret_person, ret_found));
    if (*ret_found) {
        return ERR_OK;
    }
    return load_person_by(w, SQL_PERSON_LATEST, token, event->event.id, arena, ret_person,
                          ret_found);
}

/* What insert_record needs beside the scan. */
struct record {
    int64_t id;
    int64_t event_id;
    int64_t participant_id; /* 0: unknown */
    int64_t gate_id;
    struct ruling ruling;
    struct slice token_hash; /* at NULL: not kept */
    bool has_first;
    int64_t first_at_ms;
    int64_t first_gate;
};

static const char *reason_or_null(enum reason_e reason) {
    return reason == REASON_NONE ? NULL : reason_text(reason);
}

static enum err_e insert_record(struct sqlite_writer *w, const struct scan *scan,
                                const struct record *record) {
    struct sql_run run = sql_begin(&w->conn, SQL_RECORD_INSERT);
    sql_int(&run, record->id);
    sql_int(&run, record->event_id);
    sql_int_or_null(&run, record->participant_id, 0);
    sql_int(&run, record->gate_id);
    sql_word(&run, method_text(scan->method));
    sql_word(&run, direction_text(scan->direction));
    sql_word(&run, verdict_text(record->ruling.verdict));
    sql_word(&run, reason_or_null(record->ruling.reason));
    sql_word(&run, reason_or_null(record->ruling.overrode));
    sql_int(&run, scan->scanned_at_ms);
    sql_int(&run, w->now_ms);
    sql_text_or_null(&run, scan->nonce.len > 0 ? scan->nonce : SLICE_NONE);
    sql_blob(&run, record->token_hash);
    sql_int_or_null(&run, record->has_first ? record->first_at_ms : TIME_NONE, TIME_NONE);
    sql_int_or_null(&run, record->has_first ? record->first_gate : 0, 0);
    return sql_finish(&run);
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

static enum err_e count_scan(struct sqlite_writer *w, struct event_facts *event,
                             struct gate_facts *gate, const struct scan *scan,
                             const struct ruling *ruling) {
    event->stats.scans++;
    event->stats.methods[scan->method]++;
    event->stats.refused += ruling->verdict == VERDICT_REFUSED;
    event->stats.inside += (int)ruling->comes_in - (int)ruling->goes_out;
    const struct attendance_record record = {
        .verdict = ruling->verdict,
        .scanned_at_ms = scan->scanned_at_ms,
        .recorded_at_ms = w->now_ms,
    };
    return count_at_gate(w, event, gate, &record, 1);
}

/* The nonce came with the same token, gate and direction as the first time? */
static enum err_e check_same_scan(const struct sqlite_writer *w, const struct scan *scan,
                                  const struct attendance_record *first, struct slice first_hash,
                                  struct problem *problem) {
    unsigned char hash[TOKEN_HASH_SIZE];
    if (!hash_token(w, scan->token, hash)) {
        return ERR_NO_MEMORY;
    }
    if (!slice_eq(first_hash, slice_from((const char *)hash, sizeof hash))) {
        return problem_set(problem, ERR_NONCE_CONFLICT, "nonce", "it came with another token");
    }
    if (!slice_eq(first->gate, scan->gate)) {
        return problem_set(problem, ERR_NONCE_CONFLICT, "nonce", "it came with another gate");
    }
    if (first->direction != scan->direction) {
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
static bool read_replayed_person(struct sql_run *run, struct arena *arena,
                                 const struct attendance_record *record,
                                 struct scan_result *result) {
    struct participant *person = &result->participant;
    person->id = record->participant_id;
    if (!sql_get_copy(run, arena, &person->name)) {
        return false;
    }
    enum participant_status_e status = PARTICIPANT_ACTIVE;
    bool known = participant_status_parse(sql_get_text(run), &status);
    person->status = status;
    if (!sql_get_copy(run, arena, &person->attention)) {
        return false;
    }
    bool erased = sql_get_int_or(run, TIME_NONE) != TIME_NONE;
    result->has_participant = record->participant_id != 0 && known && !erased;
    return true;
}

static enum err_e read_replay(struct sqlite_writer *w, struct sql_run *run,
                              struct event_facts *event, const struct scan *scan,
                              struct arena *arena, struct scan_result *result) {
    struct attendance_record record;
    if (!row_record(run, arena, &record)) {
        return ERR_NO_MEMORY;
    }
    enum err_e same = check_same_scan(w, scan, &record, get_blob(run), &result->problem);
    if (same != ERR_OK) {
        result->err = same;
        return same == ERR_NO_MEMORY ? same : ERR_OK;
    }
    fill_from_record(result, &record);
    result->replayed = true;
    result->first_at_ms = sql_get_int_or(run, TIME_NONE);
    const struct gate_facts *first = facts_gate_by_id(event, sql_get_int(run));
    result->has_first = result->first_at_ms != TIME_NONE && first != NULL;
    result->first_gate = first == NULL ? SLICE_NONE : arena_copy(arena, first->gate.code);
    result->inside = event->stats.inside;
    return read_replayed_person(run, arena, &record, result) ? ERR_OK : ERR_NO_MEMORY;
}

/* ret_found: the nonce has its record and `result` tells what came of it. */
static enum err_e replay(struct sqlite_writer *w, struct event_facts *event,
                         const struct scan *scan, struct arena *arena, struct scan_result *result,
                         bool *ret_found) {
    *ret_found = false;
    if (scan->nonce.len == 0) {
        return ERR_OK;
    }
    struct sql_run run = sql_begin(&w->conn, SQL_RECORD_BY_NONCE);
    sql_int(&run, event->event.id);
    sql_text(&run, scan->nonce);
    TRY(sql_step(&run, ret_found));
    if (!*ret_found) {
        return ERR_OK;
    }
    enum err_e err = read_replay(w, &run, event, scan, arena, result);
    sql_end(&run);
    return err;
}

static int64_t next_record_id(struct sqlite_writer *w) {
    int64_t from_clock = w->now_ms << 20;
    w->last_id = from_clock > w->last_id ? from_clock : w->last_id + 1;
    return w->last_id;
}

static void fill_verdict(const struct sqlite_writer *w, const struct event_facts *event,
                         const struct scan *scan, const struct ruling *ruling,
                         struct scan_result *result) {
    result->record_id = w->last_id;
    result->verdict = ruling->verdict;
    result->reason = ruling->reason;
    result->overrode = ruling->overrode;
    result->forced = ruling->forced;
    result->inside = event->stats.inside;
    result->scanned_at_ms = scan->scanned_at_ms;
    result->decided_at_ms = w->now_ms;
}

static void fill_first(struct event_facts *event, const struct record *record,
                       struct arena *arena, struct scan_result *result) {
    const struct gate_facts *gate =
        record->has_first ? facts_gate_by_id(event, record->first_gate) : NULL;
    result->has_first = gate != NULL;
    if (gate != NULL) {
        result->first_at_ms = record->first_at_ms;
        result->first_gate = arena_copy(arena, gate->gate.code);
    }
}

/* Writes what a decided scan changes: record, ledger, counts. */
static enum err_e apply(struct sqlite_writer *w, struct event_facts *event,
                        struct gate_facts *gate, const struct scan *scan, struct person *person,
                        struct record *record) {
    unsigned char hash[TOKEN_HASH_SIZE];
    if (scan->nonce.len > 0 || person == NULL) {
        if (!hash_token(w, scan->token, hash)) {
            return ERR_NO_MEMORY;
        }
        record->token_hash = slice_from((const char *)hash, sizeof hash);
    }
    TRY(insert_record(w, scan, record));
    if (record->ruling.verdict != VERDICT_REFUSED) {
        bool first_admission = person->standing.admissions == 0;
        standing_add(&person->standing, &record->ruling, scan->scanned_at_ms, record->id,
                     gate->gate.id);
        event->stats.admitted += first_admission && person->standing.admissions > 0;
        TRY(put_ledger(w, person->participant.id, &person->standing));
    }
    return count_scan(w, event, gate, scan, &record->ruling);
}

static enum err_e decide(struct sqlite_writer *w, struct event_facts *event,
                         struct gate_facts *gate, const struct scan *scan, struct arena *arena,
                         struct scan_result *result) {
    struct person person = {.participant.id = 0};
    TRY(load_person(w, event, scan->token, arena, &person, &result->has_participant));
    const struct facts facts = {
        .event = &event->event,
        .gate = &gate->gate,
        .participant = result->has_participant ? &person.participant : NULL,
        .standing = &person.standing,
        .inside = event->stats.inside,
    };
    struct record record = {
        .id = next_record_id(w),
        .event_id = event->event.id,
        .participant_id = person.participant.id,
        .gate_id = gate->gate.id,
        .ruling = rule_scan(&facts, scan),
    };
    if (record.ruling.reason == REASON_ALREADY_USED) {
        record.has_first = standing_in_the_way(&person.standing, event->event.reentry,
                                               &record.first_at_ms, &record.first_gate);
    }
    TRY(apply(w, event, gate, scan, result->has_participant ? &person : NULL, &record));
    result->participant = person.participant;
    fill_verdict(w, event, scan, &record.ruling, result);
    fill_first(event, &record, arena, result);
    return ERR_OK;
}

/* An error here is the file's or memory's and ends the transaction; what is wrong with the scan itself
 * goes into its result. */
static enum err_e check_in_one(struct sqlite_writer *w, struct event_facts *event,
                               const struct scan *scan, struct arena *arena,
                               struct scan_result *result) {
    *result = (struct scan_result){.err = ERR_OK};
    struct gate_facts *gate = facts_gate(event, scan->gate);
    if (gate == NULL) {
        result->err = problem_set(&result->problem, ERR_UNKNOWN_GATE, "gate",
                                  "the event has no gate with this code");
        return ERR_OK;
    }
    bool replayed;
    TRY(replay(w, event, scan, arena, result, &replayed));
    if (replayed) {
        return ERR_OK;
    }
    struct scan timed = *scan;
    if (timed.scanned_at_ms == TIME_NONE) {
        timed.scanned_at_ms = w->now_ms;
    }
    return decide(w, event, gate, &timed, arena, result);
}

MAY_BLOCK enum err_e writer_check_in(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    for (size_t i = 0; i < op->check_in.len; i++) {
        TRY(check_in_one(w, event, &op->check_in.scans[i], &op->arena, &op->check_in.results[i]));
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
