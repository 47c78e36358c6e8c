/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubles of what the api stands on: a loop that turns when told, a store and a check-in that
 * answer as scripted, and requests without a server. They take the place of io/loop, http and
 * checkin when the test is linked. One thread; time moves only when a test moves it.
 */
#ifndef TURNOUT_TESTS_API_DOUBLES_H
#define TURNOUT_TESTS_API_DOUBLES_H

#include "api/api.h"
#include "optimizer/service.h"

/* The store: answers within store_submit, by the script. */
typedef void (*store_script_fn)(struct store_op *op);
struct fake_store {
    struct store base;
    store_script_fn script; /* fills the results and op->err; NULL: everything succeeds, empty */
    size_t count;           /* operations so far */
    enum store_op_e last;
    struct store_health health;
};

/* The optimizer: answers at once, by what is set. */
struct fake_optimizer {
    enum err_e refusal; /* of the question */
    enum err_e err;     /* of the answer; OK: an empty document */
    size_t count;
    enum db_job_e kind; /* of the last question */
    enum db_mode_e mode;
};

/* Everything a test needs, from bench_open to bench_close. */
struct bench {
    struct fake_store store;
    struct fake_optimizer optimizer;
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct api_node node;
    struct loop *loop;
    struct api *api;
    struct scan_result scan_result; /* what check-in answers */
    size_t scans;                   /* that reached check-in */
    struct scan last_scan;
};
void bench_open(struct bench *bench, enum api_auth_e auth);
void bench_close(struct bench *bench);
void bench_advance(struct bench *bench, int64_t ms);

/* One request, sent and answered: turns the loop until nothing is left to do. */
struct sent {
    const char *method, *path, *query, *type, *body, *authorization, *accept, *peer;
    const char *cookie, *origin, *fetch_site, *host;
    bool is_tls; /* as a trusted proxy says */
};
struct answer {
    int status;
    char type[80];
    char fields[1024]; /* "name: value\n" each */
    char *body;        /* NUL-terminated; lives until the next send */
    size_t pieces;
    bool broken;
};
const struct answer *bench_send(struct bench *bench, const struct sent *request);
/* GET without and POST with a JSON body. */
const struct answer *bench_get(struct bench *bench, const char *path, const char *query);
const struct answer *bench_post(struct bench *bench, const char *path, const char *body);

#endif
