/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to one scan, read without allocating and without a tree: a generator that shares its
 * cores with the server has none to spare. Any white space and any order of members will do. Pure.
 */
#ifndef LOADGEN_REPLY_H
#define LOADGEN_REPLY_H

#include "domain/scan.h"

enum { REPLY_CODE_SIZE = 32 };

struct reply {
    enum verdict_e verdict;
    enum reason_e reason;       /* NONE when null */
    int64_t record_id;
    int64_t participant;        /* its id; 0 when null */
    int64_t inside;
    int64_t index;              /* of a line in an upload; -1 when absent */
    bool replayed, forced;
    char code[REPLY_CODE_SIZE]; /* of "error" in a line of an upload; "" for a verdict */
};

/* False when it is neither a verdict with all that it must say nor an error with a code. */
bool reply_parse(struct slice text, struct reply *ret_reply);

/* A problem's "code" (RFC 9457); empty when there is none. */
struct slice reply_problem_code(struct slice text);

#endif
