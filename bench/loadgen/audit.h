/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's books against the ledger, once nothing is under way. Every record that a source
 * tells (the API's history, a database) is compared with the scan that caused it; then everything
 * else is counted anew from the records: who is inside, how many came in, per gate and per method.
 *
 *   audit_begin ─► audit_record, for each record ─► audit_end ─► audit_counts
 *
 * Thread: one. What does not fit is a fault of the ledger.
 */
#ifndef LOADGEN_AUDIT_H
#define LOADGEN_AUDIT_H

#include "http.h"
#include "run.h"

struct record { /* as a source tells it */
    int64_t id;
    int64_t participant;  /* 0: nobody's */
    int64_t gate;         /* from 0; -1: a gate that is not the load's */
    struct slice nonce;   /* none: the source does not tell it */
    enum verdict_e verdict;
    enum reason_e reason;
    enum direction_e direction;
    enum method_e method;
    int64_t scanned_ms;
    bool is_annulled;
};

struct counts { /* of standing records, but for refused, scans and methods */
    int64_t participants, admitted, inside, scans, refused;
    int64_t methods[METHOD_COUNT];
    struct gate_counts {
        int64_t admitted, exited, refused;
    } gates[LOAD_GATES_MAX];
};

struct audit {
    struct run *run;
    const char *source; /* in what is told of faults */
    struct counts counts;
    uint64_t records;

    /* audit.c's own */
    struct index {
        uint32_t *slots; /* numbers of scans, by record id; SCAN_NONE: free */
        size_t mask;
    } by_record;
    struct stay {        /* a standing record */
        int64_t participant, at_ms, id;
        bool comes_in;
    } *stays;
    size_t stays_len, stays_size;
    struct stray { /* a record that no acknowledged scan has */
        struct record record;
        uint32_t named; /* the scan whose nonce it has; SCAN_NONE: none of ours, or not told */
    } *strays;
    size_t strays_len, strays_size;
};

/* `source` names where the records come from. */
void audit_begin(struct audit *audit, struct run *run, const char *source);
void audit_record(struct audit *audit, const struct record *record);
void audit_end(struct audit *audit);
/* What a source says of its counts; `what` names where. -1 in a member: it does not tell. */
void audit_counts(struct audit *audit, const struct counts *said, const char *what);
void audit_free(struct audit *audit);

/* The whole of it from each source. False when a source cannot be read: told on standard error. */
bool audit_replays(struct run *run, struct http *http); /* scans asked again */
bool audit_api(struct run *run, struct http *http);
bool audit_database(struct run *run, const char *url);

/* Counts of which nothing is told. */
struct counts counts_unknown(void);

/* "g07" as the gate's place, from 0; -1 for what is none of the load's. */
int64_t audit_gate(const struct run *run, struct slice code);

#endif
