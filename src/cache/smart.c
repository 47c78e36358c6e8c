/* SPDX-License-Identifier: Apache-2.0 */
/* One decision a window. */
#include "cache/smart.h"

#include <math.h>

static const struct {
    const char *word, *text;
} acts[SMART_ACT_COUNT] = {
#define X(name, word, text) [SMART_##name] = {word, text},
    SMART_ACT_TABLE(X)
#undef X
};

const char *smart_act_word(enum smart_act_e act) {
    return acts[act].word;
}

const char *smart_act_text(enum smart_act_e act) {
    return acts[act].text;
}

struct window {
    uint64_t look_ups;
    double hit_rate;
    double evicted, expired; /* shares of the misses */
    double memory;           /* of what may be held, entries or bytes, whichever is fuller */
};

static double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static struct window window_of(const struct smart_look *last, const struct smart_look *look) {
    uint64_t hits = look->hits - last->hits, misses = look->misses - last->misses;
    double entries = share(look->entries, look->capacity_entries);
    double bytes = share(look->bytes, look->capacity_bytes);
    return (struct window){
        .look_ups = hits + misses,
        .hit_rate = share(hits, hits + misses),
        .evicted = share(look->evicted - last->evicted, misses),
        .expired = share(look->expired - last->expired, misses),
        .memory = entries > bytes ? entries : bytes,
    };
}

static struct smart_act *newest(struct smart *smart) {
    return &smart->kept[(smart->kept_len - 1) % SMART_ACTS_KEPT];
}

/* What became of the last act: when it did harm, the next one waits. */
static void judge_last(struct smart *smart, double hit_rate) {
    if (!smart->awaits) {
        return;
    }
    struct smart_act *act = newest(smart);
    act->hit_rate_after = hit_rate;
    smart->awaits = false;
    smart->resting = hit_rate < act->hit_rate_before ? SMART_REST : 0;
}

static struct smart_verdict choose(const struct smart_look *look, const struct window *window) {
    struct smart_verdict verdict = {.act = SMART_NONE, .is_window = true};
    bool does_badly = window->hit_rate < SMART_HIT_RATE && window->memory > SMART_MEMORY;
    if (!does_badly) {
        return verdict;
    }
    uint64_t most = look->entries / SMART_SHARE;
    if (most > 0 && window->expired > SMART_CAUSE) {
        verdict.act = SMART_RENEW;
        verdict.count = most;
        return verdict;
    }
    /* Full to the last entry, or within a hundredth of it: shards fill unevenly. */
    uint64_t room = look->capacity_entries - look->capacity_entries / SMART_SHARE;
    uint64_t bytes_room = look->capacity_bytes - look->capacity_bytes / SMART_SHARE;
    bool is_full = look->entries >= room || look->bytes >= bytes_room;
    if (most > 0 && is_full && window->evicted > SMART_CAUSE) {
        verdict.act = SMART_TRIM;
        verdict.count = most;
    }
    return verdict;
}

static void journal(struct smart *smart, const struct smart_look *look,
                    const struct smart_verdict *verdict, double hit_rate) {
    smart->acts[verdict->act]++;
    smart->kept_len++;
    *newest(smart) = (struct smart_act){.at_ms = look->at_ms,
                                        .act = verdict->act,
                                        .hit_rate_before = hit_rate,
                                        .hit_rate_after = NAN,
                                        .count = verdict->count};
    smart->awaits = true;
}

struct smart_verdict smart_see(struct smart *smart, const struct smart_look *look) {
    if (!smart->has_last) {
        smart->last = *look;
        smart->has_last = true;
    }
    struct window window = window_of(&smart->last, look);
    if (window.look_ups < SMART_WINDOW_TIMES * look->capacity_entries) {
        return (struct smart_verdict){.act = SMART_NONE};
    }
    smart->last = *look;
    judge_last(smart, window.hit_rate);
    if (smart->resting > 0) {
        smart->resting--;
        return (struct smart_verdict){.act = SMART_NONE, .is_window = true};
    }
    struct smart_verdict verdict = choose(look, &window);
    if (verdict.act != SMART_NONE) {
        journal(smart, look, &verdict, window.hit_rate);
    }
    return verdict;
}
