/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd at the doors of several nodes: threads that scan with nonces and, as a scanner does, ask
 * again with the same nonce until they are answered. What it must have left behind is checked
 * against what was answered.
 */
#ifndef TURNOUT_TESTS_CONTRACT_RIG_NODES_H
#define TURNOUT_TESTS_CONTRACT_RIG_NODES_H

#include "rig_postgres.h"

enum { NODES_MAX = 3, CROWD_THREADS = 6, CROWD_PEOPLE = 30, CROWD_SCANS = 150 };

struct crowd_scan {
    char token[16], nonce[24];
    enum direction_e direction;
    struct scan_result seen; /* its texts are gone */
    int retries;
    enum err_e err; /* of the last try */
};

struct crowd {
    struct store *nodes[NODES_MAX];
    size_t nodes_len;
    struct crowd_scan scans[CROWD_THREADS][CROWD_SCANS];
};

/* Opens nodes on the rig's database with the system's clock, and makes the people: t0, t1, … */
void crowd_begin(struct crowd *crowd, struct rig *rig, size_t nodes);
/* Starts scanning; `meanwhile` runs beside it, NULL: nothing. Returns when all are answered. */
void crowd_run(struct crowd *crowd, void (*meanwhile)(struct rig *rig), struct rig *rig);
/* Every answer has its record, nobody is twice inside, and the counts are those of the records. */
void crowd_check(struct crowd *crowd, struct rig *rig);
void crowd_end(struct crowd *crowd);

#endif
