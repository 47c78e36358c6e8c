/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain model of one event to hold a store against: a list of records and nothing else. Whatever
 * a store keeps in ledgers and roll-ups, the model counts anew from the list each time. It shares
 * no code with the store and none with rule_scan: it is written from docs/check-in.md alone.
 */
#ifndef TURNOUT_TESTS_CONTRACT_MODEL_H
#define TURNOUT_TESTS_CONTRACT_MODEL_H

#include "rig.h"

enum { MODEL_PEOPLE = 12, MODEL_GATES = 3, MODEL_RECORDS = 60000 };

struct model_person {
    int64_t id;
    char token[16];
    enum participant_status_e status;
    int64_t valid_from_ms, valid_until_ms;
    unsigned gates; /* bits; 0: every gate */
    bool erased;
};

struct model_record {
    int64_t id;
    int person; /* -1: unknown token */
    int gate;
    enum method_e method;
    enum direction_e direction;
    enum verdict_e verdict;
    enum reason_e reason, overrode;
    int64_t scanned_at_ms, recorded_at_ms;
    char nonce[24];
    char token[16];
    bool annulled;
};

struct model {
    enum reentry_e reentry;
    int64_t capacity;
    enum gate_status_e gates[MODEL_GATES];
    struct model_person people[MODEL_PEOPLE];
    struct model_record *records;
    size_t len;
};

void model_begin(struct model *model);
void model_end(struct model *model);

int64_t model_inside(const struct model *model);
struct model_scan {
    int person; /* -1: a token that nobody has */
    int gate;
    const struct scan *scan;
    int64_t now_ms;
};
/* Decides as the documentation says and adds the record; `seen` is what the store answered. */
void model_check_scan(struct model *model, const struct model_scan *asked,
                      const struct scan_result *seen);
/* Everything the store counts and lists, against what the list of records says. */
void model_check_reads(const struct model *model, struct rig *rig);

#endif
