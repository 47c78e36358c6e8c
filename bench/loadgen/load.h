/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load as its file describes it (bench/loads): an event, and streams of operations that come at
 * times planned ahead, each with its connections, its curve and its mix. Pure values once read.
 */
#ifndef LOADGEN_LOAD_H
#define LOADGEN_LOAD_H

#include "base/buf.h"
#include "domain/event.h"
#include "domain/scan.h"

enum {
    STREAMS_MAX = 8,
    CURVE_POINTS_MAX = 32,
    STREAM_NAME_SIZE = 32,
    TITLE_SIZE = 128,
    LOAD_GATES_MAX = 1000,
    LOAD_PEOPLE_MAX = 5000000,
    LOAD_LINES_MAX = 100000,       /* of one upload, as the API allows */
    LOAD_CONNECTIONS_MAX = 60000,
};

/* What is done. X(NAME, word in the file, class): SCAN at a gate, VISIT only in uploads, READ. */
#define KIND_TABLE(X)                                                                              \
    X(ENTRY, "entry", SCAN)              /* somebody who is outside comes in */                    \
    X(EXIT, "exit", SCAN)                /* somebody who is inside leaves */                       \
    X(DUPLICATE, "duplicate", SCAN)      /* somebody who is inside is scanned as coming in */      \
    X(DOUBLE_TAP, "double_tap", SCAN)    /* the same code twice at once, two nonces */             \
    X(RESEND, "resend", SCAN)            /* one scan sent twice at once, one nonce */              \
    X(WRONG_GATE, "wrong_gate", SCAN)    /* somebody who may use another gate only */              \
    X(UNKNOWN_TOKEN, "unknown_token", SCAN) /* a code that nobody has */                           \
    X(VISIT, "visit", VISIT)             /* in and out again, both in one upload */                \
    X(READ_EVENT, "event", READ)                                                                   \
    X(READ_GATES, "gates", READ)                                                                   \
    X(READ_STATS, "stats", READ)                                                                   \
    X(READ_TIMELINE, "timeline", READ)                                                             \
    X(READ_HISTORY, "history", READ)                                                               \
    X(READ_SEARCH, "search", READ)                                                                 \
    X(READ_PARTICIPANT, "participant", READ)                                                       \
    X(READ_PERFORMANCE, "performance", READ)

#define X(name, word, class) KIND_##name,
enum kind_e { KIND_TABLE(X) KIND_COUNT };
#undef X

const char *kind_text(enum kind_e kind);
bool kind_is_read(enum kind_e kind);

/* Operations a second over the time of the load: straight lines between points, level before the
 * first and behind the last. */
struct curve_point {
    double at_s, rate;
};
struct curve {
    struct curve_point points[CURVE_POINTS_MAX];
    size_t len; /* 0: nothing comes */
};

struct stream {
    char name[STREAM_NAME_SIZE];
    double connections;
    struct curve curve;
    double burst;    /* operations planned for the very start */
    double lines;    /* scans in one upload; 1: every scan is a request of its own */
    double queued_s; /* an upload's scans were made over so long a time before it */
    enum method_e method;
    double weights[KIND_COUNT];
    double weight; /* of all of them */
};

/* Looks for the highest rate that holds: every curve times the rate. from 0: no search. */
struct search {
    double from, up_to;       /* rates */
    double limit_ms;          /* a rate holds while the quantile of scans stays below */
    double quantile;
    double probe_s, settle_s; /* of each rate: what counts, and what goes before it */
    double step;              /* the bounds are looked for until they are so near (0.05: 5 %) */
};

struct load {
    char title[TITLE_SIZE];
    double seconds;
    double people, gates;
    double capacity;      /* below 0: no limit */
    double restricted;    /* part of the people who may use one gate only, 0 to 1 */
    double warm;          /* 1: caches are preloaded and warmed before it begins */
    enum reentry_e reentry;
    struct search search;
    struct stream streams[STREAMS_MAX];
    size_t streams_len;
};

/* Reads a file; what is wrong with it goes to `errors`, a line each. */
bool load_read(struct load *load, const char *path, struct buf *errors);

/* Numbers for streams: "2" is every stream's, "doors=4,phones=0.1" of those named. Both are false
 * when the text is nothing of the kind, or names a stream that is not there. */
bool load_scale(struct load *load, const char *text); /* times curves and bursts */
/* A number for every stream is of all connections together, shared out as in the file. */
bool load_connections(struct load *load, const char *text);

/* "0:5 60:20": seconds and rates. False when it is nothing of the kind. */
bool curve_parse(struct slice text, struct curve *ret_curve);

/* The straight piece of the curve that begins at or before `at_s`, from there on. */
struct piece {
    double rate;  /* at at_s */
    double slope; /* a second */
    double end_s; /* INFINITY behind the last point */
};
struct piece curve_piece(const struct curve *curve, double at_s);

#endif
