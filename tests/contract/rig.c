/* SPDX-License-Identifier: Apache-2.0 */
/* A store on a virtual clock, and operations that wait. */
#include "rig.h"

#include "rig_cached.h"
#include "rig_loop.h"
#include "rig_postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum err_e rig_open(const struct rig *rig, struct clock *clock, struct rng *rng,
                    struct store **ret_store, struct problem *ret_problem) {
    const struct sqlite_options sqlite = {
        .path = rig->path,
        .clock = clock,
        .rng = rng,
        .queue_max = 4096,
        .group_max = rig->group_max,
        .readers = 2,
    };
    const struct postgres_options postgres = {
        .url = rig->path,
        .clock = clock,
        .rng = rng,
        .queue_max = 4096,
        .group_max = rig->group_max,
        .writers = 2,
        .readers = 2,
    };
    enum err_e err = rig_is_postgres() ? postgres_open(&postgres, ret_store, ret_problem)
                                       : sqlite_open(&sqlite, ret_store, ret_problem);
    if (err == ERR_OK && rig_is_postgres() && getenv("TURNOUT_CONTRACT_LOOP") != NULL) {
        *ret_store = rig_loop_create(*ret_store);
    }
    if (err == ERR_OK && rig_is_cached()) {
        *ret_store = rig_cached_open(*ret_store, clock);
    }
    return err;
}

bool rig_is_cached(void) {
    const char *cached = getenv("TURNOUT_CONTRACT_CACHED");
    return cached != NULL && strcmp(cached, "1") == 0;
}

static void open_store(struct rig *rig) {
    struct problem problem = {.field = ""};
    enum err_e err = rig_open(rig, &rig->clock.base, &rig->rng.base, &rig->store, &problem);
    if (err != ERR_OK) {
        fail_msg("open: %s: %s", err_code(err), problem.detail);
    }
}

static void make_place(struct rig *rig) {
    if (rig_is_postgres()) {
        rig_postgres_borrow(rig->path);
        return;
    }
    snprintf(rig->folder, sizeof rig->folder, "/tmp/turnout-contract-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/store.db", rig->folder);
}

static void remove_place(struct rig *rig) {
    if (rig_is_postgres()) {
        return; /* the next test empties it */
    }
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[sizeof rig->path + 8];
        snprintf(path, sizeof path, "%s%s", rig->path, suffixes[i]);
        unlink(path);
    }
    rmdir(rig->folder);
}

void rig_begin(struct rig *rig) {
    size_t group_max = rig->group_max;
    *rig = (struct rig){.group_max = group_max == 0 ? 256 : group_max};
    make_place(rig);
    rig_resume(rig);
}

void rig_resume(struct rig *rig) {
    virtual_clock_init(&rig->clock, RIG_START_MS);
    seeded_rng_init(&rig->rng, 1);
    arena_init(&rig->arena, (size_t)1 << 30);
    open_store(rig);
}

void rig_reopen(struct rig *rig) {
    store_close(rig->store);
    open_store(rig);
}

void rig_end(struct rig *rig) {
    store_close(rig->store);
    arena_fini(&rig->arena);
    remove_place(rig);
}

