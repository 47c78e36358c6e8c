/* SPDX-License-Identifier: Apache-2.0 */
/* What keeper.c, warm.c and keeper_json.c share. Thread: the keeper's loop, but where said. */
#ifndef TURNOUT_CACHE_KEEPER_PRIV_H
#define TURNOUT_CACHE_KEEPER_PRIV_H

#include "base/json.h"
#include "cache/keeper.h"
#include "cache/smart.h"

#include <pthread.h>

/*
 *   idle ──► roster's keys ──► pages of events ──► for each event: gates, then people ──► idle
 *                              └ preload ends here
 */
enum warm_step_e { WARM_IDLE, WARM_EVENTS, WARM_NEXT_EVENT, WARM_GATES, WARM_PEOPLE, WARM_LAST };

struct warm {
    enum keeper_warm_e kind; /* of the last or running one */
    enum warm_step_e step;
    bool stops;
    bool renews; /* keys are read anew, not only if they are missing */
    struct store_op list; /* the page that is being read */
    bool is_listing, is_list_ready;
    int64_t after;
    struct buf events; /* codes of current events, a line each */
    size_t events_len;
    struct slice events_rest;
    char event[CODE_MAX + 1];
    struct buf keys; /* to be read, a line each */
    struct slice keys_rest;
    size_t under_way;
    uint64_t done, failed, people;
    int64_t begun_ms, ended_ms; /* wall clock; 0: never */
};

struct keeper {
    struct keeper_options options;
    struct loop *loop;
    struct tiered_loop *tiered;
    struct store *cached;
    struct loop_timer *timer;
    struct warm warm;
    struct loop_message carried; /* a page of the list, on its way back */
    struct buf roster; /* the file's text at start */
    struct smart smart;
    int64_t looked_us;
    pthread_mutex_t lock; /* of the next three; held for a few instructions */
    bool is_open;
    bool is_warm;
    size_t asks;
};

bool warm_begin(struct keeper *keeper, enum keeper_warm_e kind); /* false: one is under way */
/* The roster of the start, then what `kind` says. False: one is under way. */
bool warm_begin_with_roster(struct keeper *keeper, enum keeper_warm_e kind);
void keeper_note_warm(struct keeper *keeper); /* something has ended, or there was nothing to do */
/* Reads the hottest keys anew, `most` of them at most; false: one is under way. */
bool warm_renew(struct keeper *keeper, uint64_t most);
void warm_tick(struct keeper *keeper);
bool warm_is_running(const struct keeper *keeper);
void warm_fini(struct keeper *keeper);

void keeper_write_figures(struct keeper *keeper, struct json_writer *w);
void keeper_write_warming(const struct keeper *keeper, struct json_writer *w);

#endif
