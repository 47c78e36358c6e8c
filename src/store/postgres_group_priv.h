/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of scans and what it is about: each event, gate, person and nonce once, however many
 * scans name it. Everything lives in the writer's arena for one attempt, and texts of the database
 * until the next put.
 *
 * A writer remembers ids of events and codes of gates: neither ever changes.
 */
#ifndef TURNOUT_STORE_POSTGRES_GROUP_PRIV_H
#define TURNOUT_STORE_POSTGRES_GROUP_PRIV_H

#include "store/postgres_priv.h"

/* Names within events, each once, numbered in the order they came. */
struct pg_name {
    size_t event; /* number of its event */
    struct slice text;
};
struct pg_names {
    struct pg_name *items;
    size_t len;
    uint32_t *slots; /* number + 1; open addressing over a power of two */
    size_t slots_len;
};

struct pg_group_event {
    bool known;
    struct event event; /* id, capacity, reentry */
    int64_t inside;     /* now */
    /* what the group adds */
    bool counted;
    int64_t admitted, inside_more, scans, refused, methods[METHOD_COUNT];
};

/* What the group adds to a gate, or to one minute of it. */
struct pg_gate_counts {
    int64_t admitted, exited, refused;
};

struct pg_group_gate {
    bool known;
    struct gate gate;
    struct pg_gate_counts counts;
};

struct pg_group_minute {
    size_t gate; /* number of the gate */
    int64_t minute;
    struct pg_gate_counts counts;
};
/* Each gate and minute once; open addressing over a power of two. */
struct pg_minutes {
    struct pg_group_minute *items;
    size_t len;
    uint32_t *slots; /* number + 1 */
    size_t slots_len;
};

struct pg_group_person {
    bool known;
    bool has_row; /* in the ledger */
    bool changed; /* the standing */
    struct participant person;
    struct standing standing;
};

enum pg_nonce_e {
    PG_NONCE_FREE,
    PG_NONCE_STORED,  /* `row` of the nonces' result has its record */
    PG_NONCE_ORPHAN,  /* its record was retired with its partition: it counts no more */
    PG_NONCE_MADE,    /* by `made`, earlier in this group */
};
struct pg_group_nonce {
    enum pg_nonce_e state;
    int row;
    const struct pg_scan *made;
};

/* Numbers of what one scan names. */
struct pg_group_scan {
    size_t event, gate, person;
    size_t nonce; /* SIZE_MAX: none */
};

struct pg_group {
    struct pg_writer *w;
    const struct pg_scans *scans;
    struct pg_group_scan *about; /* beside scans->items */
    struct pg_names event_names, gate_names, person_names, nonce_names;
    struct pg_group_event *events; /* beside the names */
    struct pg_group_gate *gates;
    struct pg_group_person *people;
    struct pg_group_nonce *nonces;
    struct pg_minutes minutes;
    struct pg_rows nonce_rows;
    struct pg_rows ids; /* of records to come */
};

/* Of a gate that a stored standing names; none when the fetch did not meet it. */
struct slice pg_known_gate_code(const struct pg_writer *w, int64_t id);
/* Gathers the names, takes the events' locks and fetches everything, in one round trip when the
 * events, and the gates of standings, are known from before. An unknown event ends its operations,
 * not the group. */
MAY_BLOCK enum err_e pg_group_fetch(struct pg_group *group, struct pg_writer *w,
                                    const struct pg_scans *scans);
/* The counts of a gate's minute, to add to. */
struct pg_gate_counts *pg_group_minute(struct pg_group *group, size_t gate, int64_t minute);

#endif
