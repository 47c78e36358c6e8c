/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a check makes a finding:
 *
 *     struct json_writer *evidence = finding_begin(f, RULE_SORT_SPILL, node, kb_on_disk);
 *     if (evidence == NULL) { return; }       below the rule's thresholds
 *     finding_put(evidence, "disk_kb", kb_on_disk, 0);
 *     finding_end(f, "the sort took %.0f kB of disk: raise work_mem", kb_on_disk);
 *
 * Thread: the one of explain_judge.
 */
#ifndef TURNOUT_OPTIMIZER_EXPLAIN_PRIV_H
#define TURNOUT_OPTIMIZER_EXPLAIN_PRIV_H

#include "optimizer/explain.h"

struct finder {
    struct arena *arena;
    const struct plan_statement *statement;
    struct finding *first[FINDING_COUNT];
    struct finding **link[FINDING_COUNT];
    struct finding *last_of[RULE_COUNT]; /* of this statement */
    const struct plan_node *unpruned;    /* an Append that no_partition_pruning explains */
    size_t count;
    struct finding *draft;
    struct buf text;     /* of the draft: evidence, then path and message */
    struct json_writer evidence;
    bool failed; /* the arena is full */
};

/* `node` NULL: about the statement. NULL when the figure is below the rule's thresholds. */
struct json_writer *finding_begin(struct finder *f, enum rule_e rule, const struct plan_node *node,
                                  double figure);
void finding_end(struct finder *f, const char *message, ...) PRINTF_LIKE(2, 3);
/* A figure as evidence; what int64_t cannot hold is written as the most that it can. */
void finding_put(struct json_writer *evidence, const char *key, double figure, int decimals);
/* Instead of the node's path, before finding_end. */
void finding_where(struct finder *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* The checks: one call a node of a statement, in the plan's order; then one a statement.
 * check_pruning is the first: its finding speaks for those of the partitions. */
#define EXPLAIN_NODE_CHECKS(X)                                                                     \
    X(check_pruning) X(check_rows) X(check_discards) X(check_heap_fetches)                         \
    X(check_lossy_bitmap) X(check_sort_spill) X(check_hash_spill) X(check_nested_loop)             \
    X(check_subplan) X(check_cte_rescan) X(check_join_filter) X(check_offset)                      \
    X(check_sort_for_limit) X(check_memoize) X(check_temp_blocks) X(check_workers)
#define EXPLAIN_STATEMENT_CHECKS(X)                                                                \
    X(check_jit) X(check_triggers) X(check_planning) X(check_settings)

#define X(name) void name(struct finder *f, const struct plan_node *node);
EXPLAIN_NODE_CHECKS(X)
#undef X
#define X(name) void name(struct finder *f, const struct plan_statement *statement);
EXPLAIN_STATEMENT_CHECKS(X)
#undef X

/* Ranks the misestimates of all nodes, for check_rows; before the checks. */
void rank_misses(const struct plan_statement *statement);

/* `text` cut to what fits a message, at a character's start. */
struct slice finding_clip(struct slice text);
/* Time spent in all loops of a node, side by side processes counted once; also in percent of the
 * execution. PLAN_ABSENT without timing. */
double node_ms(const struct plan_node *node);
double node_time_percent(const struct finder *f, const struct plan_node *node);
/* Its figures follow from partitions that were not cut off: that finding speaks for it. */
bool node_is_unpruned(const struct finder *f, const struct plan_node *node);

#endif
