/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam to what remembers: one interface, several stores (SQLite, PostgreSQL, a faulty double
 * for tests). tests/contract holds every one of them to the same behaviour.
 *
 * Everything is an operation: the caller fills a store_op, submits it, and gets it back through
 * `done`, once, on whatever thread finished it (also from within store_submit, e.g. when the queue
 * is full: ERR_OVERLOADED). A write is answered only when it is durable; ERR_COMMIT_UNKNOWN and
 * ERR_IO mean that the outcome must be asked for again by nonce.
 *
 * Ownership: between submit and done the op belongs to the store. Inputs are borrowed and must live
 * so long; results live in the op's arena until store_op_clear. Thread: store_submit and
 * store_health from any thread; open and close from the main thread.
 */
#ifndef TURNOUT_STORE_STORE_H
#define TURNOUT_STORE_STORE_H

#include "base/arena.h"
#include "base/rng.h"
#include "domain/scan.h"
#include "io/mailbox.h"

enum {
    STORE_PAGE_MAX = 1000,        /* items in one page */
    STORE_SCANS_MAX = 1024,       /* scans in one operation */
    STORE_ROWS_MAX = 1024,        /* imported rows in one operation */
    STORE_KEYS_MAX = 10000,       /* API keys that a list shows */
    STORE_ACTIONS_KEPT = 10000,   /* rows of the journal: the oldest go first */
    STORE_TIMELINE_MAX = 10000,   /* points in one timeline */
    STORE_NODES_MAX = 256,        /* nodes that a list shows */
    STORE_ORDERS_MAX = 1000,      /* orders that stand at once, and that a list shows */
    STORE_ORDERS_KEPT_MS = 7 * 24 * 3600 * 1000, /* after their end */
    STORE_NOTICES_KEPT = 5000,    /* the oldest go first */
    STORE_OP_MEMORY = 16 << 20,   /* bytes one operation's results may take */
};

/* X(NAME, is a write, name in metrics) */
#define STORE_OP_TABLE(X)                                                                          \
    X(CREATE_EVENT, true, "create_event")                                                          \
    X(UPDATE_EVENT, true, "update_event")                                                          \
    X(LOAD_EVENT, false, "load_event")                                                             \
    X(LIST_EVENTS, false, "list_events")                                                           \
    X(CREATE_GATE, true, "create_gate")                                                            \
    X(UPDATE_GATE, true, "update_gate")                                                            \
    X(LOAD_GATE, false, "load_gate")                                                               \
    X(LIST_GATES, false, "list_gates")                                                             \
    X(CREATE_PARTICIPANT, true, "create_participant")                                              \
    X(UPDATE_PARTICIPANT, true, "update_participant")                                              \
    X(ERASE_PARTICIPANT, true, "erase_participant")                                                \
    X(LOAD_PARTICIPANT, false, "load_participant")                                                 \
    X(LIST_PARTICIPANTS, false, "list_participants")                                               \
    X(IMPORT_PARTICIPANTS, true, "import_participants")                                            \
    X(CHECK_IN, true, "check_in")                                                                  \
    X(ANNUL, true, "annul")                                                                        \
    X(LIST_ATTENDANCE, false, "list_attendance")                                                   \
    X(READ_STATS, false, "read_stats")                                                             \
    X(READ_TIMELINE, false, "read_timeline")                                                       \
    X(CREATE_KEY, true, "create_key")                                                              \
    X(REVOKE_KEY, true, "revoke_key")                                                              \
    X(LOAD_KEY, false, "load_key")                                                                 \
    X(LIST_KEYS, false, "list_keys")                                                               \
    X(ADD_ACTION, true, "add_action")                                                              \
    X(END_ACTION, true, "end_action")                                                              \
    X(LIST_ACTIONS, false, "list_actions")                                                         \
    X(PUT_ORDER, true, "put_order")                                                                \
    X(END_ORDER, true, "end_order")                                                                \
    X(LIST_ORDERS, false, "list_orders")                                                           \
    X(ADD_NOTICE, true, "add_notice")                                                              \
    X(END_NOTICE, true, "end_notice")                                                              \
    X(LIST_NOTICES, false, "list_notices")                                                         \
    X(REGISTER_NODE, true, "register_node")                                                        \
    X(LEAVE_NODE, true, "leave_node")                                                              \
    X(LIST_NODES, false, "list_nodes")                                                             \
    X(CLUSTER_SECRET, true, "cluster_secret")                                                      \
    X(CHANGE_MARK, true, "change_mark")                                                            \
    X(READ_MARK, false, "read_mark")                                                               \
    X(PROBE, true, "probe")

