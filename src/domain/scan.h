/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan and its verdict: the rules of admission, pure. The same function decides in the SQLite
 * writer, in the simulator and in the unit tables; the contract suite holds every other store to
 * it. Thread: any.
 */
#ifndef TURNOUT_DOMAIN_SCAN_H
#define TURNOUT_DOMAIN_SCAN_H

#include "domain/event.h"

/* X(NAME, text on the wire) */
#define METHOD_TABLE(X) X(QR, "qr") X(NFC, "nfc") X(BLE, "ble") X(MANUAL, "manual")
#define DIRECTION_TABLE(X) X(ENTRY, "entry") X(EXIT, "exit")
#define VERDICT_TABLE(X) X(ADMITTED, "admitted") X(EXITED, "exited") X(REFUSED, "refused")
/* In order of precedence; NONE first. */
#define REASON_TABLE(X)                                                                            \
    X(NONE, "none")                                                                                \
    X(UNKNOWN_TOKEN, "unknown_token")                                                              \
    X(CANCELLED, "cancelled")                                                                      \
    X(BLOCKED, "blocked")                                                                          \
    X(NOT_YET_VALID, "not_yet_valid")                                                              \
    X(EXPIRED, "expired")                                                                          \
    X(WRONG_GATE, "wrong_gate")                                                                    \
    X(GATE_CLOSED, "gate_closed")                                                                  \
    X(ALREADY_USED, "already_used")                                                                \
    X(CAPACITY_FULL, "capacity_full")

#define X(name, text) METHOD_##name,
enum method_e { METHOD_TABLE(X) METHOD_COUNT };
#undef X
#define X(name, text) DIRECTION_##name,
enum direction_e { DIRECTION_TABLE(X) DIRECTION_COUNT };
#undef X
#define X(name, text) VERDICT_##name,
enum verdict_e { VERDICT_TABLE(X) VERDICT_COUNT };
#undef X
#define X(name, text) REASON_##name,
enum reason_e { REASON_TABLE(X) REASON_COUNT };
#undef X

const char *method_text(enum method_e method);
bool method_parse(struct slice text, enum method_e *ret);
const char *direction_text(enum direction_e direction);
bool direction_parse(struct slice text, enum direction_e *ret);
const char *verdict_text(enum verdict_e verdict);
bool verdict_parse(struct slice text, enum verdict_e *ret);
const char *reason_text(enum reason_e reason);
bool reason_parse(struct slice text, enum reason_e *ret);

/* A device's clock may be this far ahead of the server's; more is 400. */
enum { SCAN_AHEAD_MAX_MS = 5 * 60 * 1000 };

struct scan {
    struct slice token;
    struct slice gate;  /* code */
    struct slice nonce; /* empty: none */
    enum method_e method;       /* default qr */
    enum direction_e direction; /* default entry */
    int64_t scanned_at_ms;      /* TIME_NONE: when it is decided */
    bool force;                 /* "this already happened offline" */
};

/* What stands for one participant, by (scanned_at, record id). No record: all zero, `last_*`
 * unused. */
struct standing {
    int64_t admissions;  /* standing admissions: admitted and not annulled */
    bool inside;         /* the last standing record is an admission */
    int64_t last_at_ms;  /* scanned_at of the last standing record */
    int64_t last_id;     /* its record id; 0 when there is none */
    int64_t last_gate;   /* its gate's id */
    int64_t first_at_ms; /* of the first standing admission (admissions > 0) */
    int64_t first_gate;
};

struct ruling {
    enum verdict_e verdict;
    enum reason_e reason;   /* why refused; NONE when not */
    enum reason_e overrode; /* what force overrode; NONE when the rules agreed */
    bool forced;
    bool comes_in; /* inside grows by one */
    bool goes_out; /* inside shrinks by one */
};

/* What the rules look at. `participant` NULL: the token is unknown. `scan->scanned_at_ms` is
 * set. */
struct facts {
    const struct event *event;
    const struct gate *gate;
    const struct participant *participant;
    const struct standing *standing;
    int64_t inside; /* people inside the event now */
};

/* Decides one scan: rules 1 to 7 of docs/check-in.md. */
struct ruling rule_scan(const struct facts *facts, const struct scan *scan);

/* The standing of a participant once a record with this ruling has been added, at (at_ms, id). */
void standing_add(struct standing *standing, const struct ruling *ruling, int64_t at_ms, int64_t id,
                  int64_t gate);

/* The standing admission in the way of an entry: the last one under after_exit, the first one under
 * none. False when nothing is in the way. */
bool standing_in_the_way(const struct standing *standing, enum reentry_e reentry,
                         int64_t *ret_at_ms, int64_t *ret_gate);

#endif
