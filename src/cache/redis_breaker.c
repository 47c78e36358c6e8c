/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker's moves, the retry budget and the back-off. */
#include "cache/redis_breaker_priv.h"

#include "base/fsm.h"

static const struct fsm_row moves[] = {
    [REDIS_CLOSED] = {"closed", FSM_TO(REDIS_OPEN)},
    [REDIS_OPEN] = {"open", FSM_TO(REDIS_HALF_OPEN) | FSM_TO(REDIS_CLOSED)},
    [REDIS_HALF_OPEN] = {"half_open", FSM_TO(REDIS_OPEN) | FSM_TO(REDIS_CLOSED)},
};

const char *redis_state_name(enum redis_state_e state) {
    return state == REDIS_OFF ? "off" : moves[state].name;
}

void redis_breaker_init(struct redis_breaker *breaker) {
    *breaker = (struct redis_breaker){.state = REDIS_CLOSED};
}

static void open_it(struct redis_breaker *breaker, int64_t now_us) {
    fsm_move(moves, &breaker->state, REDIS_OPEN);
    breaker->probe_at_us = now_us + BREAKER_PAUSE_US;
}

bool redis_breaker_failed(struct redis_breaker *breaker, int64_t now_us) {
    if (breaker->state == REDIS_OPEN) {
        return false;
    }
    if (breaker->state == REDIS_HALF_OPEN) {
        open_it(breaker, now_us);
        return false;
    }
    breaker->failures++;
    if (breaker->failures < BREAKER_FAILURES) {
        return false;
    }
    open_it(breaker, now_us);
    return true;
}

bool redis_breaker_succeeded(struct redis_breaker *breaker) {
    breaker->failures = 0;
    if (breaker->state == REDIS_CLOSED) {
        return false;
    }
    fsm_move(moves, &breaker->state, REDIS_CLOSED);
    return true;
}

bool redis_breaker_probe(struct redis_breaker *breaker, int64_t now_us) {
    if (breaker->state != REDIS_OPEN || now_us < breaker->probe_at_us) {
        return false;
    }
    fsm_move(moves, &breaker->state, REDIS_HALF_OPEN);
    return true;
}

void redis_retry_budget_init(struct redis_retry_budget *budget) {
    budget->balance = RETRY_BALANCE_MAX * 100;
}

void redis_retry_budget_deposit(struct redis_retry_budget *budget) {
    budget->balance += RETRY_DEPOSIT_PERCENT;
    if (budget->balance > RETRY_BALANCE_MAX * 100) {
        budget->balance = RETRY_BALANCE_MAX * 100;
    }
}

bool redis_retry_budget_take(struct redis_retry_budget *budget) {
    if (budget->balance < 100) {
        return false;
    }
    budget->balance -= 100;
    return true;
}

int64_t redis_backoff_us(unsigned tries, uint64_t chance) {
    unsigned doublings = tries == 0 ? 0 : tries - 1;
    int64_t whole = (int64_t)10000 << (doublings > 4 ? 4 : doublings);
    return whole / 2 + (int64_t)(chance % (uint64_t)(whole / 2 + 1));
}