enum store_op_e {
#define X(name, writes, text) STORE_##name,
    STORE_OP_TABLE(X)
#undef X
    STORE_OP_COUNT
};

bool store_op_writes(enum store_op_e kind);
/* Whether it changes what a cache may keep for longer than a moment. */
bool store_op_changes_lasting(enum store_op_e kind);
const char *store_op_text(enum store_op_e kind);

/* Fields named in a patch or a row; a field that is not named keeps its value. */
enum event_field_e {
    EVENT_NAME = 1 << 0,
    EVENT_TIMEZONE = 1 << 1,
    EVENT_STARTS_AT = 1 << 2,
    EVENT_ENDS_AT = 1 << 3,
    EVENT_CAPACITY = 1 << 4,
    EVENT_REENTRY = 1 << 5,
};
enum gate_field_e { GATE_NAME = 1 << 0, GATE_STATUS = 1 << 1 };
enum participant_field_e {
    PARTICIPANT_TOKEN = 1 << 0,
    PARTICIPANT_NAME = 1 << 1,
    PARTICIPANT_EMAIL = 1 << 2,
    PARTICIPANT_STATUS = 1 << 3,
    PARTICIPANT_VALID_FROM = 1 << 4,
    PARTICIPANT_VALID_UNTIL = 1 << 5,
    PARTICIPANT_GATES = 1 << 6,
    PARTICIPANT_ATTENTION = 1 << 7,
    PARTICIPANT_ALL_FIELDS = (1 << 8) - 1,
};

enum import_outcome_e { IMPORT_CREATED, IMPORT_UPDATED, IMPORT_REJECTED };
struct import_row {
    struct participant values; /* token set; the rest where `fields` names it */
    unsigned fields;           /* participant_field_e */
    enum import_outcome_e ret_outcome;
    struct slice ret_reason; /* of a rejection */
    int64_t ret_id;          /* of the participant that it met; 0: it met none */
};

/* What one scan came to. */
struct scan_result {
    enum err_e err; /* OK: decided. Else nothing was written: UNKNOWN_GATE, NONCE_CONFLICT… */
    struct problem problem;
    int64_t record_id;
    enum verdict_e verdict;
    enum reason_e reason;
    enum reason_e overrode;
    bool forced;
    bool replayed;
    bool annulled;            /* only on a replay */
    bool has_participant;     /* false: the token is unknown or the person was erased */
    struct participant participant; /* id, name, status, attention */
    bool has_first;
    int64_t first_at_ms;
    struct slice first_gate;
    int64_t inside; /* people inside the event after this scan */
    int64_t scanned_at_ms;
    int64_t decided_at_ms;
};

struct attendance_record {
    int64_t record_id;
    int64_t participant_id; /* 0: the token was unknown */
    struct slice gate;      /* code */
    enum method_e method;
    enum direction_e direction;
    enum verdict_e verdict;
    enum reason_e reason;
    enum reason_e overrode;
    bool forced;
    int64_t annulled_at_ms; /* TIME_NONE: it stands */
    int64_t scanned_at_ms;
    int64_t recorded_at_ms;
};

