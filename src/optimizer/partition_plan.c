/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning in one pass: what is covered is a sorted list of ranges, and whatever it leaves open in
 * a span is cut at the borders of periods into steps.
 */
#include "optimizer/partition_plan.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SUFFIX_MAX = 28, /* _2026_w07_20261101t093000_99 */
    NUMBERED_MAX = 99,
    BUF_LIMIT = 512, /* bytes a name is put together in */
};
#define YEAR_1970_MS 0
#define YEAR_9000_MS 221845392000000LL

struct range {
    int64_t from_ms, to_ms;
};

struct planner {
    const struct partition_policy *policy;
    const struct partition_view *view;
    int64_t current;       /* number of the period that holds now */
    int64_t cutoff_ms;     /* what ends before it is beyond the retention; INT64_MIN without one */
    struct range *covered; /* sorted by their starts */
    size_t covered_count;
    struct partition_step *steps;
    size_t count, size;
};

struct step_row {
    const char *word, *text, *lock;
};
static const struct step_row step_rows[PARTITION_STEP_COUNT] = {
#define X(name, word, what, lock) [PARTITION_##name] = {word, what, lock},
    PARTITION_STEP_TABLE(X)
#undef X
};

const char *partition_step_word(enum partition_step_e step) {
    ASSERT((unsigned)step < PARTITION_STEP_COUNT);
    return step_rows[step].word;
}

const char *partition_step_text(enum partition_step_e step) {
    ASSERT((unsigned)step < PARTITION_STEP_COUNT);
    return step_rows[step].text;
}

const char *partition_step_lock(enum partition_step_e step) {
    ASSERT((unsigned)step < PARTITION_STEP_COUNT);
    return step_rows[step].lock;
}

/* Steps. There is room for all: see steps_at_most. */

static struct partition_step *add_step(struct planner *p, enum partition_step_e kind,
                                       struct range range) {
    ASSERT(p->count < p->size);
    struct partition_step *step = &p->steps[p->count++];
    *step = (struct partition_step){.kind = kind, .from_ms = range.from_ms, .to_ms = range.to_ms};
    return step;
}

static void add_step_of(struct planner *p, enum partition_step_e kind,
                        const struct partition *partition) {
    struct partition_step *step =
        add_step(p, kind, (struct range){partition->from_ms, partition->to_ms});
    snprintf(step->name, sizeof step->name, "%.*s", SLICE_ARG(partition->name));
}

/* Names */

static bool is_taken(const struct planner *p, struct slice name) {
    for (size_t i = 0; i < p->view->count; i++) {
        if (slice_eq(p->view->partitions[i].name, name)) {
            return true;
        }
    }
    for (size_t i = 0; i < p->count; i++) {
        if (slice_eq_text(name, p->steps[i].name)) {
            return true;
        }
    }
    return false;
}

static struct range period_range(const struct planner *p, int64_t number) {
    return (struct range){partition_period_start(p->policy->period, number),
                          partition_period_start(p->policy->period, number + 1)};
}

/* Of a part of a period: its first moment. */
static void add_moment(struct buf *name, int64_t ms) {
    char at[TIME_TEXT_SIZE];
    time_format(ms, at); /* 2026-11-01T09:30:00.000Z */
    buf_printf(name, "_%.4s%.2s%.2s", at, at + 5, at + 8);
    if (ms % 86400000 != 0) {
        buf_printf(name, "t%.2s%.2s%.2s", at + 11, at + 14, at + 17);
    }
}

/* The period's name, and a number behind it if that is taken. */
static void make_name(const struct planner *p, struct range range, int64_t number,
                      char ret_name[PARTITION_NAME_MAX + 1]) {
    struct range whole = period_range(p, number);
    struct buf name;
    buf_init(&name, BUF_LIMIT);
    partition_period_name(&name, p->policy->table, p->policy->period, number);
    if (range.from_ms != whole.from_ms || range.to_ms != whole.to_ms) {
        add_moment(&name, range.from_ms);
    }
    size_t len = name.len;
    for (int i = 2; is_taken(p, buf_slice(&name)) && i <= NUMBERED_MAX; i++) {
        name.len = len;
        buf_printf(&name, "_%d", i);
    }
    bool fits = !name.failed && slice_to_cstr(buf_slice(&name), ret_name, PARTITION_NAME_MAX + 1);
    ASSERT(fits); /* check_policy saw to the table's name */
    buf_fini(&name);
}

