/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who looks after a node's cache: on one of its loops, in the background.
 *
 *   asked for ──► preload, warm ──► a few keys at a time, paced ──► the caching store
 *   asked for ──► invalidate, figures ──► the answer, back to the asker's loop
 *   each second ─► smart management: one pure decision, at most one act (cache/smart.h)
 *   now and then ► the roster: keys that are asked for most, to a file; read at the next start
 *
 * Thread: create and destroy from main; open and close on the keeper's loop; keeper_ask any.
 */
#ifndef TURNOUT_CACHE_KEEPER_H
#define TURNOUT_CACHE_KEEPER_H

#include "cache/cached_store.h"

struct keeper;

/* X(NAME, word): what is read into the cache. CRITICAL: configuration, gates and statistics of the
 * current events; ALL: their single gates and active participants, too. */
#define KEEPER_WARM_TABLE(X) X(NONE, "none") X(CRITICAL, "critical") X(ALL, "all")
#define X(name, word) KEEPER_WARM_##name,
enum keeper_warm_e { KEEPER_WARM_TABLE(X) };
#undef X

enum {
    KEEPER_ASKS_MAX = 64,          /* questions that are not answered yet */
    KEEPER_EVENTS_MAX = 1000,      /* current events that are warmed */
    KEEPER_PEOPLE_MAX = 200000,    /* participants that are warmed with a second level */
    KEEPER_EVENT_OVER_MS = 86400000, /* an event that ended this long ago is not current */
};

struct keeper_options {
    struct clock *clock;
    struct tiered *tiered;
    struct cached_node *node;
    enum keeper_warm_e warm_at_start;
    bool has_l2;
    uint32_t entries;   /* of L1 */
    const char *policy; /* its name */
    const char *roster; /* path; NULL: none */
};

struct keeper *keeper_create(const struct keeper_options *options); /* NULL without memory */
void keeper_destroy(struct keeper *keeper);                        /* closed; NULL: nothing */

/* On the loop that will look after the cache. False without memory. */
bool keeper_open(struct keeper *keeper, struct loop *loop, struct tiered_loop *tiered,
                 struct store *cached) MUST_CHECK;
/* Stops what is under way and refuses questions from here on; close when it is idle, before the
 * caching store. */
void keeper_stop(struct keeper *keeper);
bool keeper_is_idle(struct keeper *keeper);
void keeper_close(struct keeper *keeper);
/* Writes the roster: now and then, and at the end, on the main thread. */
MAY_BLOCK void keeper_save_roster(struct keeper *keeper);
/* True once when somebody was erased since: the file is to be written anew. Any thread. */
bool keeper_has_forgotten(struct keeper *keeper);
/* Reads the file of the last process, if there is one: before keeper_open. */
MAY_BLOCK void keeper_load_roster(struct keeper *keeper);
/* The same without a file: its text, and what another process' text says. Any thread; before
 * keeper_open. */
void keeper_write_roster(struct keeper *keeper, struct buf *to);
void keeper_take_roster(struct keeper *keeper, struct slice text);
/* What is read at the start is there, as far as it could be read. Any thread. */
bool keeper_is_warm(struct keeper *keeper);

/* X(NAME): what can be asked. */
#define KEEPER_ASK_TABLE(X)                                                                        \
    X(FIGURES)    /* document */                                                                   \
    X(INVALIDATE) /* pattern; l1_entries, l2_keys */                                               \
    X(PRELOAD)    /* begins, or err CONFLICT: one is under way; document */                        \
    X(WARM)                                                                                        \
    X(RETURN)     /* the keys of the roster that was read at the start, likewise */
#define X(name) KEEPER_##name,
enum keeper_ask_e { KEEPER_ASK_TABLE(X) };
#undef X

/* The asker's until keeper_ask, and again when `message.fn` runs on `loop`. */
struct keeper_ask {
    struct loop_message message; /* first; fn: what to do with the answer */
    struct loop *loop; /* NULL: fn runs on the keeper's, for a thread that waits */
    enum keeper_ask_e kind;
    struct slice pattern;
    enum err_e err;
    struct problem problem;
    uint64_t l1_entries, l2_keys;
    struct buf document; /* JSON; the asker ends it with buf_fini, also on an error */

    void (*back)(struct loop_message *message); /* the keeper's while it has the question */
    struct keeper *keeper;
};
/* ERR_OVERLOADED: too many wait; ERR_DRAINING: not open any more. */
enum err_e keeper_ask(struct keeper *keeper, struct keeper_ask *ask) MUST_CHECK;

#endif