struct attendance_filter {
    int64_t participant_id; /* 0: any */
    struct slice gate;      /* empty: any */
    int method;             /* -1: any, else method_e */
    int verdict;            /* -1: any, else verdict_e */
    int64_t since_ms, until_ms;   /* of scanned_at, [since, until); TIME_NONE: open */
    int64_t recorded_since_ms;    /* TIME_NONE: any */
};

struct gate_stats {
    struct slice gate; /* code */
    int64_t admitted, exited, refused; /* standing records; all refusals */
    int64_t last_minute;               /* admissions recorded in the last 60 s */
};

struct event_stats {
    int64_t participants; /* not erased */
    int64_t admitted;     /* distinct people with a standing admission */
    int64_t inside;
    int64_t scans; /* all records */
    int64_t refused;
    int64_t methods[METHOD_COUNT];
    struct gate_stats *gates; /* every gate of the event, by code */
    size_t gates_len;
    int64_t as_of_ms;
};

struct timeline_point {
    int64_t at_ms; /* the bucket's start */
    struct slice gate;
    int64_t admitted, exited, refused;
};

/* X(NAME, text on the wire) */
#define KEY_SCOPE_TABLE(X)                                                                         \
    X(ADMIN, "admin")                                                                              \
    X(SCANNER, "scanner")                                                                          \
    X(ANALYST, "analyst")                                                                          \
    X(METRICS, "metrics")
#define X(name, text) SCOPE_##name,
enum key_scope_e { KEY_SCOPE_TABLE(X) SCOPE_COUNT };
#undef X
const char *key_scope_text(enum key_scope_e scope);
bool key_scope_parse(struct slice text, enum key_scope_e *ret);

enum { KEY_ID_SIZE = 16, KEY_HASH_SIZE = 32 };
struct api_key {
    struct slice id;   /* public part */
    struct slice name;
    enum key_scope_e scope;
    struct slice event; /* code; empty: every event */
    unsigned char hash[KEY_HASH_SIZE]; /* SHA-256 of the secret */
    int64_t created_at_ms;
    int64_t revoked_at_ms; /* TIME_NONE: valid */
};

/* One thing that turnout did by itself, or would have done. */
struct action_record {
    int64_t id;
    int64_t at_ms;
    struct slice system;  /* who decided: "recovery", "database" */
    struct slice actor;   /* on which node */
    struct slice action;  /* "OPTIMIZE_QUERIES" */
    struct slice target;  /* "store" */
    struct slice outcome; /* see docs/alerts-and-recovery.md */
    struct slice evidence, before, after; /* JSON objects, whole; empty: {} */
    struct slice detail;
};

/* What somebody told all controllers. */
struct order_record {
    struct slice name;   /* "acting", "silence/5f0c…" */
    struct slice value;  /* a JSON object, whole */
    struct slice author;
    int64_t at_ms;
    int64_t until_ms;    /* TIME_NONE: until it is ended */
};

/* A notice to one receiver. */
struct notice_record {
    int64_t id;
    struct slice key;    /* what the receiver knows it by, the same for each try */
    struct slice receiver;
    struct slice actor;  /* the node that tells */
    int64_t at_ms, changed_ms;
    struct slice state;  /* see docs/alerts-and-recovery.md */
    int64_t attempts;
    struct slice body;   /* a JSON object, whole */
    struct slice detail;
};

/* Whose turn it is to act (store/lease.h); term 0: it does not matter. */
struct action_fence {
    struct slice holder;
    int64_t term;
};

/* A node that serves, by its own word. */
struct node_record {
    struct slice id;           /* "host:port" */
    struct slice url;          /* where other nodes reach it */
    struct slice version;
    struct slice incarnation;  /* of this run of the process: random */
    struct slice capabilities; /* a JSON object */
    int64_t started_at_ms;     /* by its own clock */
    bool drains;               /* it takes nothing new and is about to stop */
    int64_t left_ms;           /* out: until its registration ends; below 0: it has ended since */
};
enum { CLUSTER_SECRET_SIZE = 32 };

