/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event `demo`: 50,000 people and 40 gates to try everything on. Made through the store's own
 * operations, in groups; what is there already is left as it is, so that a start that was
 * interrupted goes on where it stopped. Thread: main.
 */
#ifndef TURNOUT_APP_DEMO_H
#define TURNOUT_APP_DEMO_H

#include "store/store.h"

enum {
    DEMO_PARTICIPANTS = 50000,
    DEMO_GATES = 40,
    DEMO_GROUP = 1000, /* people in one store operation */
};

struct demo_counts {
    int64_t gates;        /* made now */
    int64_t participants; /* made now */
};
/* `should_stop` is asked between groups: when it says so, the rest is left for the next start and
 * the answer is ERR_DRAINING. */
struct demo_options {
    struct store *store;
    struct clock *clock;
    bool (*should_stop)(void *data);
    void *data;
};
MAY_BLOCK enum err_e demo_make(const struct demo_options *options, struct demo_counts *ret_counts,
                               struct problem *ret_problem) MUST_CHECK;

/* Person number 1..DEMO_PARTICIPANTS: always the same one. Pure. */
enum { DEMO_TOKEN_SIZE = 16, DEMO_NAME_SIZE = 96, DEMO_EMAIL_SIZE = 96 };
struct demo_person {
    char token[DEMO_TOKEN_SIZE];
    char name[DEMO_NAME_SIZE];
    char email[DEMO_EMAIL_SIZE]; /* unique */
};
void demo_person(int number, struct demo_person *ret_person);

#endif
