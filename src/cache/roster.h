/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that are asked for most, so that the next process can begin with them.
 *
 * A small table of keys with counts; one look-up in ROSTER_SAMPLE is counted, and counts are halved
 * whenever the roster is written, so that yesterday's keys fade. A new key takes the place of the
 * least counted of its few neighbours. Only keys of lasting classes: figures age too fast.
 * The file is one key a line, hottest first, behind a head line; a damaged line is skipped.
 * Thread: any; a lock is held for a few comparisons, and a look-up that finds it taken is not
 * counted.
 */
#ifndef TURNOUT_CACHE_ROSTER_H
#define TURNOUT_CACHE_ROSTER_H

#include "base/buf.h"

enum {
    ROSTER_SAMPLE = 8,
    ROSTER_KEYS = 4096,
    ROSTER_WAYS = 8,
    ROSTER_KEY_MAX = 320, /* longer keys are not worth a place */
    ROSTER_FILE_MAX = ROSTER_KEYS * (ROSTER_KEY_MAX + 1) + 64, /* bytes */
};

struct roster;
struct roster *roster_create(void); /* NULL without memory */
void roster_destroy(struct roster *roster); /* NULL: nothing */

/* Counts a look-up of `key`, or not: one in ROSTER_SAMPLE, at random, since keys are asked for in
 * turns. `dice` is the caller's, anything at first. */
void roster_note(struct roster *roster, uint32_t *dice, struct slice key);
void roster_count(struct roster *roster, struct slice key); /* this one for certain */
/* What was erased must not come back from a file. */
void roster_forget(struct roster *roster, struct slice key);
/* True once after keys were forgotten: a file that was written before may still have them. */
bool roster_take_forgotten(struct roster *roster);

/* Appends at most `most` keys, a line each, hottest first. */
void roster_list(struct roster *roster, size_t most, struct buf *to);
/* Appends the file's text, hottest key first, and halves the counts. */
void roster_write(struct roster *roster, struct buf *to);
/* The next key of a file's text; false at its end, and for a text that is no roster. `rest` begins
 * as the whole text. */
bool roster_read(struct slice text, struct slice *rest, struct slice *ret_key);

#endif
