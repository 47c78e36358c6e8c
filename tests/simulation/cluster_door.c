/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scanners, organisers and readers. A scanner sends a scan, or what it scanned while it was
 * offline, to some node, and asks again, of any node and with the same nonces, until it knows.
 */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEVICES = 6, OFFLINE_MS_MAX = 3000 };

struct device {
    struct ticket *tickets[UPLOAD_MAX];
    size_t len;
    uint64_t attempt;
    bool is_done;
};
static struct device devices[DEVICES];
static bool is_quiet;
static size_t busy; /* devices and organisers that have not ended their day */

static const char *const tokens[PEOPLE] = {"t0", "t1", "t2", "t3", "t4",  "t5",
                                           "t6", "t7", "t8", "t9", "t10", "t11"};

/* A request on its way. */
struct call {
    struct device *device;
    struct node_loop *loop;
    uint64_t attempt;
    int64_t begun_us;
    size_t len;
    struct ticket *tickets[UPLOAD_MAX];
    struct scan scans[UPLOAD_MAX];
    struct scan_result results[UPLOAD_MAX];
};

static bool network_loses(void) {
    bool loses = !sim.calm && sim_chance(0.03);
    tally.lost_replies += loses;
    return loses;
}

/* ── scanners ── */

static struct ticket *new_ticket(void) {
    struct ticket *ticket = &ledger.tickets[ledger.len];
    ASSERT(ledger.len < TICKETS_MAX);
    bool is_stranger = sim_chance(0.03);
    *ticket = (struct ticket){.person = is_stranger ? -1 : (int)sim_between(0, PEOPLE - 1)};
    snprintf(ticket->nonce, sizeof ticket->nonce, "n%zu", ledger.len++);
    snprintf(ticket->token, sizeof ticket->token, "%s",
             is_stranger ? "nobody" : tokens[ticket->person]);
    int gate = (int)sim_between(0, GATES - 1);
    gate = gate < GATES_FIRST || db.has_gate[gate] ? gate : 0;
    ticket->scan = (struct scan){.token = slice_of(ticket->token),
                                 .gate = db.gates[gate].code,
                                 .nonce = slice_of(ticket->nonce),
                                 .direction = sim_chance(0.35) ? DIRECTION_EXIT : DIRECTION_ENTRY,
                                 .scanned_at_ms = TIME_NONE,
                                 .force = sim_chance(0.03)};
    return ticket;
}

static void attempt(struct device *device);

static void next(void *data, uint64_t number) {
    struct device *device = data;
    (void)number;
    if (sim.now_us >= cluster_faults_until_us) {
        device->is_done = true;
        busy--;
        return;
    }
    device->len = sim_chance(0.1) ? 2 + (size_t)sim_between(0, UPLOAD_MAX - 2) : 1;
    tally.batches += device->len > 1;
    for (size_t i = 0; i < device->len; i++) {
        device->tickets[i] = new_ticket();
        if (device->len > 1) {
            device->tickets[i]->scan.scanned_at_ms = DAY_START_MS +
                (sim.now_us - 1000000000) / 1000 - sim_between(0, OFFLINE_MS_MAX);
        }
    }
    attempt(device);
}

static void on_timeout(void *data, uint64_t number) {
    struct device *device = data;
    if (device->attempt == number) {
        attempt(device);
    }
}

static void on_reply(void *data, uint64_t number) {
    struct call *call = data;
    struct device *device = call->device;
    bool knows_all = true;
    (void)number;
    for (size_t i = 0; i < call->len; i++) {
        judge_answer(call->tickets[i], &call->results[i], call->begun_us);
        knows_all = knows_all && call->tickets[i]->is_acked;
    }
    if (device->attempt == call->attempt) {
        device->attempt++;
        if (!knows_all) {
            sim_at(sim_between(20000, 200000), on_timeout, device, device->attempt);
        } else {
            sim_at(sim_between(1000, 60000), next, device, 0);
        }
    }
    free(call);
}

static void answer(struct call *call) {
    struct node *node = call->loop->node;
    node->calls--;
    node->served++;
    if (node->dead || network_loses()) {
        free(call);
        return;
    }
    sim_at(sim_delay(), on_reply, call, 0);
}

static void on_scan(const struct scan_result *result, void *owner) {
    struct call *call = owner;
    call->results[0] = *result;
    answer(call);
}

static void on_batch(struct checkin_batch *batch, const struct scan_result *results, void *owner) {
    struct call *call = owner;
    memcpy(call->results, results, call->len * sizeof call->results[0]);
    checkin_batch_free(batch);
    answer(call);
}

static void on_arrival(void *data, uint64_t number) {
    static const unsigned char none[UPLOAD_MAX];
    struct call *call = data;
    struct node *node = call->loop->node;
    (void)number;
    if (node->dead || node->drains || network_loses()) {
        free(call); /* the device's patience ends */
        return;
    }
    node->calls++;
    struct checkin *checkin = call->loop->checkin;
    enum err_e err =
        call->len == 1
            ? checkin_scan(checkin, SLICE_LIT("e"), &call->scans[0], on_scan, call)
            : checkin_batch(checkin, SLICE_LIT("e"), call->scans, none, call->len, on_batch, call);
    if (err != ERR_OK) {
        for (size_t i = 0; i < call->len; i++) {
            call->results[i] = (struct scan_result){.err = err};
        }
        answer(call);
    }
}

