/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the controller share. Thread: the controller's, but where it says so. */
#ifndef TURNOUT_ACT_CONTROLLER_PRIV_H
#define TURNOUT_ACT_CONTROLLER_PRIV_H

#include "act/controller.h"
#include "act/recorder.h"
#include "control/notice.h"

#include <pthread.h>

/* When a rule's state last changed. */
struct alert_times {
    int state;
    int64_t since_ms;    /* wall clock */
    int64_t resolved_ms; /* TIME_NONE: not since the start */
};

/* What an action did, until the next look takes it. */
struct untold {
    int rule; /* -1: none that is there */
    enum action_e action; /* ACTION_NONE: a person was called */
    enum effect_e effect;
    int64_t age_ms; /* 0: since the last look; else an earlier controller did it */
};

/* The last row about an action that was not carried out: the same again is no news for a while. */
struct idle_row {
    int rule;
    enum action_outcome_e outcome;
    int64_t at_us; /* TIME_NONE: none yet */
};

/* An action that waits, is under way or is watched. */
struct ongoing {
    int64_t id; /* in the journal; 0: the place is free */
    enum action_e action;
    int rule; /* -1: none, so its effect is not judged */
    int64_t until_us;
    struct act_order order; /* as decided; see order_of */
    char node[NODE_ID_MAX + 1];
    double before;
    enum answer_e answer;
    char by[ANSWER_BY_SIZE]; /* who said so */
    char detail[ACT_DETAIL_SIZE];
};

struct controller {
    struct controller_options options;
    struct recorder *recorder;
    atomic_bool is_held;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of what follows, up to the empty line */
    pthread_cond_t woken;
    bool is_told; /* something waits for the thread */
    bool ends;
    struct control_state *latest;
    struct ongoing waiting[CONTROLLER_WAITING_MAX];

    struct ongoing going[ACTION_COUNT]; /* each action once */
    struct ongoing watched[CONTROLLER_WATCHED_MAX];
    struct history history;
    struct alert_times times[ALERT_RULES_MAX];
    int64_t started_us;
    int64_t acted_us[64]; /* the latest ones, as a ring: for the budget */
    size_t acted;
    int64_t advised_desired; /* of the scaler's own wish, the last time it was journaled */
    int64_t advised_us;      /* TIME_NONE: never */
    struct idle_row idle[ACTION_COUNT];
    struct untold untold[SNAPSHOT_EFFECTS_MAX];
    size_t untold_len;
    struct leadership leadership; /* of this look; is_ours when it is alone */
    struct order_page *orders;    /* likewise; NULL: none are given, or not read yet */
    struct silence *silences;     /* those of them that stand; in `scratch` */
    size_t silences_len;
    bool is_settled;         /* what an earlier run left in the journal was ended */
    struct notices *notices; /* NULL: nobody is told anything */
    bool is_recalled;        /* what was told before is in them */
    struct sensed sensed;
    struct buf line, text;
    struct arena scratch; /* of one look: what goes into the journal */
};

/* controller_actions.c */
void actions_init(struct controller *controller);
MAY_BLOCK void actions_take(struct controller *controller, const struct control_state *state,
                            const struct decision *decision);
MAY_BLOCK void actions_go_on(struct controller *controller, const struct control_state *state);
/* Leaves what is under way where it is when acting is stopped. */
MAY_BLOCK void actions_hold(struct controller *controller);
/* It ends or loses the lead: tells what is done by that. */
MAY_BLOCK void actions_part(struct controller *controller);
/* The lead was lost or begins anew: nothing is under way any more. */
void actions_forget(struct controller *controller);
/* For the deciders at the next look. */
void actions_tell(struct controller *controller, const struct untold *untold);
/* It is done: its effect will be judged, where that can be. */
void actions_watch(struct controller *controller, const struct ongoing *done);
/* False: nothing is known of its effect. */
bool action_effect(enum action_outcome_e outcome, enum effect_e *ret_effect);

/* controller_past.c: ends what earlier controllers left open in the journal, and takes over budget,
 * cooldowns and ladders. */
MAY_BLOCK void past_settle(struct controller *controller);

/* controller_judge.c: of an action that is done, and watched for a rule. */
bool judge_can(const struct controller *controller, const struct ongoing *watched);
enum action_outcome_e judge_effect(const struct controller *controller,
                                   const struct ongoing *watched);
/* Of one that goes on: no more of it is needed. Its rule holds no more, and by a margin: what is
 * just below its threshold, another node's memory for one, is above it again in a moment. */
bool judge_is_calm(const struct controller *controller, const struct ongoing *going);
/* For so long after its end its rule's figure tells of the time before as well. */
int64_t judge_looks_back_us(const struct controller *controller, const struct ongoing *watched);

/* controller.c: right now, in the term of this look. */
bool controller_leads(const struct controller *controller);

/* controller_orders.c: what stands at this look, and a newer one before something is done. */
void orders_take(struct controller *controller);
MAY_BLOCK void orders_take_anew(struct controller *controller);
void orders_drop(struct controller *controller);
/* Whether nothing may be done, and why: a sentence. */
bool orders_hold(const struct controller *controller, char ret_why[ACT_DETAIL_SIZE]);

/* controller_notices.c */
bool notices_open(struct controller *controller); /* false without memory */
void notices_close(struct controller *controller);
MAY_BLOCK void notices_tell(struct controller *controller, int64_t wall_ms);
void notices_forget(struct controller *controller); /* another controller tells, or did */

/* controller_documents.c: what is written lives in the state's arena. False without memory. */
bool documents_write(struct controller *controller, struct control_state *state,
                     const struct decision *decision);

#endif
