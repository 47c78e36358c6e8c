/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events, gates and participants as the rules see them, and the checks of what people may write
 * into them. Pure: no I/O, no clock. Slices are borrowed; who fills a struct says how long they
 * live. Thread: any.
 */
#ifndef TURNOUT_DOMAIN_EVENT_H
#define TURNOUT_DOMAIN_EVENT_H

#include "base/clock.h"
#include "base/slice.h"

enum {
    CODE_MAX = 64,            /* characters of an event's or gate's code */
    TOKEN_MAX = 256,          /* characters of a token */
    NAME_MAX_CHARS = 256,     /* of an event, gate, participant or key */
    EMAIL_MAX = 320,          /* RFC 5321: 64 + @ + 255 */
    ATTENTION_MAX = 1024,     /* characters shown to the staff */
    PARTICIPANT_GATES_MAX = 256, /* gates in one participant's list */
    NONCE_MAX = 64,
};
#define CAPACITY_NONE (-1)      /* no limit */
#define CAPACITY_MAX 1000000000 /* above every venue */

/* X(NAME, text on the wire) */
#define REENTRY_TABLE(X) X(NONE, "none") X(AFTER_EXIT, "after_exit") X(ALWAYS, "always")
#define GATE_STATUS_TABLE(X) X(OPEN, "open") X(CLOSED, "closed")
#define PARTICIPANT_STATUS_TABLE(X)                                                                \
    X(ACTIVE, "active") X(CANCELLED, "cancelled") X(BLOCKED, "blocked")

#define X(name, text) REENTRY_##name,
enum reentry_e { REENTRY_TABLE(X) };
#undef X
#define X(name, text) GATE_##name,
enum gate_status_e { GATE_STATUS_TABLE(X) };
#undef X
#define X(name, text) PARTICIPANT_##name,
enum participant_status_e { PARTICIPANT_STATUS_TABLE(X) };
#undef X

const char *reentry_text(enum reentry_e reentry);
bool reentry_parse(struct slice text, enum reentry_e *ret);
const char *gate_status_text(enum gate_status_e status);
bool gate_status_parse(struct slice text, enum gate_status_e *ret);
const char *participant_status_text(enum participant_status_e status);
bool participant_status_parse(struct slice text, enum participant_status_e *ret);

struct event {
    int64_t id;
    struct slice code;
    struct slice name;
    struct slice timezone; /* IANA name; informs only */
    int64_t starts_at_ms;  /* TIME_NONE: not said */
    int64_t ends_at_ms;
    int64_t capacity; /* CAPACITY_NONE or 0..CAPACITY_MAX */
    enum reentry_e reentry;
};

struct gate {
    int64_t id;
    struct slice code;
    struct slice name;
    enum gate_status_e status;
};

struct participant {
    int64_t id;
    struct slice token;
    struct slice name;
    struct slice email;
    enum participant_status_e status;
    int64_t valid_from_ms;  /* inclusive; TIME_NONE: open */
    int64_t valid_until_ms; /* exclusive; TIME_NONE: open */
    struct slice gates;     /* gate codes parted by one space; empty means every gate */
    struct slice attention; /* for the staff; at is NULL when there is none */
};

/* 1..64 of A-Za-z0-9._- */
bool code_is_valid(struct slice code);
/* 1..256 characters of UTF-8, no control characters, no white space at the ends */
bool token_is_valid(struct slice token);
/* 1..64 characters, no control characters */
bool nonce_is_valid(struct slice nonce);
/* At most `chars_max` characters of UTF-8, no control characters but tab and newline; may be
 * empty */
bool text_is_valid(struct slice text, size_t chars_max);
/* Shape of an IANA time zone name: letters, digits, _ + - and / */
bool timezone_is_valid(struct slice timezone);
/* True when `gates` (codes parted by spaces) is empty or names `code`. */
bool gates_allow(struct slice gates, struct slice code);

#endif
