/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database and the way to it. An operation travels, is carried out in one moment, and its
 * answer travels back; either may be lost. A write whose answer was lost, or that is still on its
 * way when the caller gives up, is answered "commit unknown", and may be carried out much later.
 */
#include "cluster.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

enum { LATE_US_MAX = 8000000, SLOW_US_MAX = 900000, TEXT_MAX = 32 };

struct client {
    struct store base;
    bool is_cut;
    struct request *open;
};

/* Inputs are copied: the caller may be gone when it arrives. */
struct request {
    struct request *next, *before;
    struct client *client;
    struct store_op *op; /* NULL: nobody waits any more */
    enum store_op_e kind;
    char text[TEXT_MAX]; /* token or code */
    int64_t number;      /* id or capacity */
    int status;
    struct scan scans[UPLOAD_MAX];
    size_t scans_len;
    enum err_e err;
    struct scan_result results[UPLOAD_MAX];
    struct participant person;
    bool is_found;
    struct gate gates[GATES];
    size_t gates_len;
    struct event event;
    struct event_stats stats;
};

struct db db;
static const char *const codes[GATES] = {"g0", "g1", "g2", "g3"};
static const char *const tokens[PEOPLE] = {"t0", "t1", "t2", "t3", "t4",  "t5",
                                           "t6", "t7", "t8", "t9", "t10", "t11"};
static char version_names[VERSIONS_MAX][8];

void db_begin(enum db_lie_e lie) {
    memset(&db, 0, sizeof db);
    db.lie = lie;
    db.event = (struct event){.id = 1,
                              .code = SLICE_LIT("e"),
                              .name = SLICE_LIT("E"),
                              .timezone = SLICE_LIT("UTC"),
                              .starts_at_ms = TIME_NONE,
                              .ends_at_ms = TIME_NONE,
                              .capacity = sim_chance(0.5) ? 5 : CAPACITY_NONE,
                              .reentry = sim_chance(0.7)   ? REENTRY_AFTER_EXIT
                                         : sim_chance(0.5) ? REENTRY_NONE
                                                           : REENTRY_ALWAYS};
    for (int i = 0; i < GATES; i++) {
        db.gates[i] = (struct gate){
            .id = i + 1, .code = slice_of(codes[i]), .name = slice_of(codes[i])};
        db.has_gate[i] = i < GATES_FIRST;
    }
    for (int i = 0; i < VERSIONS_MAX; i++) {
        snprintf(version_names[i], sizeof version_names[i], "v%d", i);
    }
}

int db_gate_of(struct slice code) {
    for (int i = 0; i < GATES; i++) {
        if (slice_eq_text(code, codes[i])) {
            return i;
        }
    }
    return -1;
}

static int person_of(struct slice token) {
    for (int i = 0; i < PEOPLE; i++) {
        if (slice_eq_text(token, tokens[i])) {
            return i;
        }
    }
    return -1;
}

bool db_is_down(void) {
    return sim.now_us < db.down_until_us;
}

void db_lose(int64_t us) {
    if (sim.now_us >= db.kept_until_us) {
        sim_trace("the database is away for %lld us", (long long)us);
        db.down_until_us = sim.now_us + us;
    }
}

void db_keep(int64_t us) {
    int64_t until_us = sim.now_us + us;
    db.kept_until_us = db.kept_until_us > until_us ? db.kept_until_us : until_us;
}

/* ── scans ── */

static bool lies(enum db_lie_e lie) {
    return db.lie == lie && sim_chance(0.1);
}

static int64_t now_ms(void) {
    return DAY_START_MS + (sim.now_us - 1000000000) / 1000;
}

static struct db_record *by_nonce(struct slice nonce) {
    for (size_t i = 0; i < db.len; i++) {
        if (slice_eq_text(nonce, db.records[i].nonce)) {
            return &db.records[i];
        }
    }
    return NULL;
}

static void answer_with(const struct db_record *record, struct scan_result *ret_result) {
    *ret_result = (struct scan_result){.err = ERR_OK,
                                       .record_id = record->id,
                                       .verdict = record->ruling.verdict,
                                       .reason = record->ruling.reason,
                                       .overrode = record->ruling.overrode,
                                       .forced = record->ruling.forced,
                                       .scanned_at_ms = record->scanned_at_ms,
                                       .inside = db.inside};
}