/* A page: items behind `after`, at most `limit`; `more` when others follow. */
struct store_op {
    struct message link; /* the store's while it has the op */
    enum store_op_e kind;
    int64_t deadline_us; /* on the store's monotonic clock, then ERR_DEADLINE; 0: none */
    void (*done)(struct store_op *op); /* any thread */
    void *owner;                       /* the caller's */
    struct { /* a store in front of another keeps its caller's here, while the other has the op */
        void (*done)(struct store_op *op);
        void *owner;
    } front;
    bool may_lag; /* a read: what was acknowledged in the last second may be missing. Not for what
                     fills a cache, whose invalidations would come before the value */

    enum err_e err;
    struct problem problem;
    struct arena arena; /* of the results */
    int64_t submitted_us, begun_us, ended_us; /* for the monitor: queue and store phases */
    int64_t committing_us; /* its commit began; 0: it has none, or did not come so far */
    int64_t cache_us; /* waiting in a cache in front: for its second level, or for what another
                         operation asks the store; not the store's own time */
    bool is_cached;   /* a cache answered: no store worked for it */
    int64_t stale_s;  /* of a cached answer that may be out of date, as the store is away: its age;
                         0: it is not */

    struct slice event; /* code, for all but events and keys */
    union {
        struct {
            struct event values; /* in: all fields, or `fields` of an update; out: as stored */
            unsigned fields;
        } event_write;              /* CREATE_EVENT, UPDATE_EVENT; LOAD_EVENT fills values */
        struct {
            int64_t after;          /* event id; 0: from the start */
            size_t limit;
            struct event *items;
            size_t len;
            bool more;
        } events;
        struct {
            struct gate values;     /* code in; the gate as stored, out */
            unsigned fields;
        } gate_write;               /* CREATE_GATE, UPDATE_GATE, LOAD_GATE */
        struct {
            int64_t after;          /* gate id */
            size_t limit;
            struct gate *items;
            size_t len;
            bool more;
        } gates;
        struct {
            struct participant values; /* id in for update, load, erase; as stored, out */
            unsigned fields;
            struct slice ret_old_token; /* UPDATE_: the token before, out */
        } participant_write;        /* CREATE_, UPDATE_, ERASE_, LOAD_PARTICIPANT */
        struct {
            struct slice token;     /* exact; empty: any */
            struct slice query;     /* search text (see docs/check-in.md); empty: any */
            int64_t after;          /* participant id */
            size_t limit;
            struct participant *items;
            size_t len;
            bool more;
        } participants;
        struct {
            struct import_row *rows;
            size_t len;             /* at most STORE_ROWS_MAX */
        } import;
        struct {
            const struct scan *scans; /* decided in this order; each on its own */
            struct scan_result *results;
            size_t len;             /* at most STORE_SCANS_MAX */
        } check_in;
        struct {
            int64_t record_id;
            struct attendance_record record; /* out */
        } annul;
        struct {
            struct attendance_filter filter;
            int64_t after_at_ms;    /* newest first, behind (after_at, after_id); TIME_NONE: all */
            int64_t after_id;
            size_t limit;
            struct attendance_record *items;
            size_t len;
            bool more;
        } attendance;
        struct event_stats stats;
        struct {
            int64_t since_ms, until_ms; /* whole buckets: since is a multiple of step */
            int64_t step_ms;            /* a multiple of 1000 */
            struct timeline_point *points; /* by time, then gate; only what is not all zero */
            size_t len;
        } timeline;
        struct api_key key;         /* CREATE_KEY in; LOAD_KEY and REVOKE_KEY: id in, the key out */
        struct {
            struct api_key *items;
            size_t len;
        } keys;
        struct {
            struct action_record values; /* ADD_ACTION: all but id and at in, these two out.
                END_ACTION: outcome, after and detail of the one with this id, whose time is now
                when it was "waiting" until then; id 0: of all of this system and actor (empty:
                any) whose outcome is `was` */
            struct slice was;
            struct action_fence fence; /* ERR_CONFLICT, and nothing is written, when it is no
                longer its turn */
            int64_t changed;        /* END_ACTION, out: rows */
        } action;
        struct {
            int64_t after;          /* newest first, behind this id; 0: from the newest */
            size_t limit;
            struct action_record *items;
            size_t len;
            bool more;
        } actions;
        struct {
            struct order_record values; /* PUT_ORDER: all but at in, at out; ERR_TOO_LARGE when
                STORE_ORDERS_MAX stand. END_ORDER: name in, as it was out with its end;
                ERR_NOT_FOUND when it does not stand */
        } order;
        struct {
            int64_t since_ms;       /* those that stand after this moment, the lasting ones first */
            struct order_record *items;
            size_t len;
        } orders;
        struct {
            struct notice_record values; /* ADD_NOTICE: all but id, at and changed in, these out.
                END_NOTICE: id, state, attempts and detail in; ERR_NOT_FOUND */
        } notice;
        struct {
            int64_t after;          /* newest first, behind this id; 0: from the newest */
            size_t limit;
            struct slice state;     /* empty: any */
            struct notice_record *items;
            size_t len;
            bool more;
        } notices;
        /* Nodes register with PostgreSQL alone: a SQLite file has one, and refuses (ERR_CONFIG). */
        struct {
            struct node_record values;
            int64_t life_ms;        /* REGISTER_NODE: the registration ends then */
            bool takes;             /* also from another process that has the id and lives on; else
                ERR_CONFLICT */
        } node;                     /* REGISTER_NODE, LEAVE_NODE: of this id and incarnation */
        struct {
            struct node_record *items; /* by id; those whose registration ended, for an hour */
            size_t len;
        } nodes;
        unsigned char secret[CLUSTER_SECRET_SIZE]; /* CLUSTER_SECRET, out: made by who asks first */
        struct { /* a number of the store that means nothing but that it moved: caches of other
                    processes miss something */
            uint64_t flip;  /* CHANGE_MARK: the bits to turn; the same once more takes it back */
            uint64_t value; /* READ_MARK, out */
        } mark;
    };
};

