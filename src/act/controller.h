/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller: one thread that looks at the figures each second, decides with the pure deciders
 * of control/, and does or advises what they chose.
 *
 *     sense ──► snapshot ──► decide ──► actions ──► journal ──► act ──► watch ──► journal
 *                  │            │
 *                  └── record ──┴──► state: what /v1/nodes and /v1/alerts show
 *
 * It decides from the snapshot as it reads back from its recorded line, so that `turnout control
 * replay` repeats its decisions to the letter. What it cannot write into the journal, it does not
 * do. Every way out of this unit is a seam that `app` wires.
 *
 * Of several controllers one leads (act/elector.h). The others look and decide as it does, so that
 * they are warm, and do nothing: no action, no row of the journal. Who loses the lead forgets what
 * it had under way; whoever leads next ends those rows.
 *
 * Thread: create, start, stop and destroy from main; state and answer from any.
 */
#ifndef TURNOUT_ACT_CONTROLLER_H
#define TURNOUT_ACT_CONTROLLER_H

#include "act/elector.h"
#include "act/order_book.h"
#include "base/rng.h"
#include "control/decide.h"

#include <stdatomic.h>

enum {
    CONTROLLER_NODES_MAX = 128,
    CONTROLLER_WAITING_MAX = 16, /* actions that wait for somebody's word */
    CONTROLLER_WATCHED_MAX = 16, /* actions whose effect is waited for */
    ACT_DETAIL_SIZE = 256,
};

/* X(NAME, word): what may be done without asking. */
#define RECOVERY_MODE_TABLE(X) X(ADVISE, "advise") X(ASK, "ask") X(ACT, "act")
#define X(name, text) RECOVERY_##name,
enum recovery_mode_e { RECOVERY_MODE_TABLE(X) };
#undef X
const char *recovery_mode_text(enum recovery_mode_e mode);

/* What became of an action; each is drawn in controller_actions.c.
 * X(NAME, word, meaning) */
#define ACTION_OUTCOME_TABLE(X)                                                                    \
    X(ADVISED, "advised", "Nothing was done: the mode is advise, or this node cannot do it.")      \
    X(HELD, "held", "Nothing was done: the hour's budget was used up, or acting is stopped.")      \
    X(WAITING, "waiting", "It waits for an approval.")                                             \
    X(EXPIRED, "expired", "Nobody approved it in time.")                                           \
    X(REFUSED, "refused", "Somebody would not have it done.")                                      \
    X(BEGUN, "begun", "It is under way.")                                                          \
    X(DONE, "done", "It was done; its effect is not judged, or not yet.")                          \
    X(FAILED, "failed", "It was tried and failed.")                                                \
    X(BETTER, "better", "The figure that fired is better since.")                                  \
    X(NO_EFFECT, "no effect", "The figure that fired is as it was.")                               \
    X(WORSE, "worse", "The figure that fired is worse since.")                                     \
    X(INTERRUPTED, "interrupted",                                                                  \
      "Its controller ended, lost the lead, or was told to stop acting meanwhile.")                \
    X(CALLED, "called", "Nothing is left to try: it is for a person to look at.")
#define X(name, text, meaning) OUTCOME_##name,
enum action_outcome_e { ACTION_OUTCOME_TABLE(X) };
#undef X
const char *action_outcome_text(enum action_outcome_e outcome);

struct sensed_node { /* its texts live until the next look */
    struct node_figures figures;
    const char *url;
    const char *version;
    const char *state;        /* "healthy", …; control/member.h */
    const char *why;          /* a sentence */
    const char *capabilities; /* a JSON object; NULL: not told */
    int64_t started_at_ms;    /* TIME_NONE: not told */
    int64_t skew_ms;          /* its clock is ahead of ours; TIME_NONE: not known */
};
struct sensed {
    bool knows_nodes; /* false: nobody has looked yet, which is not the same as none */
    size_t nodes_len; /* those that are decided on */
    size_t gone_len;  /* and, behind them, those that are gone, which are only shown */
    struct sensed_node nodes[CONTROLLER_NODES_MAX];
    double metrics[METRIC_GIVEN_COUNT];
};

struct journal_entry {
    const char *action;  /* "OPTIMIZE_QUERIES" */
    const char *target;  /* "store" */
    const char *outcome;
    struct slice evidence, before, after; /* JSON objects; empty: {} */
    struct slice detail;
    int64_t term; /* written only while this controller leads in it, ERR_CONFLICT else; 0: in any
                     case */
};

/* What is to be done. */
struct act_order {
    enum action_e action;
    int64_t id;       /* of its row in the journal */
    const char *rule; /* that asked; NULL: none */
    const char *node; /* that it is about; empty: none in particular */
    double before;    /* the rule's figure when it was decided */
    bool is_calm;     /* the rule does not hold any more, and by a margin */
    int64_t nodes_from, nodes_to; /* healthy ones, as the scaler decided; equal: it did not ask */
};
struct act_report {
    bool goes_on; /* it is under way: go_on tells more with the next look */
    char detail[ACT_DETAIL_SIZE];
};

/* An action that began or was refused, or a person who was called, before this controller led. */
struct past_action {
    enum action_e action;       /* ACTION_NONE: a person was called */
    char rule[ALERT_NAME_SIZE]; /* that asked; empty: none */
    int64_t age_ms;
    enum action_outcome_e outcome;
    int64_t id;                 /* of its row */
    double before;              /* the rule's figure then; FIGURE_MISSING: not known */
    char detail[ACT_DETAIL_SIZE];
};
enum { PAST_ACTIONS_MAX = SNAPSHOT_EFFECTS_MAX / 2 }; /* it ran, and something became of it */