static void attempt(struct device *device) {
    struct node *node = node_some();
    device->attempt++;
    sim_at(sim_between(200000, 1200000), on_timeout, device, device->attempt);
    if (node == NULL) {
        return;
    }
    struct call *call = calloc(1, sizeof *call);
    ASSERT(call != NULL);
    *call = (struct call){.device = device,
                          .loop = &node->loops[sim_between(0, LOOPS - 1)],
                          .attempt = device->attempt,
                          .begun_us = sim.now_us,
                          .len = device->len};
    for (size_t i = 0; i < call->len; i++) {
        call->tickets[i] = device->tickets[i];
        call->scans[i] = device->tickets[i]->scan;
    }
    sim_at(sim_delay(), on_arrival, call, 0);
}

/* ── operations of the API ── */

struct job {
    struct store_op op;
    struct node *node;
    int64_t begun_us;
    int person, gate;
};

static struct job *new_job(struct node *node, enum store_op_e kind,
                           void (*done)(struct store_op *op)) {
    struct job *job = calloc(1, sizeof *job);
    ASSERT(job != NULL);
    store_op_init(&job->op, kind);
    job->op.event = SLICE_LIT("e");
    job->op.done = done;
    job->op.owner = job;
    job->node = node;
    job->begun_us = sim.now_us;
    node->calls++;
    return job;
}

static void submit(struct job *job) {
    store_submit(job->node->loops[sim_between(0, LOOPS - 1)].cached, &job->op);
}

static void end(struct job *job) {
    job->node->calls--;
    job->node->served++;
    store_op_fini(&job->op);
    free(job);
}

/* ── readers ── */

static void on_person(struct store_op *op) {
    struct job *job = op->owner;
    bool speaks = op->err == ERR_OK && !job->node->dead;
    tally.reads++;
    tally.stale += speaks && op->stale_s > 0;
    if (speaks && op->stale_s == 0) { /* a stale one is marked: it promises its age only */
        bool by_token = op->kind == STORE_LIST_PARTICIPANTS;
        if (by_token && op->participants.len != 1) {
            mistake("person %d is not there", job->person);
        } else {
            judge_person(job->person, by_token ? &op->participants.items[0]
                                               : &op->participant_write.values, job->begun_us);
        }
    }
    end(job);
}

static void read_person(struct node *node, int person) {
    bool by_token = sim_chance(0.7);
    struct job *job =
        new_job(node, by_token ? STORE_LIST_PARTICIPANTS : STORE_LOAD_PARTICIPANT, on_person);
    job->person = person;
    if (by_token) {
        job->op.participants.token = slice_of(tokens[person]);
        job->op.participants.limit = 100;
    } else {
        job->op.participant_write.values.id = person + 1;
    }
    submit(job);
}

static void on_stats(struct store_op *op) {
    struct job *job = op->owner;
    tally.reads++;
    if (op->err == ERR_OK && op->stale_s == 0 && !job->node->dead) {
        judge_stats(&op->stats, job->begun_us);
        if (is_quiet && op->stats.inside != db.inside) {
            mistake("occupancy: %d told inside, %d are", (int)op->stats.inside, (int)db.inside);
        }
    }
    end(job);
}

static void on_gate(struct store_op *op) {
    struct job *job = op->owner;
    int64_t known_us = ledger.gates_us[job->gate];
    if (op->err == ERR_UNKNOWN_GATE && !job->node->dead && known_us != INT64_MAX &&
        known_us + BOUND_US <= job->begun_us) {
        mistake("stale: gate %d is not seen", job->gate);
    }
    end(job);
}

static void on_read(void *data, uint64_t number) {
    struct node *node = node_some();
    if (sim.now_us < cluster_faults_until_us) {
        sim_at(sim_between(1000, 25000), on_read, data, number);
    }
    if (node == NULL) {
        return;
    }
    if (sim_chance(0.8)) {
        read_person(node, (int)sim_between(0, PEOPLE - 1));
    } else if (sim_chance(0.5)) {
        submit(new_job(node, STORE_READ_STATS, on_stats));
    } else {
        struct job *job = new_job(node, STORE_LOAD_GATE, on_gate);
        job->gate = (int)sim_between(0, GATES - 1);
        job->op.gate_write.values.code = db.gates[job->gate].code;
        submit(job);
    }
}

/* ── organisers ── */

static void on_updated(struct store_op *op) {
    struct job *job = op->owner;
    int64_t version;
    if (op->err == ERR_OK && !job->node->dead &&
        slice_to_int(slice_skip(op->participant_write.values.name, 1), 0, VERSIONS_MAX,
                     &version)) {
        ledger.acked_versions_us[job->person][version] = sim.now_us;
    }
    end(job);
}

