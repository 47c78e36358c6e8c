/* SPDX-License-Identifier: Apache-2.0 */
/* The moves of one node. */
#include "control/member.h"

#include "base/assert.h"
#include "base/fsm.h"

#include <stdio.h>

enum { LOOKED_AT = 10, BAD_MOST = 5 };

/* How often the same answer must have come in a row. */
enum patience_e { STAYS, AT_ONCE, MISSES, SLOWS, RECOVERS };

static const struct {
    int next;
    enum patience_e patience;
} moves[MEMBER_STATE_COUNT][MEMBER_ANSWER_COUNT] = {
    [MEMBER_SUSPECT] = {
        [ANSWER_GOOD] = {MEMBER_HEALTHY, RECOVERS},
        [ANSWER_DRAINS] = {MEMBER_DRAINING, AT_ONCE},
    },
    [MEMBER_HEALTHY] = {
        [ANSWER_SLOW] = {MEMBER_SUSPECT, SLOWS},
        [ANSWER_MISSED] = {MEMBER_SUSPECT, MISSES},
        [ANSWER_NOT_READY] = {MEMBER_SUSPECT, AT_ONCE},
        [ANSWER_DRAINS] = {MEMBER_DRAINING, AT_ONCE},
        [ANSWER_LIES] = {MEMBER_SUSPECT, AT_ONCE},
    },
    [MEMBER_DRAINING] = {
        [ANSWER_GOOD] = {MEMBER_SUSPECT, AT_ONCE},
        [ANSWER_LIES] = {MEMBER_SUSPECT, AT_ONCE},
    },
};

static const struct fsm_row states[] = {
    [MEMBER_SUSPECT] = {"suspect", FSM_TO(MEMBER_HEALTHY) | FSM_TO(MEMBER_DRAINING) |
                                       FSM_TO(MEMBER_GONE)},
    [MEMBER_HEALTHY] = {"healthy", FSM_TO(MEMBER_SUSPECT) | FSM_TO(MEMBER_DRAINING) |
                                       FSM_TO(MEMBER_GONE)},
    [MEMBER_DRAINING] = {"draining", FSM_TO(MEMBER_SUSPECT) | FSM_TO(MEMBER_GONE)},
    [MEMBER_GONE] = {"gone", FSM_TO(MEMBER_SUSPECT)},
};

const char *member_state_text(enum member_state_e state) {
    ASSERT((unsigned)state < MEMBER_STATE_COUNT);
    return states[state].name;
}

const char *member_answer_text(enum member_answer_e answer) {
    static const char *const words[] = {
#define X(name, word) [ANSWER_##name] = word,
        MEMBER_ANSWER_TABLE(X)
#undef X
    };
    ASSERT((unsigned)answer < MEMBER_ANSWER_COUNT);
    return words[answer];
}

static void tell(struct member *member, const char *why) {
    snprintf(member->why, sizeof member->why, "%s", why);
}

static void move(struct member *member, int next, int64_t now_ms) {
    fsm_move(states, &member->state, next);
    member->since_ms = now_ms;
}

void member_init(struct member *member, int64_t now_ms) {
    *member = (struct member){
        .state = MEMBER_SUSPECT, .since_ms = now_ms, .answer = -1, .is_new = true};
    tell(member, "it has not answered yet");
}

/* ---- what it answers ---- */

static void remember(struct member *member, enum member_answer_e answer) {
    bool is_bad = answer == ANSWER_MISSED || answer == ANSWER_SLOW;
    member->run = (int)answer == member->answer ? member->run + 1 : 1;
    member->answer = (int)answer;
    member->bad = (member->bad << 1 | is_bad) & ((1u << LOOKED_AT) - 1);
}

static int needed(const struct member *member, enum patience_e patience,
                  const struct member_policy *policy) {
    switch (patience) {
    case STAYS:
        return INT32_MAX;
    case AT_ONCE:
        return 1;
    case MISSES:
        return policy->miss_after;
    case SLOWS:
        return policy->slow_after;
    case RECOVERS:
        return member->is_new ? 1 : policy->recover_after;
    }
    UNREACHABLE();
}

/* One that answers every other time never misses twice in a row. */
static bool is_worn_out(const struct member *member, enum patience_e patience) {
    return (patience == MISSES || patience == SLOWS) &&
           __builtin_popcount(member->bad) >= BAD_MOST;
}

static void tell_answer(struct member *member, enum member_answer_e answer, const char *detail,
                        const struct member_policy *policy) {
    char why[MEMBER_WHY_SIZE];
    if (member->state == MEMBER_HEALTHY && answer == ANSWER_GOOD) {
        tell(member, "it answers in time");
    } else if (member->state == MEMBER_SUSPECT && answer == ANSWER_GOOD) {
        snprintf(why, sizeof why, "it answers again, %d of %d times", member->run,
                 policy->recover_after);
        tell(member, why);
    } else if (member->state != MEMBER_GONE) {
        snprintf(why, sizeof why, "%s%s%s", member_answer_text(answer),
                 detail[0] == '\0' ? "" : ": ", detail);
        tell(member, why);
    }
}

bool member_hear(struct member *member, enum member_answer_e answer, const char *detail,
                 const struct member_policy *policy, int64_t now_ms) {
    int before = member->state;
    remember(member, answer);
    enum patience_e patience = moves[before][answer].patience;
    if (member->run >= needed(member, patience, policy) || is_worn_out(member, patience)) {
        move(member, moves[before][answer].next, now_ms);
    }
    if (member->state == MEMBER_HEALTHY) {
        member->is_new = false;
    }
    if (member->state == MEMBER_SUSPECT && before != MEMBER_SUSPECT) {
        member->bad = 0; /* it has paid for them */
    }
    tell_answer(member, answer, detail, policy);
    return member->state != before;
}

/* ---- what its registration says ---- */

static bool list_gone(struct member *member, enum member_listing_e listing, int64_t now_ms) {
    bool is_back = listing == LISTING_VALID || listing == LISTING_DRAINS;
    if (is_back) {
        move(member, MEMBER_SUSPECT, now_ms);
        member->is_new = true;
        tell(member, "it registered anew");
    }
    return is_back;
}

static bool leave(struct member *member, const char *why, int64_t now_ms) {
    move(member, MEMBER_GONE, now_ms);
    tell(member, why);
    return true;
}

bool member_list(struct member *member, enum member_listing_e listing, int64_t now_ms) {
    bool is_silent = member->state != MEMBER_HEALTHY && member->answer == ANSWER_MISSED;
    if (member->state == MEMBER_GONE) {
        return list_gone(member, listing, now_ms);
    }
    switch (listing) {
    case LISTING_VALID:
        return false;
    case LISTING_DRAINS:
        if (member->state != MEMBER_DRAINING) {
            move(member, MEMBER_DRAINING, now_ms);
            tell(member, "it registered that it is about to stop");
            return true;
        }
        return false;
    case LISTING_ENDED:
        return is_silent &&
               leave(member, "its registration ended and it does not answer", now_ms);
    case LISTING_NONE:
        return leave(member, "it left", now_ms);
    }
    UNREACHABLE();
}