struct control_state;

/* All are called on the controller's thread, one after the other. */
struct controller_seams {
    void (*sense)(void *data, struct sensed *ret_sensed);
    /* Who leads of several controllers, right now; NULL: this one is alone. */
    void (*lead)(void *data, struct leadership *ret_leadership);
    /* Why this node cannot do it, a sentence; NULL when it can. */
    const char *(*refuse)(void *data, enum action_e action);
    MAY_BLOCK enum err_e (*act)(void *data, const struct act_order *order,
                                struct act_report *ret_report);
    /* Only of what act said goes on; NULL when nothing ever does. */
    MAY_BLOCK enum err_e (*go_on)(void *data, const struct act_order *order,
                                  struct act_report *ret_report);
    /* This controller ends, or leads no more, in the middle of what goes on: whether that is how it
     * was meant, so that it is done. NULL: it never is. */
    bool (*part)(void *data, enum action_e action, char ret_detail[ACT_DETAIL_SIZE]);
    /* Takes back what act did, if it stands; NULL: nothing can be taken back. */
    MAY_BLOCK enum err_e (*undo)(void *data, enum action_e action);
    /* What act said goes on is left where it is: acting is stopped, or it takes too long. NULL as
     * above. */
    MAY_BLOCK void (*halt)(void *data, enum action_e action);
    /* What was seen and decided, each look of a leader, before its actions; NULL: nobody follows
     * it. */
    MAY_BLOCK void (*follow)(void *data, struct control_state *state,
                             const struct decision *decision);
    MAY_BLOCK enum err_e (*journal_add)(void *data, const struct journal_entry *entry,
                                        int64_t *ret_id);
    /* Sets outcome, after and detail, and the time of what waited. */
    MAY_BLOCK enum err_e (*journal_end)(void *data, int64_t id,
                                        const struct journal_entry *entry);
    /* Ends what an earlier run left `was`, on any node if several could have led. */
    MAY_BLOCK enum err_e (*journal_settle)(void *data, const char *was,
                                           const struct journal_entry *entry);
    /* Those of which something may have become within the last hour, or the longest cooldown, the
     * newest first, some older ones among them. NULL: nothing is remembered. */
    MAY_BLOCK enum err_e (*journal_past)(void *data,
                                         struct past_action ret_past[PAST_ACTIONS_MAX],
                                         size_t *ret_len);
    /* A notice for this receiver of the policy. False: its queue is full, the notice is made anew
     * later. NULL: nobody is told anything. */
    bool (*tell)(void *data, size_t receiver, const char *key, struct slice body);
    /* What receivers were told lately, by this controller or another, the oldest first. It lives in
     * the arena. NULL: nothing is remembered. */
    MAY_BLOCK enum err_e (*told)(void *data, struct arena *arena, struct told_before **ret_told,
                                 size_t *ret_len);
    void *data;
};

struct controller_options {
    struct clock *clock;
    struct rng *rng;             /* for the keys of notices */
    const char *node, *url;      /* who tells: of this node */
    const struct policy *policy; /* lives as long as the controller */
    struct controller_seams seams;
    struct order_book *orders; /* silences, and whether anything may be done; NULL: none are given,
                                  else lives as long as the controller */
    enum recovery_mode_e mode;
    int64_t budget;     /* actions done within an hour */
    int64_t verify_ms;  /* until an action's effect is judged; 0: it is not */
    int64_t limit_ms;   /* for an action that goes on; 0: none */
    int64_t approve_ms; /* an approval that comes later is none */
    bool is_held;       /* begins on hold: controller_hold */
    bool is_lone;       /* no other node can join: what the scaler wishes by itself is no advice */
    const char *record; /* path; NULL: nothing is recorded */
    int64_t record_max; /* bytes */
};

struct controller;
/* NULL without memory. */
MAY_BLOCK struct controller *controller_create(const struct controller_options *options);
MAY_BLOCK void controller_destroy(struct controller *controller); /* not running; NULL: nothing */
enum err_e controller_start(struct controller *controller) MUST_CHECK;
MAY_BLOCK void controller_stop(struct controller *controller); /* ends what is under way */

/* On hold it looks and decides, and does nothing about it: another process of this node acts. From
 * the next look on; what is under way goes on. Where a lease tells who leads, that alone counts.
 * Any thread. */
void controller_hold(struct controller *controller, bool is_held);

/* One look and what follows from it: the thread's work of each second, for tests without one. */
MAY_BLOCK void controller_turn(struct controller *controller);

/* What was seen and decided last; shared and never changed. */
struct control_state {
    _Atomic int refs;
    int64_t at_ms; /* wall clock */
    int64_t at_us; /* monotonic */
    struct arena arena;
    struct snapshot snapshot;
    const struct sensed_node *nodes; /* as in the snapshot, then those that are gone */
    size_t nodes_len;
    struct leadership leadership;
    struct slice alerts;             /* JSON documents */
    struct slice nodes_text;
};
/* With a reference; NULL before the first look. */
struct control_state *controller_state(struct controller *controller);
void control_state_unref(struct control_state *state); /* NULL: nothing */
const struct policy *controller_policy(const struct controller *controller);

/* What somebody says of an action that waits, and who: the id of a key. ERR_NOT_FOUND: none of this
 * id waits here, or somebody was faster. */
enum answer_e { ANSWER_NONE, ANSWER_APPROVED, ANSWER_REFUSED };
enum { ANSWER_BY_SIZE = 64 };
enum err_e controller_answer(struct controller *controller, int64_t id, enum answer_e answer,
                             struct slice by) MUST_CHECK;

#endif