static void replay(const struct db_record *record, const struct scan *scan,
                   struct scan_result *ret_result) {
    bool is_same = slice_eq(record->token, scan->token) && slice_eq(record->gate, scan->gate) &&
                   record->direction == scan->direction;
    if (!is_same) {
        *ret_result = (struct scan_result){.err = ERR_NONCE_CONFLICT};
        return;
    }
    answer_with(record, ret_result);
    ret_result->replayed = true;
    if (lies(DB_CHANGES)) {
        ret_result->verdict = record->ruling.verdict == VERDICT_REFUSED ? VERDICT_ADMITTED
                                                                         : VERDICT_REFUSED;
    }
}

static void decide_scan(const struct scan *asked, struct scan_result *ret_result) {
    struct scan scan = *asked;
    int gate = db_gate_of(scan.gate);
    int person = person_of(scan.token);
    scan.scanned_at_ms = scan.scanned_at_ms == TIME_NONE ? now_ms() : scan.scanned_at_ms;
    struct participant participant = {.id = person + 1, .valid_from_ms = TIME_NONE,
                                      .valid_until_ms = TIME_NONE};
    struct facts facts = {.event = &db.event, .gate = &db.gates[gate], .inside = db.inside};
    if (person >= 0) {
        participant.status = db.statuses[person];
        facts.participant = &participant;
        facts.standing = &db.standings[person];
    }
    facts.inside = lies(DB_OVERFILLS) ? 0 : facts.inside;
    ASSERT(db.len < RECORDS_MAX);
    struct db_record *record = &db.records[db.len++];
    *record = (struct db_record){.id = ++db.last_id,
                                 .person = person,
                                 .token = asked->token,
                                 .gate = asked->gate,
                                 .direction = scan.direction,
                                 .ruling = rule_scan(&facts, &scan),
                                 .scanned_at_ms = scan.scanned_at_ms,
                                 .capacity = db.event.capacity};
    snprintf(record->nonce, sizeof record->nonce, "%.*s", SLICE_ARG(scan.nonce));
    db.inside += (int)record->ruling.comes_in - (int)record->ruling.goes_out;
    if (person >= 0) {
        standing_add(&db.standings[person], &record->ruling, scan.scanned_at_ms, record->id,
                     gate + 1);
    }
    answer_with(record, ret_result);
    if (lies(DB_LOSES)) {
        db.len--;
    }
}

static void do_scan(const struct scan *scan, struct scan_result *ret_result) {
    int gate = db_gate_of(scan->gate);
    const struct db_record *known = by_nonce(scan->nonce);
    if (gate < 0 || !db.has_gate[gate]) {
        *ret_result = (struct scan_result){.err = ERR_UNKNOWN_GATE};
    } else if (known != NULL && !lies(DB_DOUBLES)) {
        replay(known, scan, ret_result);
    } else {
        decide_scan(scan, ret_result);
    }
    if (db.len > 0 && lies(DB_INVENTS)) {
        db.records[db.len] = db.records[db.len - 1];
        db.records[db.len].id = ++db.last_id;
        snprintf(db.records[db.len++].nonce, sizeof db.records[0].nonce, "ghost");
    }
}

/* ── the other operations ── */

static void read_person(struct request *r, int person) {
    r->is_found = person >= 0 && person < PEOPLE;
    if (r->is_found) {
        ASSERT(db.versions[person] < VERSIONS_MAX);
        r->person = (struct participant){.id = person + 1,
                                         .token = slice_of(tokens[person]),
                                         .name = slice_of(version_names[db.versions[person]]),
                                         .email = SLICE_LIT(""),
                                         .status = db.statuses[person],
                                         .valid_from_ms = TIME_NONE,
                                         .valid_until_ms = TIME_NONE,
                                         .gates = SLICE_LIT("")};
    }
}

static void read_gates(struct request *r) {
    r->gates_len = 0;
    for (int i = 0; i < GATES; i++) {
        if (db.has_gate[i]) {
            r->gates[r->gates_len++] = db.gates[i];
        }
    }
}

static void read_stats(struct request *r) {
    r->stats = (struct event_stats){.participants = PEOPLE,
                                    .scans = (int64_t)db.len,
                                    .inside = db.inside + (lies(DB_MISCOUNTS) ? 1 : 0),
                                    .as_of_ms = now_ms()};
}