/* Named by turnout, in whatever period the policy had at the time, for the range that it holds. */
static bool is_ours(const struct planner *p, const struct partition *partition) {
    static const enum partition_period_e periods[] = {PARTITION_QUARTER, PARTITION_MONTH,
                                                      PARTITION_WEEK};
    bool ours = false;
    for (size_t i = 0; i < sizeof periods / sizeof periods[0] && !ours; i++) {
        int64_t number = partition_period_of(periods[i], partition->from_ms);
        struct buf name;
        buf_init(&name, BUF_LIMIT);
        partition_period_name(&name, p->policy->table, periods[i], number);
        struct slice rest = slice_skip(partition->name, name.len);
        ours = slice_starts_with(partition->name, buf_slice(&name)) &&
               (rest.len == 0 || rest.at[0] == '_') &&
               partition->to_ms <= partition_period_start(periods[i], number + 1);
        buf_fini(&name);
    }
    return ours;
}

/* What is covered */

static bool has_range(const struct partition *partition) {
    return partition->state != PARTITION_DEFAULT;
}

static bool is_bounded(const struct partition *partition) {
    return partition->from_ms != PARTITION_FROM_ALWAYS &&
           partition->to_ms != PARTITION_TO_ALWAYS;
}

static int by_start(const void *a, const void *b) {
    const struct range *x = a, *y = b;
    return (x->from_ms > y->from_ms) - (x->from_ms < y->from_ms);
}

/* A pending one holds its range until it is finalized. `with_detached`: the ranges that might be
 * attached again are left to the operator, too. */
enum cover_e { COVER_ATTACHED, COVER_WITH_DETACHED };

static void cover(struct planner *p, enum cover_e what) {
    p->covered_count = 0;
    for (size_t i = 0; i < p->view->count; i++) {
        const struct partition *one = &p->view->partitions[i];
        if (has_range(one) && (one->state != PARTITION_DETACHED || what == COVER_WITH_DETACHED)) {
            p->covered[p->covered_count++] = (struct range){one->from_ms, one->to_ms};
        }
    }
    qsort(p->covered, p->covered_count, sizeof *p->covered, by_start);
}

/* The first open range in `span`; false when all of it is covered. */
static bool next_open(const struct planner *p, struct range span, struct range *ret_open) {
    for (size_t i = 0; i < p->covered_count && span.from_ms < span.to_ms; i++) {
        const struct range *c = &p->covered[i];
        if (c->from_ms > span.from_ms) {
            span.to_ms = c->from_ms < span.to_ms ? c->from_ms : span.to_ms;
            break;
        }
        span.from_ms = c->to_ms > span.from_ms ? c->to_ms : span.from_ms;
    }
    *ret_open = span;
    return span.from_ms < span.to_ms;
}

/* A step for each open part of `span`, cut at the borders of periods; at most `most`. */
static void fill(struct planner *p, enum partition_step_e kind, struct range span, size_t most) {
    struct range open;
    for (size_t made = 0; made < most && next_open(p, span, &open); made++) {
        int64_t number = partition_period_of(p->policy->period, open.from_ms);
        int64_t end = period_range(p, number).to_ms;
        open.to_ms = open.to_ms < end ? open.to_ms : end;
        char name[PARTITION_NAME_MAX + 1];
        make_name(p, open, number, name);
        memcpy(add_step(p, kind, open)->name, name, sizeof name);
        span.from_ms = open.to_ms;
    }
}

/* Ahead */

static void plan_ahead(struct planner *p) {
    cover(p, COVER_ATTACHED);
    struct range span = {period_range(p, p->current).from_ms,
                         period_range(p, p->current + p->policy->ahead).to_ms};
    fill(p, PARTITION_CREATE, span, SIZE_MAX);
}