int rig_setup(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig_begin(rig);
    rig_event(rig, "e", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    rig_gate(rig, "e", "g1");
    rig_gate(rig, "e", "g2");
    *state = rig;
    return 0;
}

int rig_teardown(void **state) {
    rig_end(*state);
    free(*state);
    return 0;
}

static void must(struct rig *rig, struct store_op *op) {
    enum err_e err = store_run(rig->store, op);
    if (err != ERR_OK) {
        fail_msg("%s: %s %s: %s", store_op_text(op->kind), err_code(err), op->problem.field,
                 op->problem.detail);
    }
}

static struct event event_of(const char *code, enum reentry_e reentry, int64_t capacity) {
    return (struct event){.code = slice_of(code),
                          .name = slice_of(code),
                          .timezone = SLICE_LIT("UTC"),
                          .starts_at_ms = TIME_NONE,
                          .ends_at_ms = TIME_NONE,
                          .capacity = capacity,
                          .reentry = reentry};
}

void rig_event(struct rig *rig, const char *code, enum reentry_e reentry, int64_t capacity) {
    struct store_op op;
    store_op_init(&op, STORE_CREATE_EVENT);
    op.event_write.values = event_of(code, reentry, capacity);
    must(rig, &op);
    store_op_fini(&op);
}

void rig_set_event(struct rig *rig, const char *code, enum reentry_e reentry, int64_t capacity) {
    struct store_op op;
    store_op_init(&op, STORE_UPDATE_EVENT);
    op.event = slice_of(code);
    op.event_write.values = event_of(code, reentry, capacity);
    op.event_write.fields = EVENT_REENTRY | EVENT_CAPACITY;
    must(rig, &op);
    store_op_fini(&op);
}

void rig_gate(struct rig *rig, const char *event, const char *code) {
    struct store_op op;
    store_op_init(&op, STORE_CREATE_GATE);
    op.event = slice_of(event);
    op.gate_write.values = (struct gate){.code = slice_of(code), .name = slice_of(code)};
    must(rig, &op);
    store_op_fini(&op);
}

void rig_set_gate(struct rig *rig, const char *event, const char *code,
                  enum gate_status_e status) {
    struct store_op op;
    store_op_init(&op, STORE_UPDATE_GATE);
    op.event = slice_of(event);
    op.gate_write.values = (struct gate){.code = slice_of(code), .status = status};
    op.gate_write.fields = GATE_STATUS;
    must(rig, &op);
    store_op_fini(&op);
}

int64_t rig_person(struct rig *rig, const char *event, const char *token, const char *name,
                   const char *email) {
    struct store_op op;
    store_op_init(&op, STORE_CREATE_PARTICIPANT);
    op.event = slice_of(event);
    op.participant_write.values = (struct participant){.token = slice_of(token),
                                                       .name = slice_of(name),
                                                       .email = slice_of(email),
                                                       .valid_from_ms = TIME_NONE,
                                                       .valid_until_ms = TIME_NONE};
    must(rig, &op);
    int64_t id = op.participant_write.values.id;
    store_op_fini(&op);
    return id;
}

enum err_e rig_patch(struct rig *rig, const char *event, int64_t id, unsigned fields,
                     const struct participant *values) {
    struct store_op op;
    store_op_init(&op, STORE_UPDATE_PARTICIPANT);
    op.event = slice_of(event);
    op.participant_write.values = *values;
    op.participant_write.values.id = id;
    op.participant_write.fields = fields;
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

enum err_e rig_erase(struct rig *rig, const char *event, int64_t id) {
    struct store_op op;
    store_op_init(&op, STORE_ERASE_PARTICIPANT);
    op.event = slice_of(event);
    op.participant_write.values.id = id;
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

static void keep(struct rig *rig, struct slice *text) {
    if (text->at != NULL) {
        *text = arena_copy(&rig->arena, *text);
        assert_non_null(text->at);
    }
}

enum err_e rig_load(struct rig *rig, const char *event, int64_t id,
                    struct participant *ret_person) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_PARTICIPANT);
    op.event = slice_of(event);
    op.participant_write.values.id = id;
    enum err_e err = store_run(rig->store, &op);
    *ret_person = op.participant_write.values;
    if (err == ERR_OK) {
        keep(rig, &ret_person->token);
        keep(rig, &ret_person->name);
        keep(rig, &ret_person->email);
        keep(rig, &ret_person->gates);
        keep(rig, &ret_person->attention);
    }
    store_op_fini(&op);
    return err;
}

struct scan_result rig_scan(struct rig *rig, const char *event, struct scan scan) {
    struct store_op op;
    struct scan_result result;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = slice_of(event);
    op.check_in.scans = &scan;
    op.check_in.results = &result;
    op.check_in.len = 1;
    must(rig, &op);
    if (result.has_participant) {
        keep(rig, &result.participant.name);
        keep(rig, &result.participant.attention);
    }
    if (result.has_first) {
        keep(rig, &result.first_gate);
    }
    store_op_fini(&op);
    return result;
}

enum err_e rig_annul(struct rig *rig, const char *event, int64_t record_id,
                     struct attendance_record *ret_record) {
    struct store_op op;
    store_op_init(&op, STORE_ANNUL);
    op.event = slice_of(event);
    op.annul.record_id = record_id;
    enum err_e err = store_run(rig->store, &op);
    if (ret_record != NULL) {
        *ret_record = op.annul.record;
        ret_record->gate = SLICE_NONE;
    }
    store_op_fini(&op);
    return err;
}

struct event_stats rig_stats(struct rig *rig, const char *event) {
    struct store_op op;
    store_op_init(&op, STORE_READ_STATS);
    op.event = slice_of(event);
    must(rig, &op);
    struct event_stats stats = op.stats;
    stats.gates = arena_alloc(&rig->arena, (stats.gates_len + 1) * sizeof *stats.gates);
    assert_non_null(stats.gates);
    for (size_t i = 0; i < stats.gates_len; i++) {
        stats.gates[i] = op.stats.gates[i];
        keep(rig, &stats.gates[i].gate);
    }
    store_op_fini(&op);
    return stats;
}

struct attendance_record *rig_history(struct rig *rig, const char *event,
                                      const struct attendance_filter *filter, size_t page,
                                      size_t *ret_len) {
    enum { HISTORY_MAX = 20000 };
    struct attendance_record *all = arena_alloc(&rig->arena, HISTORY_MAX * sizeof *all);
    assert_non_null(all);
    int64_t after_at_ms = TIME_NONE, after_id = 0;
    bool more = true;
    for (*ret_len = 0; more;) {
        struct store_op op;
        store_op_init(&op, STORE_LIST_ATTENDANCE);
        op.event = slice_of(event);
        op.attendance.filter = *filter;
        op.attendance.limit = page;
        op.attendance.after_at_ms = after_at_ms;
        op.attendance.after_id = after_id;
        must(rig, &op);
        for (size_t i = 0; i < op.attendance.len; i++) {
            assert_true(*ret_len < HISTORY_MAX);
            all[*ret_len] = op.attendance.items[i];
            keep(rig, &all[*ret_len].gate);
            after_at_ms = all[*ret_len].scanned_at_ms;
            after_id = all[(*ret_len)++].record_id;
        }
        more = op.attendance.more;
        assert_true(!more || op.attendance.len == page);
        store_op_fini(&op);
    }
    return all;
}

uint64_t rig_read_mark(struct store *store) {
    struct store_op op;
    store_op_init(&op, STORE_READ_MARK);
    assert_int_equal(store_run(store, &op), ERR_OK);
    uint64_t mark = op.mark.value;
    store_op_fini(&op);
    return mark;
}

void rig_turn_mark(struct store *store, uint64_t bits) {
    struct store_op op;
    store_op_init(&op, STORE_CHANGE_MARK);
    op.mark.flip = bits;
    assert_int_equal(store_run(store, &op), ERR_OK);
    store_op_fini(&op);
}

const char *rig_search(struct rig *rig, const char *event, const char *query) {
    struct store_op op;
    struct buf found;
    buf_init(&found, 65536);
    store_op_init(&op, STORE_LIST_PARTICIPANTS);
    op.event = slice_of(event);
    op.participants.query = slice_of(query);
    op.participants.limit = 100;
    enum err_e err = store_run(rig->store, &op);
    if (err != ERR_OK) {
        buf_printf(&found, "!%s", err_code(err));
    }
    for (size_t i = 0; err == ERR_OK && i < op.participants.len; i++) {
        buf_printf(&found, i == 0 ? "%lld" : " %lld", (long long)op.participants.items[i].id);
    }
    store_op_fini(&op);
    struct slice text = arena_copy(&rig->arena, buf_slice(&found));
    buf_fini(&found);
    return text.at;
}
