/* SPDX-License-Identifier: Apache-2.0 */
/* Tries, and what time makes of them. */
#include "act/elector.h"

#include "base/assert.h"
#include "base/log.h"
#include "io/pacer.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    TRIES = 6,         /* within the life of a lease: two may fail in a row, and some be late */
    MARGIN_SHARE = 10, /* of the life: for what runs on behind a look at the clock */
};

struct elector {
    struct elector_options options;
    struct pacer *pacer; /* NULL: it does not run */
    bool was_failing;    /* the thread's own */

    pthread_mutex_t lock; /* of what follows */
    struct leadership leadership;
    int64_t until_us;     /* monotonic: is_ours counts no longer, nor does what is known */
};

struct elector *elector_create(const struct elector_options *options) {
    ASSERT(options->ttl_ms >= ELECTOR_TTL_MIN_MS);
    struct elector *elector = calloc(1, sizeof *elector);
    if (elector != NULL) {
        elector->options = *options;
        ASSERT(pthread_mutex_init(&elector->lock, NULL) == 0);
    }
    return elector;
}

void elector_destroy(struct elector *elector) {
    if (elector != NULL) {
        ASSERT(elector->pacer == NULL);
        pthread_mutex_destroy(&elector->lock);
        free(elector);
    }
}

static bool is_over_locked(const struct elector *elector) {
    return clock_mono_us(elector->options.clock) >= elector->until_us;
}

void elector_see(struct elector *elector, struct leadership *ret_leadership) {
    pthread_mutex_lock(&elector->lock);
    *ret_leadership = elector->leadership;
    if (is_over_locked(elector)) {
        *ret_leadership = (struct leadership){.is_ours = false};
    }
    pthread_mutex_unlock(&elector->lock);
}

static void log_change(const struct leadership *before, const struct leadership *now) {
    if (now->is_ours && (!before->is_ours || before->term != now->term)) {
        log_event(LOG_INFO, "controller_leads", "term=%lld", (long long)now->term);
    } else if (!now->is_ours && before->is_ours) {
        log_event(LOG_WARN, "controller_follows", "leader=%s term=%lld",
                  now->holder[0] == '\0' ? "nobody" : now->holder, (long long)now->term);
    } else if (!now->is_ours && strcmp(before->holder, now->holder) != 0) {
        log_event(LOG_INFO, "controller_leader", "leader=%s term=%lld",
                  now->holder[0] == '\0' ? "nobody" : now->holder, (long long)now->term);
    }
}

static void keep(struct elector *elector, const struct leadership *now, int64_t asked_us) {
    int64_t life_us = elector->options.ttl_ms * 1000;
    struct leadership before;
    elector_see(elector, &before);
    pthread_mutex_lock(&elector->lock);
    elector->leadership = *now;
    elector->until_us = asked_us + life_us - (now->is_ours ? life_us / MARGIN_SHARE : 0);
    pthread_mutex_unlock(&elector->lock);
    log_change(&before, now);
}

/* What is known stands until its time is over. */
static void note_failure(struct elector *elector, const struct leadership *before, enum err_e err,
                         const struct problem *problem) {
    struct leadership now;
    if (!elector->was_failing) {
        log_event(LOG_WARN, "election_failed", "err=%s detail=\"%s\"", err_code(err),
                  problem->detail);
    }
    elector->was_failing = true;
    elector_see(elector, &now);
    if (before->is_ours && !now.is_ours) {
        log_event(LOG_WARN, "controller_follows", "leader=nobody reason=\"the lease ran out\"");
    }
}

MAY_BLOCK void elector_turn(struct elector *elector) {
    const struct elector_seams *seams = &elector->options.seams;
    struct leadership before, now = {.is_ours = false};
    struct problem problem = {.detail = ""};
    elector_see(elector, &before);
    int64_t asked_us = clock_mono_us(elector->options.clock);
    enum err_e err = seams->try(seams->data, &now, &problem);
    if (err != ERR_OK) {
        note_failure(elector, &before, err, &problem);
        return;
    }
    elector->was_failing = false;
    keep(elector, &now, asked_us);
}

/* ---- the thread ---- */

MAY_BLOCK static void turn(void *elector) {
    elector_turn(elector);
}

enum err_e elector_start(struct elector *elector) {
    elector->pacer = pacer_start(&(struct pacer_options){
        .name = "elector",
        .every_ms = elector->options.ttl_ms / TRIES,
        .turn = turn,
        .data = elector,
    });
    return elector->pacer == NULL ? ERR_NO_MEMORY : ERR_OK;
}

MAY_BLOCK void elector_stop(struct elector *elector) {
    struct leadership last;
    struct problem problem = {.detail = ""};
    if (elector == NULL || elector->pacer == NULL) {
        return;
    }
    pacer_stop(elector->pacer);
    elector->pacer = NULL;
    elector_see(elector, &last);
    if (!last.is_ours) {
        return;
    }
    keep(elector, &(struct leadership){.is_ours = false}, clock_mono_us(elector->options.clock));
    const struct elector_seams *seams = &elector->options.seams;
    enum err_e err = seams->give_back(seams->data, &problem);
    if (err != ERR_OK) { /* it runs out */
        log_event(LOG_WARN, "lease_not_given_back", "err=%s detail=\"%s\"", err_code(err),
                  problem.detail);
    }
}