/* For measuring. Whoever submitted an operation tells its meter when the answer is back on its own
 * thread, before the results are used; so whatever the meter counts has a single writer. `owner` is
 * who waits for it: NULL when it runs in the background. */
struct store_meter {
    void (*seen)(const struct store_op *op, void *owner, void *data); /* NULL: not measured */
    void *data;
};
static inline void store_meter_see(const struct store_meter *meter, const struct store_op *op,
                                   void *owner) {
    if (meter->seen != NULL) {
        meter->seen(op, owner, meter->data);
    }
}

struct store;
struct loop;
struct store_health {
    bool reads;  /* can answer reads */
    bool writes; /* can take writes */
    char reason[160]; /* why not; empty when both hold */
};
struct store_vtable {
    const char *name; /* "sqlite", "postgres", "fault" */
    void (*submit)(struct store *store, struct store_op *op);
    void (*health)(struct store *store, struct store_health *ret_health);
    void (*close)(struct store *store); /* every op is done first; those that wait are run */
};
struct store {
    const struct store_vtable *vtable;
};

void store_op_init(struct store_op *op, enum store_op_e kind); /* cleared, with an empty arena */
void store_op_clear(struct store_op *op); /* for another use: the arena's first block stays */
void store_op_fini(struct store_op *op);

void store_submit(struct store *store, struct store_op *op);
void store_health(struct store *store, struct store_health *ret_health);
MAY_BLOCK void store_close(struct store *store); /* NULL: nothing */

/* Waits for the answer: for the command line and tests. Returns op->err. */
MAY_BLOCK enum err_e store_run(struct store *store, struct store_op *op);

