/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions that were read for nothing.
 *
 * A plan does not name the partition key. What gives a missed pruning away is a condition that
 * wraps a time column in a function or cast while no plain range stands beside it, or partitions
 * that were read from end to end and kept no row.
 */
#include "optimizer/condition.h"
#include "optimizer/explain_priv.h"
#include "optimizer/index_advice.h"

struct leaves {
    const struct plan_node *first;
    size_t count;
    size_t wasted;      /* read, and no row kept */
    double wasted_rows; /* that they discarded */
    bool all_read;      /* none was skipped while executing */
};

static const struct plan_node *scan_of(const struct plan_node *member) {
    while (member != NULL && member->relation.len == 0) {
        member = plan_is_join(member) ? NULL : plan_input(member);
    }
    return member;
}

/* Two partitions of one table: their parents' names are the same, or their numbered aliases. */
static bool are_siblings(const struct plan_node *a, const struct plan_node *b) {
    if (slice_eq(a->relation, b->relation)) {
        return false;
    }
    struct slice parent = partition_parent(a);
    if (parent.len < a->relation.len && slice_eq(parent, partition_parent(b))) {
        return true;
    }
    struct slice stem = alias_stem(a->alias);
    return stem.len < a->alias.len && slice_eq(stem, alias_stem(b->alias));
}

static void count_leaf(struct leaves *leaves, const struct plan_node *leaf) {
    leaves->count++;
    leaves->all_read = leaves->all_read && leaf->loops != 0;
    if (leaf->kind != PLAN_SEQ_SCAN || !plan_ran(leaf) || leaf->rows > 0) {
        return;
    }
    double removed = plan_number_total(leaf, "Rows Removed by Filter");
    if (removed > 0 && rule_judge(RULE_SCAN_DISCARDS, removed) < 0) {
        leaves->wasted++;
        leaves->wasted_rows += removed;
    }
}

/* False when some member is no partition of the same table. */
static bool count_leaves(const struct plan_node *append, struct leaves *leaves) {
    *leaves = (struct leaves){.all_read = true};
    for (const struct plan_node *m = plan_input(append); m != NULL; m = plan_next_input(m)) {
        const struct plan_node *leaf = scan_of(m);
        if (leaf == NULL || (leaves->first != NULL && !are_siblings(leaves->first, leaf))) {
            return false;
        }
        leaves->first = leaves->first != NULL ? leaves->first : leaf;
        count_leaf(leaves, leaf);
    }
    return leaves->count >= RULE_LEAVES_MIN;
}

static const char *const condition_keys[] = {"Index Cond", "Recheck Cond", "Filter"};
enum { CONDITION_KEYS = sizeof condition_keys / sizeof condition_keys[0] };

static bool has_plain_range(const struct plan_node *leaf) {
    for (size_t i = 0; i < CONDITION_KEYS; i++) {
        struct condition_term terms[CONDITION_TERMS_MAX];
        size_t count;
        if (!condition_read(plan_text(leaf->json, condition_keys[i]), leaf->alias, terms, &count)) {
            return true; /* not known: nothing is claimed */
        }
        for (size_t t = 0; t < count; t++) {
            if (terms[t].kind == CONDITION_RANGE) {
                return true;
            }
        }
    }
    return false;
}

static bool wraps_time(const struct plan_node *leaf, struct slice *ret_column,
                       struct slice *ret_condition) {
    for (size_t i = 0; i < CONDITION_KEYS; i++) {
        *ret_condition = plan_text(leaf->json, condition_keys[i]);
        if (condition_wraps_time(*ret_condition, leaf->alias, ret_column)) {
            return true;
        }
    }
    return false;
}

static void report_wrapped(struct finder *f, const struct plan_node *append,
                           const struct leaves *leaves, struct slice column,
                           struct slice condition) {
    struct json_writer *w = finding_begin(f, RULE_NO_PRUNING, append, (double)leaves->count);
    if (w == NULL) {
        return;
    }
    json_put_int(w, "partitions", (int64_t)leaves->count);
    json_put_text(w, "column", finding_clip(column));
    json_put_text(w, "condition", finding_clip(condition));
    finding_end(f, "All %zu partitions are scanned since the condition wraps %.*s in a function or "
                   "cast: compare the plain column with a range (column >= start AND column < "
                   "end).",
                leaves->count, SLICE_ARG(finding_clip(column)));
}

static void report_wasted(struct finder *f, const struct plan_node *append,
                          const struct leaves *leaves) {
    struct json_writer *w = finding_begin(f, RULE_NO_PRUNING, append, (double)leaves->wasted);
    if (w != NULL) {
        json_put_int(w, "partitions", (int64_t)leaves->count);
        json_put_int(w, "partitions_without_rows", (int64_t)leaves->wasted);
        finding_put(w, "rows_discarded", leaves->wasted_rows, 0);
        finding_end(f, "%zu of %zu partitions were scanned and kept no row, %.0f rows were read "
                       "for nothing: add a condition on the partition key.",
                    leaves->wasted, leaves->count, leaves->wasted_rows);
    }
}

void check_pruning(struct finder *f, const struct plan_node *node) {
    struct leaves leaves;
    bool appends = node->kind == PLAN_APPEND || node->kind == PLAN_MERGE_APPEND;
    if (!appends || node->loops == 0 || plan_number(node->json, "Subplans Removed") > 0 ||
        !count_leaves(node, &leaves) || !leaves.all_read) {
        return;
    }
    struct slice column, condition;
    if (wraps_time(leaves.first, &column, &condition) && !has_plain_range(leaves.first)) {
        f->unpruned = node;
        report_wrapped(f, node, &leaves, column, condition);
        return;
    }
    if (2 * leaves.wasted >= leaves.count &&
        rule_judge(RULE_SCAN_DISCARDS, leaves.wasted_rows) >= 0) {
        report_wasted(f, node, &leaves);
    }
}
