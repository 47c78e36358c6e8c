/* SPDX-License-Identifier: Apache-2.0 */
/* The rules once more, slowly and from the list of records. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

void model_begin(struct model *model) {
    *model = (struct model){.reentry = REENTRY_AFTER_EXIT, .capacity = CAPACITY_NONE};
    model->records = calloc(MODEL_RECORDS, sizeof *model->records);
    assert_non_null(model->records);
}

void model_end(struct model *model) {
    free(model->records);
}

static bool stands(const struct model_record *record) {
    return !record->annulled && record->verdict != VERDICT_REFUSED;
}

/* The last standing record of a person by (scanned_at, id), or NULL. */
static const struct model_record *last_of(const struct model *model, int person) {
    const struct model_record *last = NULL;
    for (size_t i = 0; i < model->len; i++) {
        const struct model_record *record = &model->records[i];
        if (record->person != person || !stands(record)) {
            continue;
        }
        if (last == NULL || record->scanned_at_ms > last->scanned_at_ms ||
            (record->scanned_at_ms == last->scanned_at_ms && record->id > last->id)) {
            last = record;
        }
    }
    return last;
}

static bool is_inside(const struct model *model, int person) {
    const struct model_record *last = last_of(model, person);
    return last != NULL && last->verdict == VERDICT_ADMITTED;
}

int64_t model_inside(const struct model *model) {
    int64_t inside = 0;
    for (int person = 0; person < MODEL_PEOPLE; person++) {
        inside += is_inside(model, person);
    }
    return inside;
}

/* The first standing admission of a person by scanned_at, the earlier record at equal times. */
static const struct model_record *first_admission(const struct model *model, int person) {
    const struct model_record *first = NULL;
    for (size_t i = 0; i < model->len; i++) {
        const struct model_record *record = &model->records[i];
        bool counts =
            record->person == person && stands(record) && record->verdict == VERDICT_ADMITTED;
        if (counts && (first == NULL || record->scanned_at_ms < first->scanned_at_ms)) {
            first = record;
        }
    }
    return first;
}

static const struct model_record *in_the_way(const struct model *model, int person) {
    if (model->reentry == REENTRY_ALWAYS) {
        return NULL;
    }
    if (model->reentry == REENTRY_NONE) {
        return first_admission(model, person);
    }
    return is_inside(model, person) ? last_of(model, person) : NULL;
}

static bool comes_in(const struct model *model, int person, int64_t at_ms) {
    const struct model_record *last = last_of(model, person);
    return !is_inside(model, person) && (last == NULL || at_ms >= last->scanned_at_ms);
}

static enum reason_e reason_of(const struct model *model, int person, int gate, int64_t at_ms) {
    const struct model_person *p = &model->people[person];
    bool full = model->capacity != CAPACITY_NONE && model_inside(model) >= model->capacity;
    const struct {
        bool holds;
        enum reason_e reason;
    } rows[] = {
        {p->status == PARTICIPANT_CANCELLED, REASON_CANCELLED},
        {p->status == PARTICIPANT_BLOCKED, REASON_BLOCKED},
        {p->valid_from_ms != TIME_NONE && at_ms < p->valid_from_ms, REASON_NOT_YET_VALID},
        {p->valid_until_ms != TIME_NONE && at_ms >= p->valid_until_ms, REASON_EXPIRED},
        {p->gates != 0 && (p->gates & (1u << gate)) == 0, REASON_WRONG_GATE},
        {model->gates[gate] == GATE_CLOSED, REASON_GATE_CLOSED},
        {in_the_way(model, person) != NULL, REASON_ALREADY_USED},
        {full && comes_in(model, person, at_ms), REASON_CAPACITY_FULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].holds) {
            return rows[i].reason;
        }
    }
    return REASON_NONE;
}

