/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The change mark: how nodes learn of what L2 could not be told.
 *
 * The mark is a number in the store that every node looks at. It means nothing; that it moved means
 * that somebody changed something and nobody else tells of it.
 *
 *   telling   all told ──refused, or not told for TIERED_UNTOLD_MS──► turns some bits ──► turned
 *                 ▲                                                                         │
 *                 ├──── all told within TIERED_TAKE_BACK_MS: turns them back ◄──────────────┤
 *                 └──── later: leaves them, others have made an end by then ◄───────────────┘
 *
 *   looking   settled ──moved──► in doubt ──as it was when settled──► settled
 *                ▲                   └──as it is for TIERED_SETTLE_MS──► L1 emptied ─┐
 *                └───────────────────────────────────────────────────────────────────┘
 *
 * 1. In doubt L1 answers only what is younger than TIERED_TRUST_MS, and L2 is not read: nothing is
 *    lost yet. A writer whose Redis paused has told by the time that it turns its bits back; what
 *    the channel proves from then on counts.
 * 2. Values in L2 carry the settled mark in their version, so a node that settles on another one
 *    reads nothing from before, without a word to L2. Nor does a node that was not there.
 * 3. A mark that moves all the time costs doubt, and no more than that: L1 is emptied when it
 *    rests.
 * 4. Bits are turned by exclusive or, so writers do not disturb one another, and a turn that may
 *    have been lost or not is made once more with other bits.
 */
#include "cache/tiered_priv.h"

/* Telling. */

void tiered_news_add_locked(struct tiered *tiered, struct tiered_news *news, int64_t now_us) {
    struct tiered_telling *telling = &tiered->telling;
    if (news->number <= telling->covered) { /* else the older one waits for the mark already */
        news->since_us = now_us;
        news->refused = false;
    }
    news->number = ++telling->numbers;
}

static bool waits(const struct tiered_telling *telling, const struct tiered_news *news) {
    return news->number > telling->covered;
}

static bool is_due(const struct tiered_telling *telling, const struct tiered_news *news,
                   int64_t now_us) {
    return waits(telling, news) &&
           (news->refused || now_us - news->since_us >= TIERED_UNTOLD_MS * 1000);
}

struct tiered_untold {
    bool any;   /* that L2 has not heard */
    bool waits; /* nor is it in the mark */
    bool due;
};

static void add_untold(const struct tiered_telling *telling, const struct tiered_news *news,
                       int64_t now_us, struct tiered_untold *sum) {
    sum->any = sum->any || news->number != 0;
    sum->waits = sum->waits || waits(telling, news);
    sum->due = sum->due || is_due(telling, news, now_us);
}

static struct tiered_untold untold_locked(const struct tiered *tiered, int64_t now_us) {
    struct tiered_untold sum = {.any = false};
    const struct tiered_entry *entry = tiered->journal.oldest;
    for (; entry != NULL; entry = entry->newer) {
        add_untold(&tiered->telling, &entry->news, now_us, &sum);
    }
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        add_untold(&tiered->telling, &tiered->epochs[i].news, now_us, &sum);
    }
    return sum;
}

/* The bits to turn now; 0: none. */
static uint64_t choose_locked(struct tiered_loop *loop, int64_t now_us) {
    struct tiered_telling *telling = &loop->tiered->telling;
    if (telling->turning != 0 || now_us < telling->again_us) {
        return 0;
    }
    struct tiered_untold untold = untold_locked(loop->tiered, now_us);
    bool is_late = now_us - telling->turned_us > TIERED_TAKE_BACK_MS * 1000;
    if (untold.due) {
        telling->turning = rng_u64(&loop->chance.base) | 1;
        telling->covers = telling->numbers;
    } else if (is_late) {
        telling->turned = 0;
    } else if (!untold.any) {
        telling->turning = telling->turned;
    }
    return telling->turning;
}