/* SQLite: one file, one writer thread that groups what waits into one transaction. */
struct sqlite_options {
    const char *path;       /* of the file; made if it is not there */
    struct clock *clock;
    struct rng *rng;
    size_t queue_max;       /* operations that may wait for the writer, and for the readers */
    size_t group_max;       /* scans and rows in one transaction, 1..; 1 means a commit per scan */
    size_t readers;         /* threads, 1..16 */
};
MAY_BLOCK enum err_e sqlite_open(const struct sqlite_options *options, struct store **ret_store,
                                 struct problem *ret_problem) MUST_CHECK;
/* Whether other processes wrote to the file, for a cache in front of it. Any thread. The writer
 * looks at least five times a second, unless it is writing or the disk holds it up. */
struct store_mark {
    uint64_t changes; /* how often they did; only that it moves means something */
    int64_t as_of_us; /* on the real monotonic clock: what was committed until then is counted */
};
void sqlite_read_mark(struct store *store, struct store_mark *ret_mark);
/* While two processes write to the file, each leaves the other a moment after every commit, so that
 * neither waits longer than that for its turn. Any thread. */
void sqlite_share(struct store *store, bool is_shared);


/*
 * PostgreSQL 15 or newer, with the schema that `turnout db migrate` makes. Writer threads share a
 * mailbox and group what waits; any number of nodes may write at once. A loop that joins makes its
 * short reads on a connection of its own, the others are made by a few threads.
 *
 * ERR_UNAVAILABLE at opening: the server cannot be reached, or the schema is not migrated yet.
 * ERR_CONFIG, ERR_NEWER_SCHEMA and others: an operator has to mend it; the problem says what.
 */
struct postgres_options {
    const char *url;        /* postgres://USER@HOST[,HOST…]/DATABASE, or any libpq string */
    struct clock *clock;
    struct rng *rng;
    size_t queue_max;       /* operations that may wait for the writers, and for the readers */
    size_t group_max;       /* scans and rows in one transaction, 1.. */
    size_t writers;         /* threads, 1..4 */
    size_t readers;         /* threads, 1..16 */
    int64_t replica_lag_ms; /* age that a standby may show to reads that may lag; 0: never asked */
    bool moves_mark; /* whatever changes what lasts moves the mark in the same transaction: for
                        those who can tell the caches of nodes in no other way */
};
MAY_BLOCK enum err_e postgres_open(const struct postgres_options *options,
                                   struct store **ret_store,
                                   struct problem *ret_problem) MUST_CHECK;

/* What became of reads that may lag, since the start. Any thread. */
struct store_replica_figures {
    int64_t limit_us;  /* store.replica_lag; 0: no standby is asked, and nothing here counts */
    uint64_t reads;    /* that a standby answered */
    uint64_t late;     /* that the primary answered: the standby was behind by more than that */
    int64_t behind_us; /* at the last look, at least; -1: it follows nobody */
};
void postgres_read_replica(struct store *store, struct store_replica_figures *ret_figures);

/* A loop's own way to the store: short reads are made on the loop. `store` itself when it is no
 * PostgreSQL, NULL without memory. Both on the loop's thread; no operation is under way at the end,
 * and the store outlives it. */
struct store *postgres_join(struct store *store, struct loop *loop);
void postgres_leave(struct store *own, struct store *store);

/* A double that passes on to `inner` and fails or holds back what the plan says. Owns nothing. */
struct fault_plan {
    uint64_t fail_nth;    /* the n-th op from now (1..) fails before it reaches `inner`; 0: none */
    uint64_t lose_nth;    /* the n-th op reaches `inner`, answers COMMIT_UNKNOWN; 0: none */
    enum err_e err;       /* what a failed op answers */
};
struct store *fault_create(struct store *inner);
void fault_set_plan(struct store *fault, const struct fault_plan *plan);
uint64_t fault_count(struct store *fault); /* ops seen since the last plan */

#endif