static const struct partition *some_attached(const struct planner *p) {
    for (size_t i = 0; i < p->view->count; i++) {
        if (p->view->partitions[i].state == PARTITION_ATTACHED) {
            return &p->view->partitions[i];
        }
    }
    return NULL;
}

/* As it stands before any step: whoever makes partitions ahead has not come by for long. */
static void warn_horizon(struct planner *p) {
    cover(p, COVER_ATTACHED);
    int64_t enough = p->current + (p->policy->ahead + 1) / 2;
    struct range span = {p->view->now_ms, period_range(p, enough).to_ms};
    struct range open;
    if (some_attached(p) != NULL && next_open(p, span, &open)) {
        add_step(p, PARTITION_WARN_HORIZON, open);
    }
}

/* Gaps: between the first attached partition and the current period, for scans that come late. */

static void plan_gaps(struct planner *p) {
    cover(p, COVER_ATTACHED);
    if (p->covered_count == 0) {
        return;
    }
    int64_t first = p->covered[0].from_ms;
    cover(p, COVER_WITH_DETACHED);
    int64_t kept = p->cutoff_ms; /* the period that it cuts through is kept whole */
    if (kept > YEAR_1970_MS) {
        kept = period_range(p, partition_period_of(p->policy->period, kept)).from_ms;
    }
    kept = kept > YEAR_1970_MS ? kept : YEAR_1970_MS;
    struct range span = {first > kept ? first : kept, period_range(p, p->current).from_ms};
    fill(p, PARTITION_FILL_GAP, span, PARTITION_FILLS_MAX);
}

/* Retiring */

static bool is_beyond_retention(const struct planner *p, const struct partition *partition) {
    return has_range(partition) && is_bounded(partition) && partition->to_ms <= p->cutoff_ms &&
           partition->to_ms <= p->view->now_ms;
}

/* The newest partition ended before now: partitions are made ahead, so the clock is wrong, or
 * nobody has looked after them for so long that a person should look first. */
static bool is_clock_doubtful(const struct planner *p) {
    for (size_t i = 0; i < p->view->count; i++) {
        const struct partition *one = &p->view->partitions[i];
        if (one->state == PARTITION_ATTACHED && one->to_ms > p->view->now_ms) {
            return false;
        }
    }
    return some_attached(p) != NULL;
}

static bool has_default(const struct planner *p) {
    for (size_t i = 0; i < p->view->count; i++) {
        if (p->view->partitions[i].state == PARTITION_DEFAULT) {
            return true;
        }
    }
    return false;
}

static bool quarantine_is_over(const struct planner *p, const struct partition *partition) {
    return partition->detached_ms != TIME_NONE && partition->detached_ms <= p->view->now_ms &&
           p->view->now_ms - partition->detached_ms >= p->policy->quarantine_ms;
}

static void retire(struct planner *p, const struct partition *one) {
    if (!is_beyond_retention(p, one)) {
        return;
    }
    if (!is_ours(p, one)) {
        add_step_of(p, PARTITION_WARN_FOREIGN, one);
    } else if (one->state == PARTITION_ATTACHED && !has_default(p)) {
        add_step_of(p, PARTITION_DETACH, one);
    } else if (one->state == PARTITION_DETACHED && quarantine_is_over(p, one)) {
        add_step_of(p, PARTITION_DROP, one);
    }
}

static void plan_retirement(struct planner *p) {
    if (p->policy->retention_ms == 0) {
        return;
    }
    if (is_clock_doubtful(p)) {
        add_step(p, PARTITION_WARN_CLOCK, (struct range){p->view->now_ms, p->view->now_ms});
        return;
    }
    for (size_t i = 0; i < p->view->count; i++) {
        retire(p, &p->view->partitions[i]);
    }
}