void tiered_mark_tick(struct tiered_loop *loop, int64_t now_us) {
    if (loop->mark == NULL) {
        return;
    }
    pthread_mutex_lock(&loop->tiered->mutex);
    uint64_t bits = choose_locked(loop, now_us);
    pthread_mutex_unlock(&loop->tiered->mutex);
    if (bits != 0) {
        loop->mark(loop->mark_data, bits);
    }
}

static void turned_locked(struct tiered_telling *telling, enum err_e err, int64_t now_us) {
    bool is_back = telling->turning == telling->turned;
    if (is_back) {
        telling->turned = 0; /* or nobody knows: then others make an end */
    } else if (err == ERR_OK) {
        telling->turned ^= telling->turning;
        telling->turned_us = now_us;
        telling->covered = telling->covers;
        telling->turns++;
    }
    telling->turning = 0;
    telling->again_us = now_us + TIERED_AGAIN_MS * 1000;
}

void tiered_marked(struct tiered_loop *loop, enum err_e err) {
    pthread_mutex_lock(&loop->tiered->mutex);
    ASSERT(loop->tiered->telling.turning != 0);
    turned_locked(&loop->tiered->telling, err, tiered_now_us(loop));
    pthread_mutex_unlock(&loop->tiered->mutex);
    (void)tiered_tick_soon(loop);
}

bool tiered_mark_is_idle_locked(const struct tiered *tiered) {
    return tiered->telling.turning == 0 && tiered->telling.turned == 0;
}

bool tiered_owes(struct tiered *tiered) {
    pthread_mutex_lock(&tiered->mutex);
    bool owes = untold_locked(tiered, 0).waits;
    pthread_mutex_unlock(&tiered->mutex);
    return owes;
}

/* Looking. */

void tiered_sight_init(struct tiered *tiered) {
    bool watches = tiered->options.watches_mark;
    atomic_init(&tiered->certain_us, watches ? INT64_MAX : TIERED_NEVER_US);
}

enum sight_e { SIGHT_SETTLED, SIGHT_DOUBT, SIGHT_DROP };

static enum sight_e see_locked(struct tiered_sight *sight, uint64_t mark, int64_t now_us) {
    bool is_first = !sight->any;
    if (is_first || mark != sight->mark) {
        sight->moved_us = now_us;
    }
    sight->any = true;
    sight->mark = mark;
    sight->looked_us = now_us;
    if (!is_first && mark == sight->settled) {
        return SIGHT_SETTLED;
    }
    if (!is_first && now_us - sight->moved_us < TIERED_SETTLE_MS * 1000) {
        return SIGHT_DOUBT;
    }
    sight->settled = mark;
    sight->drops += !is_first;
    return SIGHT_DROP;
}

/* What the channel proves from now on counts. */
static void settle(struct tiered *tiered, int64_t now_us) {
    if (atomic_load(&tiered->certain_us) == INT64_MAX) {
        atomic_store(&tiered->certain_us, now_us);
    }
}

void tiered_see_mark(struct tiered_loop *loop, uint64_t mark) {
    struct tiered *tiered = loop->tiered;
    int64_t now_us = tiered_now_us(loop);
    pthread_mutex_lock(&tiered->mutex);
    enum sight_e sight = see_locked(&tiered->sight, mark, now_us);
    pthread_mutex_unlock(&tiered->mutex);
#ifdef PLANT_SKIP_MARK
    sight = SIGHT_SETTLED;
#endif
    switch (sight) {
    case SIGHT_SETTLED:
        settle(tiered, now_us);
        break;
    case SIGHT_DOUBT:
        if (atomic_exchange(&tiered->certain_us, INT64_MAX) != INT64_MAX) {
            tiered_flights_outdate_matching(tiered, SLICE_LIT("*")); /* what they read may be old */
        }
        break;
    case SIGHT_DROP: /* values go before trust comes back */
        atomic_store(&tiered->certain_us, INT64_MAX);
        tiered_drop(tiered);
        settle(tiered, now_us);
        break;
    }
}
