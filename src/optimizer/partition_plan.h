/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about the partitions of a table that is range-partitioned by time: which to make
 * ahead, which gap to fill, which to retire. No SQL and no clock: the same input gives the same
 * steps, so that a plan can be shown before it is carried out.
 *
 * Retiring goes detach, quarantine, drop, and only with a retention; a partition that turnout did
 * not name is never retired. When the clock stands behind the last partition it is not believed:
 * nothing is retired then.
 * Pure; thread: any. The steps live in the arena.
 */
#ifndef TURNOUT_OPTIMIZER_PARTITION_PLAN_H
#define TURNOUT_OPTIMIZER_PARTITION_PLAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

/* X(NAME, word) */
#define PARTITION_PERIOD_TABLE(X) X(QUARTER, "quarter") X(MONTH, "month") X(WEEK, "week")
enum partition_period_e {
#define X(name, word) PARTITION_##name,
    PARTITION_PERIOD_TABLE(X)
#undef X
};
const char *partition_period_word(enum partition_period_e period);

enum partition_state_e {
    PARTITION_ATTACHED,
    PARTITION_DETACH_PENDING, /* a DETACH CONCURRENTLY was cut short: its rows are invisible */
    PARTITION_DETACHED,       /* in quarantine */
    PARTITION_DEFAULT,        /* takes every row without a partition; has no range */
};

/* MINVALUE and MAXVALUE of a range. */
#define PARTITION_FROM_ALWAYS INT64_MIN
#define PARTITION_TO_ALWAYS INT64_MAX

struct partition {
    struct slice name;
    int64_t from_ms; /* inclusive, UTC */
    int64_t to_ms;   /* exclusive */
    enum partition_state_e state;
    int64_t detached_ms; /* when; TIME_NONE: not known, then it is never dropped */
};

struct partition_policy {
    struct slice table; /* names begin with it: attendance_records_2026_q4, _2026_12, _2026_w07 */
    enum partition_period_e period;
    unsigned ahead;        /* whole periods to have after the current one, 1 to 60 */
    int64_t retention_ms;  /* 0: nothing is ever retired */
    int64_t quarantine_ms; /* between detach and drop */
};

/* The table as it stands. */
struct partition_view {
    const struct partition *partitions;
    size_t count;
    int64_t now_ms;
};

/* X(NAME, word, what it is, the lock that it takes) */
#define PARTITION_STEP_TABLE(X)                                                                    \
    X(FINALIZE, "finalize", "finish a detach that was cut short",                                  \
      "SHARE UPDATE EXCLUSIVE on the table, ACCESS EXCLUSIVE on the partition")                    \
    X(CREATE, "create", "make a partition for the current period or one ahead",                    \
      "SHARE UPDATE EXCLUSIVE on the table")                                                       \
    X(FILL_GAP, "fill_gap", "make a partition between others, for rows that come late",            \
      "SHARE UPDATE EXCLUSIVE on the table")                                                       \
    X(DETACH, "detach", "take a partition beyond the retention out of the table",                  \
      "SHARE UPDATE EXCLUSIVE on the table, ACCESS EXCLUSIVE on the partition")                    \
    X(DROP, "drop", "drop a detached partition after its quarantine",                              \
      "ACCESS EXCLUSIVE on the detached table")                                                    \
    X(WARN_HORIZON, "warn_horizon", "fewer than half of the periods ahead have a partition",       \
      "none")                                                                                      \
    X(WARN_CLOCK, "warn_clock", "the clock stands behind every partition: nothing is retired",     \
      "none")                                                                                      \
    X(WARN_DEFAULT, "warn_default", "a default partition forbids to detach without blocking",      \
      "none")                                                                                      \
    X(WARN_DETACHED, "warn_detached", "a partition is detached that the retention would keep",     \
      "none")                                                                                      \
    X(WARN_FOREIGN, "warn_foreign", "beyond the retention, but not named by turnout: it stays",    \
      "none")

enum partition_step_e {
#define X(name, word, what, lock) PARTITION_##name,
    PARTITION_STEP_TABLE(X)
#undef X
    PARTITION_STEP_COUNT
};

const char *partition_step_word(enum partition_step_e step);
const char *partition_step_text(enum partition_step_e step);
const char *partition_step_lock(enum partition_step_e step);

enum {
    PARTITION_NAME_MAX = 63, /* bytes of an identifier: PostgreSQL cuts longer ones silently */
    PARTITION_AHEAD_MAX = 60,
    PARTITION_FILLS_MAX = 64, /* gaps filled by one plan; the next one goes on */
};

struct partition_step {
    enum partition_step_e kind;
    char name[PARTITION_NAME_MAX + 1]; /* empty when it is about the table */
    int64_t from_ms;
    int64_t to_ms;
};

struct partition_plan {
    struct partition_step *steps; /* in the order to carry them out */
    size_t count;
};

/*
 * ERR_INVALID_FIELD for a policy out of range, a table name too long for its partitions' names, a
 * range that is empty or a time outside of the years 1970 to 9000; ERR_NO_MEMORY.
 * The partitions may come in any order; overlapping ranges are taken together.
 */
enum err_e partition_plan_make(struct arena *arena, const struct partition_policy *policy,
                               const struct partition_view *view, struct partition_plan *ret_plan,
                               struct problem *ret_problem) MUST_CHECK;

/* The period that holds a time, counted from any start, its first millisecond and its name. */
int64_t partition_period_of(enum partition_period_e period, int64_t ms);
int64_t partition_period_start(enum partition_period_e period, int64_t number);
void partition_period_name(struct buf *to, struct slice table, enum partition_period_e period,
                           int64_t number);

#endif
