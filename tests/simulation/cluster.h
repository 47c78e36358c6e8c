/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole cluster on the virtual clock of sim.h: what its parts share.
 *
 *   cluster_loop.c    io/loop.h on virtual time, so that check-in and the caching store run as they
 *                     are; it takes the place of the real one when the program is linked
 *   cluster_db.c      the database: rule_scan on records in memory, over a network that loses
 *   cluster_judge.c   what was promised, and what came of it
 *   cluster_node.c    nodes: check-in, the caching store, the tiered cache, clocks that are off
 *   cluster_door.c    scanners, organisers and readers, who ask again until they know
 *   cluster_control.c the controller and what it decides
 *   cluster.c         days, faults, the test
 */
#ifndef TURNOUT_TESTS_SIMULATION_CLUSTER_H
#define TURNOUT_TESTS_SIMULATION_CLUSTER_H

#include "sim.h"

#include "checkin/checkin.h"
#include "cache/cached_store.h"

enum {
    PEOPLE = 12,
    GATES = 4,       /* the last two are made during the day */
    GATES_FIRST = 2,
    TICKETS_MAX = 4096,
    RECORDS_MAX = 8192,
    VERSIONS_MAX = 512,
    UPLOAD_MAX = 8,  /* scans in one batch */
    BOUND_US = 1000000,
};
#define DAY_START_MS 1790000000000LL

struct clock *cluster_clock(int node); /* of this slot: its wall clock may be off */
extern int64_t cluster_skew_ms[NODES];
extern int64_t cluster_faults_until_us;

/* ── the loop ── */
struct loop *vloop_make(int node, int index);
void vloop_free(struct loop *loop);

/* ── the database ── */

/* What it may do wrong on purpose, to show that the judge would see it. */
enum db_lie_e {
    DB_HONEST,
    DB_LOSES,     /* a scan that it acknowledged */
    DB_DOUBLES,   /* a scan that came again */
    DB_INVENTS,   /* a record */
    DB_CHANGES,   /* a verdict, when it is asked for again */
    DB_MISCOUNTS, /* who is inside */
    DB_OVERFILLS, /* the event */
    DB_LIES,
};

struct db_record {
    int64_t id;
    int person; /* -1: nobody's token */
    char nonce[24];
    struct slice token, gate; /* of the ticket, which lives as long */
    enum direction_e direction;
    struct ruling ruling;
    int64_t scanned_at_ms;
    int64_t capacity; /* then */
};

extern struct db {
    struct db_record records[RECORDS_MAX];
    size_t len;
    struct event event;
    struct gate gates[GATES];
    bool has_gate[GATES];
    enum participant_status_e statuses[PEOPLE];
    int64_t versions[PEOPLE]; /* grows with each change: the name spells it */
    struct standing standings[PEOPLE];
    int64_t inside;
    int64_t last_id;
    uint64_t mark;
    int64_t down_until_us;
    int64_t kept_until_us; /* it may not go down before: see docs/cache.md */
    enum db_lie_e lie;
} db;

void db_begin(enum db_lie_e lie);
int db_gate_of(struct slice code); /* -1: none has this code */
void db_lose(int64_t us);
void db_keep(int64_t us);

/* A node's way to it. */
struct store *db_client_make(void);
void db_client_cut(struct store *client); /* its node is dead: what is under way ends now, here */
void db_client_free(struct store *client);
bool db_is_down(void);

/* ── the judge ── */

struct ticket {
    char nonce[24];
    char token[8];
    struct scan scan;
    int person; /* -1 */
    bool is_acked;
    bool was_decided; /* one of the answers was no replay */
    int64_t acked_us;
    struct scan_result answer; /* the first; texts are gone */
};

extern struct ledger {
    struct ticket tickets[TICKETS_MAX];
    size_t len;
    int64_t acked_versions_us[PEOPLE][VERSIONS_MAX]; /* 0: it was not */
    bool is_loose[PEOPLE]; /* a writer died before it had told */
    int64_t gates_us[GATES]; /* since when each is known to be there; INT64_MAX: it is not */
} ledger;

extern struct tally {
    uint64_t seed, mistakes, scans, replays, refused, batches, reads, stale, writes, crashes,
        restarts, starts, stops, errors, lost_replies;
} tally;

void judge_begin(void);
void judge_quietly(bool is_quiet); /* what is found is counted, not printed */
void mistake(const char *format, ...) PRINTF_LIKE(1, 2);
void judge_answer(struct ticket *ticket, const struct scan_result *result, int64_t begun_us);
void judge_person(int person, const struct participant *seen, int64_t begun_us);
void judge_stats(const struct event_stats *stats, int64_t begun_us);
void judge_records(void); /* at the end */

/* ── nodes ── */

struct node_loop {
    struct node *node;
    struct loop *loop;
    struct sim_port *port;
    struct tiered_loop *tiered;
    struct store *cached;
    struct checkin *checkin;
};
struct node {
    int slot;
    bool drains, dead;
    struct node_loop loops[LOOPS];
    struct tiered *tiered;
    struct cached_node *cached;
    struct store *client;
    struct seeded_rng rng;
    size_t calls; /* under way here */
    unsigned closed;
    uint64_t served, served_before;
    double memory;
    struct node *next; /* of all that ever were */
};
extern struct node *nodes[NODES]; /* NULL: down */

void node_start(int slot);
void node_crash(int slot);
void node_drain(int slot);
void nodes_end(void);  /* all go */
void nodes_free(void); /* after the last event */
struct node *node_some(void); /* that takes requests, or NULL */
size_t nodes_serving(void);

/* ── who asks ── */
void door_begin(void);
void door_ask_all(void); /* every node for everything, when it is quiet */
bool door_is_done(void);

/* ── control ── */
void control_begin(void);
void control_end(void);

#endif
