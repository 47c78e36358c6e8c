/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of plan analysis in one table. It generates the identifiers, the thresholds the code
 * judges by, and docs/plan-rules.md (tools/gen-rule-docs).
 *
 * A rule has one figure. It is judged against three thresholds, mildest first; RULE_NEVER stands
 * where a severity is not given. "x or more" for factors, "more than" for all other units.
 */
#ifndef TURNOUT_OPTIMIZER_RULES_H
#define TURNOUT_OPTIMIZER_RULES_H

enum finding_severity_e { FINDING_INFO, FINDING_WARNING, FINDING_CRITICAL, FINDING_COUNT };

/* Further bounds: below them a figure is noise. They stand in the rules' conditions, too. */
#define RULE_ROWS_FLOOR 100           /* misestimates of fewer rows change no plan */
#define RULE_DISCARD_PERCENT 90       /* of what a scan or join looked at */
#define RULE_HEAP_FETCHES_FLOOR 1000  /* pages written a moment ago are always fetched */
#define RULE_LOOKUP_TIME_PERCENT 10   /* of the execution: cheap look-ups may be many */
#define RULE_LOOKUP_FLOOR_MS 5
#define RULE_CTE_LOOPS 100
#define RULE_JIT_FLOOR_MS 5
#define RULE_TRIGGER_FLOOR_MS 5       /* the foreign key check of one row takes less */
#define RULE_LEAVES_MIN 2
#define RULE_OFFSET_FACTOR 10         /* rows skipped for each row returned */
#define RULE_SORT_FACTOR 100          /* rows sorted for each row returned */
#define RULE_EVICTED_PERCENT 10       /* of a Memoize node's misses */

#define RULE_NEVER __builtin_inf()

#define RULE_STR_(x) #x
#define RULE_STR(x) RULE_STR_(x)