static struct model_record decide(const struct model *model, const struct model_scan *asked) {
    const struct scan *scan = asked->scan;
    struct model_record record = {.person = asked->person,
                                  .gate = asked->gate,
                                  .method = scan->method,
                                  .direction = scan->direction,
                                  .recorded_at_ms = asked->now_ms};
    record.scanned_at_ms =
        scan->scanned_at_ms == TIME_NONE ? asked->now_ms : scan->scanned_at_ms;
    if (asked->person < 0 || model->people[asked->person].erased) {
        record.person = -1;
        record.verdict = VERDICT_REFUSED;
        record.reason = REASON_UNKNOWN_TOKEN;
        return record;
    }
    if (scan->direction == DIRECTION_EXIT) {
        record.verdict = VERDICT_EXITED;
        return record;
    }
    enum reason_e reason = reason_of(model, asked->person, asked->gate, record.scanned_at_ms);
    bool refused = reason != REASON_NONE && !scan->force;
    record.verdict = refused ? VERDICT_REFUSED : VERDICT_ADMITTED;
    record.reason = refused ? reason : REASON_NONE;
    record.overrode = refused ? REASON_NONE : reason;
    return record;
}

static void compare(const struct model_record *wanted, const struct scan_result *seen) {
    assert_string_equal(verdict_text(seen->verdict), verdict_text(wanted->verdict));
    assert_string_equal(reason_text(seen->reason), reason_text(wanted->reason));
    assert_string_equal(reason_text(seen->overrode), reason_text(wanted->overrode));
    assert_int_equal(seen->forced, wanted->overrode != REASON_NONE);
    assert_int_equal(seen->scanned_at_ms, wanted->scanned_at_ms);
    assert_int_equal(seen->decided_at_ms, wanted->recorded_at_ms);
}

static void compare_first(const struct model_record *record, const struct model_record *way,
                          const struct scan_result *seen) {
    bool wanted = record->reason == REASON_ALREADY_USED;
    assert_int_equal(seen->has_first, wanted);
    if (wanted) {
        char gate[16];
        snprintf(gate, sizeof gate, "g%d", way->gate + 1);
        assert_int_equal(seen->first_at_ms, way->scanned_at_ms);
        assert_true(slice_eq_text(seen->first_gate, gate));
    }
}

static const struct model_record *by_nonce(const struct model *model, struct slice nonce) {
    for (size_t i = 0; i < model->len && nonce.len > 0; i++) {
        if (slice_eq_text(nonce, model->records[i].nonce)) {
            return &model->records[i];
        }
    }
    return NULL;
}

/* A known nonce: the same verdict, or a conflict when it came with another scan. */
static void check_replay(const struct model *model, const struct model_record *first,
                         const struct model_scan *asked, const struct scan_result *seen) {
    bool same = slice_eq_text(asked->scan->token, first->token) && first->gate == asked->gate &&
                first->direction == asked->scan->direction;
    if (!same) {
        assert_int_equal(seen->err, ERR_NONCE_CONFLICT);
        return;
    }
    assert_int_equal(seen->err, ERR_OK);
    assert_true(seen->replayed);
    assert_int_equal(seen->record_id, first->id);
    assert_int_equal(seen->annulled, first->annulled);
    bool named = first->person >= 0 && !model->people[first->person].erased;
    assert_int_equal(seen->has_participant, named);
    assert_int_equal(seen->inside, model_inside(model));
    compare(first, seen);
}

void model_check_scan(struct model *model, const struct model_scan *asked,
                      const struct scan_result *seen) {
    const struct scan *scan = asked->scan;
    const struct model_record *first = by_nonce(model, scan->nonce);
    if (first != NULL) {
        check_replay(model, first, asked, seen);
        return;
    }
    assert_int_equal(seen->err, ERR_OK);
    assert_false(seen->replayed);
    struct model_record record = decide(model, asked);
    compare(&record, seen);
    compare_first(&record, record.person < 0 ? NULL : in_the_way(model, record.person), seen);
    assert_int_equal(seen->has_participant, record.person >= 0);
    assert_true(model->len == 0 || seen->record_id > model->records[model->len - 1].id);
    record.id = seen->record_id;
    snprintf(record.nonce, sizeof record.nonce, "%.*s", SLICE_ARG(scan->nonce));
    snprintf(record.token, sizeof record.token, "%.*s", SLICE_ARG(scan->token));
    assert_true(model->len < MODEL_RECORDS);
    model->records[model->len++] = record;
    assert_int_equal(seen->inside, model_inside(model));
}