static void write_gate(struct request *r, bool makes) {
    int gate = db_gate_of(slice_of(r->text));
    ASSERT(gate >= 0);
    if (makes == db.has_gate[gate]) {
        r->err = makes ? ERR_CONFLICT : ERR_UNKNOWN_GATE;
        return;
    }
    db.has_gate[gate] = true;
    if (!makes) {
        db.gates[gate].status = (enum gate_status_e)r->status;
    }
    r->gates[0] = db.gates[gate];
}

static void carry_out(struct request *r) {
    int person = (int)r->number - 1;
    int gate = db_gate_of(slice_of(r->text));
    r->err = ERR_OK;
    if (r->kind == STORE_CHECK_IN) {
        for (size_t i = 0; i < r->scans_len; i++) {
            do_scan(&r->scans[i], &r->results[i]);
        }
    } else if (r->kind == STORE_UPDATE_PARTICIPANT) {
        db.statuses[person] = (enum participant_status_e)r->status;
        db.versions[person]++;
        read_person(r, person);
    } else if (r->kind == STORE_LOAD_PARTICIPANT) {
        read_person(r, person);
        r->err = r->is_found ? ERR_OK : ERR_UNKNOWN_PARTICIPANT;
    } else if (r->kind == STORE_LIST_PARTICIPANTS) {
        read_person(r, person_of(slice_of(r->text)));
    } else if (r->kind == STORE_CREATE_GATE || r->kind == STORE_UPDATE_GATE) {
        write_gate(r, r->kind == STORE_CREATE_GATE);
    } else if (r->kind == STORE_LOAD_GATE) {
        r->err = gate >= 0 && db.has_gate[gate] ? ERR_OK : ERR_UNKNOWN_GATE;
        r->gates[0] = db.gates[gate < 0 ? 0 : gate];
    } else if (r->kind == STORE_LIST_GATES) {
        read_gates(r);
    } else if (r->kind == STORE_UPDATE_EVENT || r->kind == STORE_LOAD_EVENT) {
        db.event.capacity = r->kind == STORE_UPDATE_EVENT ? r->number : db.event.capacity;
        r->event = db.event;
    } else if (r->kind == STORE_READ_STATS) {
        read_stats(r);
    } else {
        ASSERT(false); /* nobody asks for anything else */
    }
}

/* ── the way ── */

static void take_inputs(struct request *r, const struct store_op *op) {
    struct slice text = SLICE_NONE;
    r->kind = op->kind;
    if (op->kind == STORE_CHECK_IN) {
        ASSERT(op->check_in.len <= UPLOAD_MAX);
        r->scans_len = op->check_in.len;
        memcpy(r->scans, op->check_in.scans, r->scans_len * sizeof r->scans[0]);
    } else if (op->kind == STORE_UPDATE_PARTICIPANT || op->kind == STORE_LOAD_PARTICIPANT) {
        r->number = op->participant_write.values.id;
        r->status = (int)op->participant_write.values.status;
    } else if (op->kind == STORE_LIST_PARTICIPANTS) {
        text = op->participants.token;
    } else if (op->kind == STORE_UPDATE_EVENT) {
        r->number = op->event_write.values.capacity;
    } else if (op->kind == STORE_CREATE_GATE || op->kind == STORE_UPDATE_GATE ||
               op->kind == STORE_LOAD_GATE) {
        text = op->gate_write.values.code;
        r->status = (int)op->gate_write.values.status;
    }
    ASSERT(text.at == NULL || slice_to_cstr(text, r->text, sizeof r->text));
}

static void put_gates(struct store_op *op, const struct request *r) {
    op->gates.items = arena_alloc(&op->arena, (GATES + 1) * sizeof *op->gates.items);
    ASSERT(op->gates.items != NULL);
    memcpy(op->gates.items, r->gates, r->gates_len * sizeof r->gates[0]);
    op->gates.len = r->gates_len;
    op->gates.more = false;
}

static void put_people(struct store_op *op, const struct request *r) {
    op->participants.items = arena_alloc(&op->arena, sizeof *op->participants.items);
    ASSERT(op->participants.items != NULL);
    op->participants.items[0] = r->person;
    op->participants.len = r->is_found;
    op->participants.more = false;
}

