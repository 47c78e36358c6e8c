/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load being played: arrivals become scans in the ledger and jobs of the client; what was not
 * decided is asked again with the same nonce, as a device does; what was decided is measured from
 * the time it was planned for.
 *
 *   planned ─► queued ─► sent ──verdict──────────► acknowledged
 *                 ▲        └─503, lost, late─► waits, longer each time ─┐
 *                 └─────────────────────────────────────────────────────┘
 *
 * Thread: one.
 */
#ifndef LOADGEN_RUN_H
#define LOADGEN_RUN_H

#include "arrivals.h"
#include "client.h"
#include "ledger.h"
#include "samples.h"
#include "stat/histogram.h"

#include <signal.h>

enum { EVENT_CODE_SIZE = CODE_MAX + 1, STATUSES_MAX = 600, KEY_SIZE = 256 };

struct options {
    const char *targets;     /* --url */
    const char *load;        /* the file */
    char tag[LEDGER_TAG_SIZE];
    char event[EVENT_CODE_SIZE];
    char key[KEY_SIZE];      /* of the API; empty: none */
    double seconds;          /* of the run, or of each probe; 0: as the load says */
    const char *scale;       /* times every curve and burst: "2", or "doors=4,phones=0.1" */
    const char *connections; /* in all, or of some streams; NULL: as the load says */
    double people;           /* 0: as the load says */
    double timeout_s;        /* of a request */
    double patience_s;       /* for what is not decided at the end, and for setting up */
    double replays;          /* scans that are asked again behind the end */
    double seed;
    const char *database;    /* compared too; NULL: not */
    const char *watch;       /* pids whose memory and descriptors are sampled; NULL: none */
    bool keeps_quiet;
    const volatile sig_atomic_t *is_told_to_end; /* not 0: nothing more is planned */
};

struct measure { /* of one kind */
    struct histogram times; /* microseconds from planned to decided */
    uint64_t done, failed;
};

struct run {
    const struct options *options;
    struct load load;
    struct ledger ledger;
    struct crowd crowd;
    struct client client;
    struct samples samples;

    /* what was seen in the part that counts */
    int64_t counts_from_ns; /* planned earlier: not measured */
    struct measure kinds[KIND_COUNT];
    struct histogram scans; /* of every kind of scan */
    struct histogram lags;  /* microseconds from planned to sent */
    uint64_t statuses[STATUSES_MAX];
    uint64_t planned, retries;
    double busy_s;          /* until everything planned was decided */
    uint64_t slow;          /* scans that took slow_ms or longer */
    double slow_ms;         /* of the phase */

    /* run.c's own */
    struct arrivals arrivals[STREAMS_MAX];
    double next_s[STREAMS_MAX];
    int64_t begun_ns, begun_wall_ms;
    struct seeded_rng rng;
    struct retries {
        struct job **heap; /* the earliest first */
        size_t len, size;
    } waiting;
    struct job *free_jobs;
    uint64_t outstanding; /* jobs */
    bool is_over;         /* nothing is asked again */
    double shown_s;       /* when progress is told next */
    struct buf body;
};

/* Reads the load and takes what it needs; says what is wrong on standard error. */
bool run_init(struct run *run, const struct options *options);
void run_fini(struct run *run);

/* Opens every connection; false when they do not stand within the patience. */
bool run_connect(struct run *run);

struct phase {
    double seconds; /* of planning; what is under way then is waited for */
    double settle_s; /* at its start, not measured */
    double factor;  /* of every rate */
    double slow_ms;  /* what a scan may not take; nothing more is planned once more did than */
    double slow_most; /* these. 0: everything is planned */
};
/* Forgets what was measured before, and plays. */
void run_phase(struct run *run, const struct phase *phase);

/* The load as its file says it, or the search for the highest rate; what the search found. */
struct probe {
    double rate, done_rate, p99_ms;
    uint64_t failed;
    bool holds;
};
enum { PROBES_MAX = 64 };
struct found {
    struct probe probes[PROBES_MAX];
    size_t len;
    double rate; /* the highest that held; 0: none did */
};
void run_search(struct run *run, struct found *ret_found);

#endif