/* ── reads ── */

static void check_gate_stats(const struct model *model, const struct event_stats *stats,
                             int64_t now_ms) {
    assert_int_equal(stats->gates_len, MODEL_GATES);
    for (int gate = 0; gate < MODEL_GATES; gate++) {
        struct gate_stats wanted = {.admitted = 0};
        for (size_t i = 0; i < model->len; i++) {
            const struct model_record *record = &model->records[i];
            if (record->gate != gate) {
                continue;
            }
            bool admitted = stands(record) && record->verdict == VERDICT_ADMITTED;
            wanted.admitted += admitted;
            wanted.exited += stands(record) && record->verdict == VERDICT_EXITED;
            wanted.refused += record->verdict == VERDICT_REFUSED;
            wanted.last_minute +=
                admitted && record->recorded_at_ms / 1000 > now_ms / 1000 - 60;
        }
        const struct gate_stats *seen = &stats->gates[gate];
        assert_int_equal(seen->admitted, wanted.admitted);
        assert_int_equal(seen->exited, wanted.exited);
        assert_int_equal(seen->refused, wanted.refused);
        assert_int_equal(seen->last_minute, wanted.last_minute);
    }
}

static void check_stats(const struct model *model, struct rig *rig) {
    struct event_stats seen = rig_stats(rig, "e");
    struct event_stats wanted = {.scans = (int64_t)model->len};
    for (int person = 0; person < MODEL_PEOPLE; person++) {
        wanted.participants += !model->people[person].erased;
        wanted.admitted += first_admission(model, person) != NULL;
    }
    for (size_t i = 0; i < model->len; i++) {
        wanted.refused += model->records[i].verdict == VERDICT_REFUSED;
        wanted.methods[model->records[i].method]++;
    }
    assert_int_equal(seen.participants, wanted.participants);
    assert_int_equal(seen.admitted, wanted.admitted);
    assert_int_equal(seen.inside, model_inside(model));
    assert_int_equal(seen.scans, wanted.scans);
    assert_int_equal(seen.refused, wanted.refused);
    assert_memory_equal(seen.methods, wanted.methods, sizeof wanted.methods);
    check_gate_stats(model, &seen, rig->clock.now_wall_ms);
}

static bool passes(const struct model *model, const struct model_record *record,
                   const struct attendance_filter *filter) {
    char gate[16];
    snprintf(gate, sizeof gate, "g%d", record->gate + 1);
    int64_t person = record->person < 0 ? 0 : model->people[record->person].id;
    return (filter->participant_id == 0 || filter->participant_id == person) &&
           (filter->gate.len == 0 || slice_eq_text(filter->gate, gate)) &&
           (filter->method < 0 || filter->method == (int)record->method) &&
           (filter->verdict < 0 || filter->verdict == (int)record->verdict) &&
           (filter->since_ms == TIME_NONE || record->scanned_at_ms >= filter->since_ms) &&
           (filter->until_ms == TIME_NONE || record->scanned_at_ms < filter->until_ms) &&
           (filter->recorded_since_ms == TIME_NONE ||
            record->recorded_at_ms >= filter->recorded_since_ms);
}

static const struct model_record *record_of(const struct model *model, int64_t id) {
    for (size_t i = 0; i < model->len; i++) {
        if (model->records[i].id == id) {
            return &model->records[i];
        }
    }
    return NULL;
}

static void check_filter(const struct model *model, struct rig *rig,
                         const struct attendance_filter *filter, size_t page) {
    size_t wanted = 0, len;
    for (size_t i = 0; i < model->len; i++) {
        wanted += passes(model, &model->records[i], filter);
    }
    const struct attendance_record *seen = rig_history(rig, "e", filter, page, &len);
    assert_int_equal(len, wanted);
    for (size_t i = 0; i < len; i++) {
        const struct model_record *record = record_of(model, seen[i].record_id);
        assert_non_null(record);
        assert_true(passes(model, record, filter));
        assert_int_equal(seen[i].annulled_at_ms != TIME_NONE, record->annulled);
        assert_true(i == 0 || seen[i - 1].scanned_at_ms > seen[i].scanned_at_ms ||
                    (seen[i - 1].scanned_at_ms == seen[i].scanned_at_ms &&
                     seen[i - 1].record_id > seen[i].record_id));
    }
}