static void put_outputs(struct store_op *op, const struct request *r) {
    if (op->kind == STORE_CHECK_IN) {
        memcpy(op->check_in.results, r->results, r->scans_len * sizeof r->results[0]);
    } else if (op->kind == STORE_UPDATE_PARTICIPANT || op->kind == STORE_LOAD_PARTICIPANT) {
        op->participant_write.values = r->person;
        op->participant_write.ret_old_token = r->person.token;
    } else if (op->kind == STORE_LIST_PARTICIPANTS) {
        put_people(op, r);
    } else if (op->kind == STORE_LIST_GATES) {
        put_gates(op, r);
    } else if (op->kind == STORE_UPDATE_EVENT || op->kind == STORE_LOAD_EVENT) {
        op->event_write.values = r->event;
    } else if (op->kind == STORE_READ_STATS) {
        op->stats = r->stats;
    } else {
        op->gate_write.values = r->gates[0];
    }
}

static void unlink_request(struct request *r) {
    if (r->before != NULL) {
        r->before->next = r->next;
    } else {
        r->client->open = r->next;
    }
    if (r->next != NULL) {
        r->next->before = r->before;
    }
}

static void answer(struct request *r, enum err_e err) {
    struct store_op *op = r->op;
    if (op == NULL) {
        return;
    }
    r->op = NULL;
    unlink_request(r);
    op->err = err;
    if (err == ERR_OK) {
        put_outputs(op, r);
    }
    op->ended_us = sim.now_us;
    op->done(op);
}

static void come_back(void *data, uint64_t err) {
    struct request *r = data;
    answer(r, (enum err_e)err);
    free(r);
}

static void carry_out_late(void *data, uint64_t number) {
    struct request *r = data;
    (void)number;
    carry_out(r);
    free(r);
}

/* Nobody knows what became of it, and it may yet be carried out. */
static void lose_way(struct request *r) {
    answer(r, store_op_writes(r->kind) ? ERR_COMMIT_UNKNOWN : ERR_UNAVAILABLE);
    if (store_op_writes(r->kind) && sim_chance(0.5)) {
        sim_at(sim_between(0, LATE_US_MAX), carry_out_late, r, 0);
    } else {
        free(r);
    }
}

static void arrive(void *data, uint64_t number) {
    struct request *r = data;
    (void)number;
    if (db_is_down()) {
        sim_at(sim_delay(), come_back, r, ERR_UNAVAILABLE);
    } else if (!sim.calm && sim_chance(0.02)) {
        lose_way(r);
    } else {
        carry_out(r);
        bool is_lost = !sim.calm && sim_chance(0.02);
        enum err_e lost = store_op_writes(r->kind) ? ERR_COMMIT_UNKNOWN : ERR_UNAVAILABLE;
        int64_t us = !sim.calm && sim_chance(0.05) ? sim_between(0, SLOW_US_MAX) : sim_delay();
        sim_at(us, come_back, r, is_lost ? lost : r->err);
    }
}

static void client_submit(struct store *store, struct store_op *op) {
    struct client *client = (struct client *)store;
    op->submitted_us = op->begun_us = sim.now_us;
    if (client->is_cut) {
        op->err = ERR_UNAVAILABLE;
        op->done(op);
        return;
    }
    struct request *r = calloc(1, sizeof *r);
    ASSERT(r != NULL);
    r->client = client;
    r->op = op;
    r->next = client->open;
    if (r->next != NULL) {
        r->next->before = r;
    }
    client->open = r;
    take_inputs(r, op);
    sim_at(sim_delay(), arrive, r, 0);
}

static void client_health(struct store *store, struct store_health *ret_health) {
    (void)store;
    *ret_health = (struct store_health){.reads = true, .writes = true};
}

static const struct store_vtable vtable = {"simulated", client_submit, client_health, NULL};

struct store *db_client_make(void) {
    struct client *client = calloc(1, sizeof *client);
    ASSERT(client != NULL);
    client->base.vtable = &vtable;
    return &client->base;
}

void db_client_cut(struct store *store) {
    struct client *client = (struct client *)store;
    client->is_cut = true;
    while (client->open != NULL) {
        answer(client->open, ERR_UNAVAILABLE);
    }
}

void db_client_free(struct store *store) {
    free(store);
}