static void on_other_write(struct store_op *op) {
    end(op->owner);
}

/* Who changes somebody looks, and so do those at the gates: reads race with the write. */
static void look_at(void *data, uint64_t person) {
    struct node *node = node_some();
    (void)data;
    if (node != NULL) {
        read_person(node, (int)person);
    }
}

static void change_person(struct node *node) {
    static const enum participant_status_e statuses[] = {
        PARTICIPANT_ACTIVE, PARTICIPANT_ACTIVE, PARTICIPANT_BLOCKED, PARTICIPANT_CANCELLED};
    int person = (int)sim_between(0, PEOPLE - 1);
    if (db.versions[person] + 8 >= VERSIONS_MAX) {
        return;
    }
    struct job *job = new_job(node, STORE_UPDATE_PARTICIPANT, on_updated);
    job->person = person;
    job->op.participant_write.values.id = person + 1;
    job->op.participant_write.values.status = statuses[sim_between(0, 3)];
    job->op.participant_write.fields = PARTICIPANT_STATUS;
    submit(job);
    for (int i = 0; i < 3; i++) {
        sim_at(sim_between(0, 3 * sim.delay_us), look_at, NULL, (uint64_t)person);
    }
}

static void on_write(void *data, uint64_t number) {
    struct node *node = node_some();
    if (sim.now_us < cluster_faults_until_us) {
        sim_at(sim_between(10000, 400000), on_write, data, number);
    }
    if (node == NULL) {
        return;
    }
    tally.writes++;
    if (sim_chance(0.8)) {
        change_person(node);
    } else if (sim_chance(0.5)) {
        struct job *job = new_job(node, STORE_UPDATE_GATE, on_other_write);
        job->op.gate_write.values.code = db.gates[sim_between(0, GATES_FIRST - 1)].code;
        job->op.gate_write.values.status = sim_chance(0.7) ? GATE_OPEN : GATE_CLOSED;
        job->op.gate_write.fields = GATE_STATUS;
        submit(job);
    } else {
        struct job *job = new_job(node, STORE_UPDATE_EVENT, on_other_write);
        job->op.event_write.values.capacity =
            sim_chance(0.3) ? CAPACITY_NONE : sim_between(2, PEOPLE);
        job->op.event_write.fields = EVENT_CAPACITY;
        submit(job);
    }
}

/* A gate is asked for until it is known to be there. */
static void make_gate(void *data, uint64_t gate);

static void on_gate_made(struct store_op *op) {
    struct job *job = op->owner;
    int gate = job->gate;
    bool is_known = (op->err == ERR_OK || op->err == ERR_CONFLICT) && !job->node->dead;
    if (is_known) {
        /* A conflict tells that it is there; who made it may not have told others yet. */
        ledger.gates_us[gate] = op->err == ERR_OK ? sim.now_us : INT64_MAX;
        busy--;
    } else {
        sim_at(sim_between(10000, 300000), make_gate, NULL, (uint64_t)gate);
    }
    end(job);
}

static void make_gate(void *data, uint64_t gate) {
    struct node *node = node_some();
    if (node == NULL) {
        sim_at(100000, make_gate, data, gate);
        return;
    }
    struct job *job = new_job(node, STORE_CREATE_GATE, on_gate_made);
    job->gate = (int)gate;
    job->op.gate_write.values.code = db.gates[gate].code;
    job->op.gate_write.values.name = db.gates[gate].code;
    submit(job);
}

/* ── a day ── */

void door_begin(void) {
    memset(devices, 0, sizeof devices);
    busy = DEVICES;
    is_quiet = false;
    for (int i = 0; i < DEVICES; i++) {
        sim_at(sim_between(0, 50000), next, &devices[i], 0);
    }
    for (uint64_t gate = GATES_FIRST; gate < GATES; gate++) {
        busy++;
        sim_at(sim_between(0, 3000000), make_gate, NULL, gate);
    }
    sim_at(0, on_read, NULL, 0);
    sim_at(0, on_write, NULL, 0);
}

bool door_is_done(void) {
    return busy == 0;
}

void door_ask_all(void) {
    is_quiet = true;
    for (int i = 0; i < NODES; i++) {
        if (nodes[i] == NULL || nodes[i]->drains) {
            continue;
        }
        for (int person = 0; person < PEOPLE; person++) {
            read_person(nodes[i], person);
        }
        submit(new_job(nodes[i], STORE_READ_STATS, on_stats));
    }
    for (size_t i = 0; i < ledger.len; i += 7) { /* every seventh once more */
        struct device *device = &devices[i % DEVICES];
        struct node *node = node_some();
        struct call *call = calloc(1, sizeof *call);
        ASSERT(call != NULL && node != NULL);
        *call = (struct call){.device = device, .loop = &node->loops[0], .begun_us = sim.now_us,
                              .len = 1, .attempt = UINT64_MAX};
        call->tickets[0] = &ledger.tickets[i];
        call->scans[0] = ledger.tickets[i].scan;
        sim_at((int64_t)i * 1000, on_arrival, call, 0);
    }
}