/* X(NAME, id, unit of the figure, info, warning, critical, when it is looked at) */
#define RULE_TABLE(X)                                                                              \
    X(ROW_MISESTIMATE, "row_misestimate", "x", 10, 100, 1000,                                      \
      "factor between estimated and actual rows, where it arises; at least "                       \
      RULE_STR(RULE_ROWS_FLOOR) " rows in all loops; fewer rows count only where the node was "    \
      "read to its end")                                                                           \
    X(STALE_STATISTICS, "stale_statistics", "x", 10, 100, 1000,                                    \
      "the same factor on a scan of a table without any condition")                                \
    X(SCAN_DISCARDS, "scan_discards", "rows discarded", 10000, 10000, 1000000,                     \
      "a scan drops more than " RULE_STR(RULE_DISCARD_PERCENT) " % of its rows and no index on "   \
      "plain columns is sure to serve")                                                            \
    X(MISSING_INDEX, "missing_index", "rows discarded", 10000, 10000, 1000000,                     \
      "a sequential scan drops more than " RULE_STR(RULE_DISCARD_PERCENT) " % of its rows by a "   \
      "condition that an index on plain columns serves")                                           \
    X(INDEX_FILTER, "index_filter", "rows discarded", 10000, 10000, 1000000,                       \
      "more than " RULE_STR(RULE_DISCARD_PERCENT) " % of what an index found is dropped by a "     \
      "filter")                                                                                    \
    X(SORT_SPILL, "sort_spill", "kB on disk", 0, 0, 1048576, "a sort went to disk")                \
    X(HASH_SPILL, "hash_spill", "batches", 1, 1, 64,                                               \
      "a hash table or hash aggregate went to disk in several batches")                            \
    X(TEMP_BLOCKS, "temp_blocks", "blocks", 256, 256, 131072,                                      \
      "temporary blocks of 8 kB of a node itself, read or written, that no spilled sort or hash "  \
      "explains")                                                                                  \
    X(HEAP_FETCHES, "heap_fetches", "% of rows", 10, 10, RULE_NEVER,                               \
      "rows that an index-only scan looked up in the table all the same; more than "               \
      RULE_STR(RULE_HEAP_FETCHES_FLOOR) " of them")                                                \
    X(LOSSY_BITMAP, "lossy_bitmap", "% of blocks", 0, 10, RULE_NEVER,                              \
      "blocks of a bitmap that lost their row positions; BRIN, where all do, is left out")         \
    X(NESTED_LOOP, "nested_loop", "inner loops", 1000, RULE_NEVER, RULE_NEVER,                     \
      "an index scan inside of a nested loop that takes more than "                                \
      RULE_STR(RULE_LOOKUP_TIME_PERCENT) " % of the execution and " RULE_STR(RULE_LOOKUP_FLOOR_MS) \
      " ms")                                                                                       \
    X(NESTED_LOOP_SCAN, "nested_loop_scan", "inner loops", 1000, 1000, 100000,                     \
      "a scan without an index inside of a nested loop")                                           \
    X(CORRELATED_SUBPLAN, "correlated_subplan", "loops", 1000, 1000, 100000,                       \
      "a sub-plan that runs once for each row and takes more than "                                \
      RULE_STR(RULE_LOOKUP_TIME_PERCENT) " % of the execution and " RULE_STR(RULE_LOOKUP_FLOOR_MS) \
      " ms")                                                                                       \
    X(CTE_RESCAN, "cte_rescan", "rows read", 100000, 100000, 100000000,                            \
      "a CTE that is read from its start more than " RULE_STR(RULE_CTE_LOOPS) " times")            \
    X(JOIN_FILTER, "join_filter_discards", "rows discarded", 100000, 100000, 10000000,             \
      "a join drops more than " RULE_STR(RULE_DISCARD_PERCENT) " % of the pairs it made")          \
    X(LARGE_OFFSET, "large_offset", "rows skipped", 1000, 10000, 1000000,                          \
      "OFFSET throws away at least " RULE_STR(RULE_OFFSET_FACTOR) " rows for each one returned")   \
    X(SORT_FOR_LIMIT, "sort_for_limit", "rows sorted", 10000, 100000, RULE_NEVER,                  \
      "a table is sorted for a LIMIT that keeps less than one row in "                             \
      RULE_STR(RULE_SORT_FACTOR) ", and an index on plain columns would give the order")           \
    X(MEMOIZE_EVICTIONS, "memoize_evictions", "evictions", 1000, RULE_NEVER, RULE_NEVER,           \
      "a Memoize node forgets more than " RULE_STR(RULE_EVICTED_PERCENT) " % of what it missed")   \
    X(NO_PRUNING, "no_partition_pruning", "partitions", 1, 1, RULE_NEVER,                          \
      "a condition wraps the time column in a function or cast, and none limits it plainly; or "   \
      "partitions were read for nothing but to discard more than 10000 rows")                      \
    X(WORKERS, "workers_not_launched", "% missing", 0, 99, RULE_NEVER,                             \
      "parallel workers that were planned and did not come")                                       \
    X(JIT, "jit", "% of execution", 25, 25, RULE_NEVER,                                            \
      "time in just-in-time compilation; more than " RULE_STR(RULE_JIT_FLOOR_MS) " ms")            \
    X(TRIGGER, "slow_trigger", "% of execution", 10, 10, 50,                                       \
      "time in one trigger or constraint check; more than " RULE_STR(RULE_TRIGGER_FLOOR_MS) " ms") \
    X(PLANNING, "planning_time", "ms", 50, 500, RULE_NEVER, "planning took longer than executing") \
    X(FORCED, "planner_forced", "settings", 0, RULE_NEVER, RULE_NEVER,                             \
      "planner methods that are turned off (EXPLAIN with SETTINGS)")

enum rule_e {
#define X(name, id, unit, info, warning, critical, when) RULE_##name,
    RULE_TABLE(X)
#undef X
    RULE_COUNT
};

struct rule {
    const char *id; /* stable, snake_case */
    const char *unit;
    double thresholds[FINDING_COUNT];
    const char *when;
};

const struct rule *rule_of(enum rule_e rule);
/* "info", "warning", "critical" */
const char *finding_severity_word(enum finding_severity_e severity);
/* -1: the figure is fine. */
int rule_judge(enum rule_e rule, double figure);

#endif