static void plan_leftovers(struct planner *p) {
    for (size_t i = 0; i < p->view->count; i++) {
        const struct partition *one = &p->view->partitions[i];
        if (one->state == PARTITION_DETACH_PENDING) {
            add_step_of(p, PARTITION_FINALIZE, one);
        }
    }
    for (size_t i = 0; i < p->view->count; i++) {
        const struct partition *one = &p->view->partitions[i];
        if (one->state == PARTITION_DEFAULT) {
            add_step_of(p, PARTITION_WARN_DEFAULT, one);
        } else if (one->state == PARTITION_DETACHED && !is_beyond_retention(p, one)) {
            add_step_of(p, PARTITION_WARN_DETACHED, one);
        }
    }
}

/* Input */

static enum err_e check_policy(const struct partition_policy *policy, struct problem *problem) {
    if (policy->table.len == 0 || policy->table.len + SUFFIX_MAX > PARTITION_NAME_MAX) {
        return problem_set(problem, ERR_INVALID_FIELD, "table",
                           "a table name has 1 to %d bytes, so that its partitions' names fit",
                           PARTITION_NAME_MAX - SUFFIX_MAX);
    }
    if (policy->ahead < 1 || policy->ahead > PARTITION_AHEAD_MAX) {
        return problem_set(problem, ERR_INVALID_FIELD, "ahead", "1 to %d periods ahead",
                           PARTITION_AHEAD_MAX);
    }
    if (policy->retention_ms < 0 || policy->quarantine_ms < 0) {
        return problem_set(problem, ERR_INVALID_FIELD, "retention",
                           "retention and quarantine are 0 or more");
    }
    return ERR_OK;
}

static bool is_sane(int64_t ms) {
    return ms >= YEAR_1970_MS && ms <= YEAR_9000_MS;
}

static enum err_e check_view(const struct partition_view *view, struct problem *problem) {
    if (!is_sane(view->now_ms)) {
        return problem_set(problem, ERR_INVALID_FIELD, "now", "a time of the years 1970 to 9000");
    }
    for (size_t i = 0; i < view->count; i++) {
        const struct partition *one = &view->partitions[i];
        bool from = one->from_ms == PARTITION_FROM_ALWAYS || is_sane(one->from_ms);
        bool to = one->to_ms == PARTITION_TO_ALWAYS || is_sane(one->to_ms);
        if (has_range(one) && (!from || !to || one->from_ms >= one->to_ms)) {
            return problem_set(problem, ERR_INVALID_FIELD, "partition",
                               "%.*s has no range within the years 1970 to 9000",
                               SLICE_ARG(one->name));
        }
        if (one->name.len > PARTITION_NAME_MAX) {
            return problem_set(problem, ERR_INVALID_FIELD, "partition", "a name has 63 bytes");
        }
    }
    return ERR_OK;
}

/* Each partition is worth at most three steps (finalize or warning, retirement, and an open range
 * behind it); beside those the periods ahead, the gaps, and the warnings about the table. */
static size_t steps_at_most(const struct partition_policy *policy, size_t partitions) {
    return 3 * partitions + policy->ahead + 2 + PARTITION_FILLS_MAX + 4;
}

enum err_e partition_plan_make(struct arena *arena, const struct partition_policy *policy,
                               const struct partition_view *view, struct partition_plan *ret_plan,
                               struct problem *ret_problem) {
    TRY(check_policy(policy, ret_problem));
    TRY(check_view(view, ret_problem));
    bool retires = policy->retention_ms > 0;
    struct planner p = {
        .policy = policy,
        .view = view,
        .current = partition_period_of(policy->period, view->now_ms),
        .cutoff_ms = retires ? view->now_ms - policy->retention_ms : INT64_MIN,
        .size = steps_at_most(policy, view->count),
    };
    p.steps = arena_alloc(arena, p.size * sizeof *p.steps);
    p.covered = arena_alloc(arena, (view->count + 1) * sizeof *p.covered);
    if (p.steps == NULL || p.covered == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "too many partitions");
    }
    plan_leftovers(&p);
    warn_horizon(&p);
    plan_ahead(&p);
    plan_gaps(&p);
    plan_retirement(&p);
    *ret_plan = (struct partition_plan){p.steps, p.count};
    return ERR_OK;
}