static void check_history(const struct model *model, struct rig *rig) {
    int64_t middle = rig->clock.now_wall_ms - 90000;
    struct attendance_filter filters[] = {NO_FILTER, NO_FILTER, NO_FILTER, NO_FILTER,
                                          NO_FILTER, NO_FILTER, NO_FILTER, NO_FILTER};
    filters[1].participant_id = model->people[0].id;
    filters[2].gate = SLICE_LIT("g2");
    filters[3].method = METHOD_NFC;
    filters[4].verdict = VERDICT_REFUSED;
    filters[5].since_ms = middle;
    filters[5].until_ms = middle + 45000;
    filters[6].recorded_since_ms = middle;
    filters[6].gate = SLICE_LIT("g1");
    filters[7] = (struct attendance_filter){.participant_id = model->people[1].id,
                                            .gate = SLICE_LIT("g1"),
                                            .method = METHOD_QR,
                                            .verdict = VERDICT_ADMITTED,
                                            .since_ms = middle,
                                            .until_ms = TIME_NONE,
                                            .recorded_since_ms = middle};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        check_filter(model, rig, &filters[i], i % 2 == 0 ? 7 : 1000);
    }
}

static void count_bucket(const struct model *model, const struct timeline_point *point,
                         int64_t step_ms, struct timeline_point *ret_wanted) {
    for (size_t i = 0; i < model->len; i++) {
        const struct model_record *record = &model->records[i];
        char gate[16];
        snprintf(gate, sizeof gate, "g%d", record->gate + 1);
        if (!slice_eq_text(point->gate, gate) || record->scanned_at_ms < point->at_ms ||
            record->scanned_at_ms >= point->at_ms + step_ms) {
            continue;
        }
        ret_wanted->admitted += stands(record) && record->verdict == VERDICT_ADMITTED;
        ret_wanted->exited += stands(record) && record->verdict == VERDICT_EXITED;
        ret_wanted->refused += record->verdict == VERDICT_REFUSED;
    }
}

static void check_timeline(const struct model *model, struct rig *rig, int64_t step_ms) {
    struct store_op op;
    store_op_init(&op, STORE_READ_TIMELINE);
    op.event = SLICE_LIT("e");
    op.timeline.step_ms = step_ms;
    op.timeline.since_ms = (rig->clock.now_wall_ms - 3600000) / step_ms * step_ms;
    op.timeline.until_ms = (rig->clock.now_wall_ms / step_ms + 1) * step_ms;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    int64_t total = 0, wanted_total = 0;
    for (size_t i = 0; i < op.timeline.len; i++) {
        const struct timeline_point *point = &op.timeline.points[i];
        struct timeline_point wanted = {.admitted = 0};
        count_bucket(model, point, step_ms, &wanted);
        assert_int_equal(point->admitted, wanted.admitted);
        assert_int_equal(point->exited, wanted.exited);
        assert_int_equal(point->refused, wanted.refused);
        total += wanted.admitted + wanted.exited + wanted.refused;
    }
    for (size_t i = 0; i < model->len; i++) {
        const struct model_record *record = &model->records[i];
        wanted_total += !record->annulled && record->scanned_at_ms >= op.timeline.since_ms &&
                        record->scanned_at_ms < op.timeline.until_ms;
    }
    assert_int_equal(total, wanted_total);
    store_op_fini(&op);
}

void model_check_reads(const struct model *model, struct rig *rig) {
    check_stats(model, rig);
    check_history(model, rig);
    check_timeline(model, rig, 60000);
    check_timeline(model, rig, 300000);
    check_timeline(model, rig, 7000);
    arena_reset(&rig->arena); /* nothing read above is looked at again */
}
