/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many connections to a few servers, from one thread on epoll, at the least cost per request: it
 * shares its cores with the server. A connection has at most one request under way; a job waits in
 * its stream's queue until a connection of the stream is free, and its time counts from when it was
 * planned.
 *
 *   closed ──► connecting ──► idle ──job──► busy ──answer──► idle
 *     ▲            │            │            └─ lost, late: the job is handed back
 *     └────────────┴────────────┘ opened anew, at the next server when this one does not listen
 *
 * Nothing is tried again here: what becomes of a job is the caller's to say (run.c).
 * Thread: one.
 */
#ifndef LOADGEN_CLIENT_H
#define LOADGEN_CLIENT_H

#include "base/buf.h"
#include "load.h"

enum { TARGETS_MAX = 16, HOST_SIZE = 64 };

struct target {
    char host[HOST_SIZE]; /* numeric */
    int port;
    int64_t down_until_ns; /* it did not listen: others are taken until then */
};

/* "http://127.0.0.1:8080,…"; false when it is no such list. */
bool targets_parse(const char *text, struct target ret_targets[TARGETS_MAX], size_t *ret_len);

enum outcome_e {
    OUTCOME_ANSWERED, /* status and body are what was answered */
    OUTCOME_LOST,     /* the connection broke under way: nobody knows what happened */
    OUTCOME_LATE,     /* no answer in time: the same */
};

struct job {
    struct job *next;
    int64_t planned_ns;
    int64_t due_ns;  /* of a retry: not before */
    uint32_t first;  /* scans, by number; */
    uint32_t count;  /* 0: a read, or an upload not filled yet */
    uint32_t salt;   /* of a read: varies what is asked */
    uint16_t tries;
    uint8_t stream, kind;
};

struct result {
    enum outcome_e outcome;
    int status;
    int retry_after_s; /* 0: not said */
    struct slice body; /* until the call returns */
    int64_t now_ns;
};

struct client_calls {
    /* Appends the whole request; what the job asks for may be settled only now. */
    void (*build)(void *data, struct job *job, const struct target *target, struct buf *to);
    /* The job is the callee's from here on. */
    void (*finish)(void *data, struct job *job, const struct result *result);
    void *data;
};

struct client_counts {
    uint64_t connected, refused, lost, lost_idle, late, sent;
};

struct connection;
struct client {
    struct client_calls calls;
    int64_t timeout_ns;
    struct target targets[TARGETS_MAX];
    size_t targets_len;
    struct client_counts counts;
    size_t open;      /* connections that stand now */
    size_t in_flight; /* requests */
    size_t waiting;   /* jobs in queues */
    int64_t now_ns;   /* as of this turn */

    /* client.c's own from here on */
    int epoll;
    struct connection *connections;
    size_t connections_len;
    struct queue {
        struct job *first, **last;
    } jobs[STREAMS_MAX];
    struct list {
        struct connection *first, *last;
    } idle[STREAMS_MAX], busy, closed;
    struct buf out; /* the request being built */
    char *in;       /* what a read brings, when it is a whole answer: mostly */
};

int64_t client_clock_ns(void);

/* False, with the reason in errno, when it cannot be. `connections[s]` of stream s. */
bool client_init(struct client *client, const size_t connections[], size_t streams);
void client_fini(struct client *client);

/* The job is the client's until `finish`. */
void client_submit(struct client *client, struct job *job);

/* Sends what can be sent, waits until `until_ns` at most, takes what has arrived. */
void client_turn(struct client *client, int64_t until_ns);

/* Every job that is not answered comes back as late: the run is over. */
void client_abandon(struct client *client);

#endif
