/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes to which gate. It knows of everybody whether they are outside or inside by what was
 * acknowledged, and lends a person to one turn at a time, so that what the rules must say of every
 * scan is known before it is sent.
 *
 *              turn                      turn
 *   outside ─────────► under way ─────────────► inside       (and back)
 *      └─ bound: who may use one gate only, until they were tried at another
 *
 * Thread: one.
 */
#ifndef LOADGEN_CROWD_H
#define LOADGEN_CROWD_H

#include "base/rng.h"
#include "load.h"

#define PERSON_NONE UINT32_MAX /* a code that nobody has */

struct people; /* a queue of persons */

struct crowd {
    const struct load *load;
    struct seeded_rng rng;
    struct people *outside, *inside, *bound;
    int64_t *last_ms;       /* by person: scanned_at of their last scan */
    uint32_t people, first_bound, gates;
    uint64_t substituted;   /* turns that were played as another kind: nobody was there for them */
};

/* False without memory. */
bool crowd_init(struct crowd *crowd, const struct load *load, uint64_t seed);
void crowd_fini(struct crowd *crowd);

struct turn {
    enum kind_e kind; /* as it is played */
    uint32_t person;  /* under way until crowd_settle; or PERSON_NONE */
    uint16_t gate;    /* from 0 */
    uint16_t other_gate;
};
struct turn crowd_turn(struct crowd *crowd, const struct stream *stream);

/* The time that a scan of somebody says: `wanted_ms`, or later when it would not be behind the last
 * one of the same person. */
int64_t crowd_stamp(struct crowd *crowd, uint32_t person, int64_t wanted_ms);

enum crowd_place_e { CROWD_OUTSIDE, CROWD_INSIDE };
/* The turn is over; where its person is now. */
void crowd_settle(struct crowd *crowd, const struct turn *turn, enum crowd_place_e place);

#endif
