/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which notices are due, to whom and about what: grouping, telling each thing once, repeats,
 * resolved alerts, silences. What is said where and how is not known here. Pure; a virtual clock
 * serves. Thread: the owner of the state.
 *
 * Nothing is queued: what was told is compared with what is. A receiver that takes nothing for an
 * hour is told the state of then, not an hour of changes. What an earlier controller told counts:
 * who leads next tells what ended meanwhile, and nothing twice.
 */
#ifndef TURNOUT_CONTROL_NOTICE_H
#define TURNOUT_CONTROL_NOTICE_H

#include "control/recovery.h"

enum {
    NOTICE_ITEMS_MAX = 64,    /* in one notice; more are counted */
    NOTICE_SUBJECTS_MAX = ALERT_RULES_MAX + NODE_ALERTS_MAX,
    NOTICE_GROUPS_MAX = ALERT_RULES_MAX,
    NOTICE_BURST_MAX = 8,     /* groups of a receiver that are due at once; more come as one */
    NOTICES_A_MINUTE = 20,    /* to a receiver; the rest waits */
    SILENCES_MAX = 1000,
};

/* What is not told. Empty: any. A pattern is a text, or the beginning of one and a star. */
struct silence {
    struct slice rule, node;
    int severity; /* enum severity_e; -1: any */
};
bool silence_covers(const struct silence *silence, const struct alert_rule *rule,
                    struct slice node);

/* X(NAME, word): what a notice says of an alert. */
#define NOTICE_STATE_TABLE(X) X(FIRING, "firing") X(ABSENT, "absent") X(RESOLVED, "resolved")
#define X(name, text) NOTICE_##name,
enum notice_state_e { NOTICE_STATE_TABLE(X) };
#undef X
const char *notice_state_text(enum notice_state_e state);

struct notice_item {
    size_t rule;
    struct slice node; /* empty: of the whole */
    enum notice_state_e state;
    bool needs_person; /* what could be done about it did not help */
    bool is_flapping;
    double value;
    int64_t since_ms;  /* wall clock: since when it fires, or fired */
    int64_t ended_ms;  /* TIME_NONE: it has not */
};
struct notice {
    size_t receiver;
    struct slice group; /* a rule, a severity or "all" */
    bool is_repeat;     /* nothing is new: it still is as it was told */
    struct notice_item items[NOTICE_ITEMS_MAX]; /* those that fire first */
    size_t len;
    size_t more; /* further ones that found no room */
};

/* One thing that can be told: a rule's alert, or a node's under it. */
struct subject {
    bool is_used, is_seen;
    bool fires, is_absent, is_called, is_silenced, is_flapping;
    /* Told so before this controller led, and nothing is known yet that says otherwise. */
    bool may_fire, may_be_absent;
    int rule;
    double value;
    int64_t since_ms, ended_ms; /* wall clock */
    size_t id_len;
    char id[NODE_ID_MAX];
};
struct notice_group {
    int64_t wait_from_ms; /* something new waits for company since; TIME_NONE: nothing does */
    int64_t told_ms;      /* the last notice; TIME_NONE: the group is closed */
};
struct notice_receiver {
    unsigned char told[NOTICE_SUBJECTS_MAX];
    struct notice_group groups[NOTICE_GROUPS_MAX];
    int64_t told_ms[NOTICES_A_MINUTE]; /* a ring */
    size_t told_len;
};
struct notices {
    struct subject subjects[NOTICE_SUBJECTS_MAX]; /* rules in their places, then nodes */
    size_t node_places; /* of the latter, up to the last that is used */
    struct notice_receiver receivers[RECEIVERS_MAX];
    struct notice notice; /* the one that is made */
};

/* What there is to tell. */
struct notice_scene {
    const struct policy *policy;
    const struct rule_states *rules;
    const struct climb *climbs; /* of each rule */
    const struct silence *silences;
    size_t silences_len;
    bool knows_nodes; /* false: nobody has looked at them yet */
    int64_t now_ms;  /* the deciders' clock */
    int64_t wall_ms;
};

/* What a receiver was told of an alert by whoever led before. */
struct told_before {
    size_t receiver, rule;
    struct slice node; /* empty: of the whole */
    enum notice_state_e state;
    bool needs_person;
    int64_t at_ms, since_ms; /* wall clock: of the notice, and since when it fires */
};

void notices_init(struct notices *notices);
/* Before the first step: the oldest first. What a receiver would have been told again by now, did
 * it stand, counts no more. */
void notices_recall(struct notices *notices, const struct notice_scene *scene,
                    const struct told_before *told, size_t len);

/* Takes a notice, which lives as long as the call. False: not now, it is made anew later. */
typedef bool (*notice_fn)(const struct notice *notice, void *data);
void notices_step(struct notices *notices, const struct notice_scene *scene, notice_fn fn,
                  void *data);

/* How a receiver is paced: Alertmanager groups by itself and wants to hear of everything often. */
struct notice_pace {
    enum group_by_e group_by;
    int64_t wait_ms, interval_ms, repeat_ms;
};
struct notice_pace notice_pace_of(const struct receiver *receiver);

#endif
