/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the cache does badly: what, if anything, may be done about it. Pure.
 *
 * Acting on a low hit rate is harmful more often than not: throwing out what was hit least, a tenth
 * at a time, lost up to 19 points on recorded loads. So there is an act only where it cannot harm:
 * the cache is full, the window has seen ten times its size, and eviction is what causes the
 * misses. Then the entries that the policy would evict next may go, one in a hundred at most; they
 * make room at once for what is asked for now. Where expiry is the cause, the hottest keys are read
 * anew, so that they live on. After an act the next window tells its effect, and after one that
 * made the hit rate worse there is none for SMART_REST windows.
 *
 * Thread: any, one at a time for a struct smart.
 */
#ifndef TURNOUT_CACHE_SMART_H
#define TURNOUT_CACHE_SMART_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SMART_WINDOW_TIMES = 10, /* look-ups in a window, in sizes of the cache */
    SMART_SHARE = 100,       /* at most one entry in so many goes or is renewed */
    SMART_REST = 10,         /* windows */
    SMART_ACTS_KEPT = 16,
};
#define SMART_HIT_RATE 0.7
#define SMART_MEMORY 0.8
#define SMART_CAUSE 0.5 /* share of the misses that a cause must have */

/* X(NAME, word, what it did) */
#define SMART_ACT_TABLE(X)                                                                         \
    X(NONE, "none", "nothing")                                                                     \
    X(TRIM, "trim", "evicted what the policy calls cold, to make room")                            \
    X(RENEW, "renew", "read the hottest keys anew, since expiry took them while in use")
#define X(name, word, text) SMART_##name,
enum smart_act_e { SMART_ACT_TABLE(X) SMART_ACT_COUNT };
#undef X
const char *smart_act_word(enum smart_act_e act);
const char *smart_act_text(enum smart_act_e act);

/* Totals since the start, as counters are; the window is what came since the last look. */
struct smart_look {
    int64_t at_ms; /* wall clock */
    uint64_t hits, misses, evicted, expired;
    uint64_t entries, capacity_entries;
    uint64_t bytes, capacity_bytes;
};

struct smart_act {
    int64_t at_ms;
    enum smart_act_e act;
    double hit_rate_before; /* of the window that gave reason */
    double hit_rate_after;  /* of the next one; NAN: not known yet */
    uint64_t count;         /* entries at most */
};

struct smart {
    struct smart_look last;
    bool has_last;
    uint64_t acts[SMART_ACT_COUNT]; /* since the start */
    struct smart_act kept[SMART_ACTS_KEPT]; /* a ring: the newest is kept_len - 1 */
    uint64_t kept_len;
    int resting;   /* windows until the next act may come */
    bool awaits;   /* the effect of the last act */
};

struct smart_verdict {
    enum smart_act_e act;
    uint64_t count; /* entries to evict or to renew, at most */
    bool is_window; /* a window ended with this look */
};

/* Looks at new totals. An act is in the journal already, its effect follows with the next
 * window. */
struct smart_verdict smart_see(struct smart *smart, const struct smart_look *look);

#endif
