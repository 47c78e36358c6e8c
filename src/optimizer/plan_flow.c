/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be concluded from a node's row count.
 *
 * A node that saw fewer rows than planned was misestimated only if it was read to its end. Whoever
 * stands above may stop early: LIMIT, the inner side of a semi or unique join, a merge join whose
 * other side ran out, EXISTS. A node that takes all its input before it gives a row (sort, hash)
 * shields what is below it.
 */
#include "optimizer/plan_priv.h"

static bool takes_all_first(const struct plan_node *node) {
    static const enum plan_node_e kinds[] = {PLAN_SORT,       PLAN_HASH,      PLAN_BITMAP_HEAP_SCAN,
                                             PLAN_BITMAP_AND, PLAN_BITMAP_OR, PLAN_MODIFY_TABLE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (node->kind == kinds[i]) {
            return true;
        }
    }
    return (node->kind == PLAN_AGGREGATE || node->kind == PLAN_SET_OP) &&
           !slice_eq_text(plan_text(node->json, "Strategy"), "Sorted");
}

static bool stops_at_first_match(const struct plan_node *join) {
    struct slice type = plan_text(join->json, "Join Type");
    return plan_truth(join->json, "Inner Unique") || slice_eq_text(type, "Semi") ||
           slice_eq_text(type, "Anti");
}

static bool came_empty(const struct plan_node *node) {
    return node != NULL && (node->loops == 0 || node->rows == 0);
}

static bool may_stop_early(const struct plan_node *node) {
    const struct plan_node *parent = node->parent;
    if (parent == NULL) {
        return false;
    }
    if (!plan_is_input(node)) {
        return true; /* EXISTS or a scalar: the plan does not say which */
    }
    if (parent->kind == PLAN_LIMIT || parent->kind == PLAN_MERGE_JOIN) {
        return true;
    }
    if (takes_all_first(parent)) {
        return false;
    }
    if (parent->kind == PLAN_NESTED_LOOP && node->role == PLAN_ROLE_INNER &&
        stops_at_first_match(parent)) {
        return true;
    }
    if (parent->kind == PLAN_HASH_JOIN && node->role == PLAN_ROLE_OUTER &&
        came_empty(plan_next_input(node))) {
        return true;
    }
    return parent->may_stop_early;
}

/* A CTE is read as far as its readers read: one that may stop early makes all of them doubtful. */
static bool is_cte(const struct plan_node *node) {
    return node->role == PLAN_ROLE_INIT_PLAN &&
           slice_starts_with(plan_text(node->json, "Subplan Name"), SLICE_LIT("CTE "));
}

static bool some_cte_reader_stops(const struct plan_node *root) {
    for (const struct plan_node *node = root; node != NULL; node = node->next) {
        if (node->kind == PLAN_CTE_SCAN && node->may_stop_early) {
            return true;
        }
    }
    return false;
}

static void mark_early(struct plan_node *root, bool cte_doubtful) {
    for (struct plan_node *node = root; node != NULL; node = node->next) {
        node->may_stop_early = is_cte(node) ? cte_doubtful : may_stop_early(node);
    }
}

static bool misses_children(const struct plan_node *node) {
    if (plan_number(node->json, "Subplans Removed") > 0) {
        return true;
    }
    for (const struct plan_node *in = plan_input(node); in != NULL; in = plan_next_input(in)) {
        if (in->loops == 0) {
            return true;
        }
    }
    return false;
}

static void mark_node(struct plan_node *node) {
    const struct plan_node *parent = node->parent;
    node->misses_children = misses_children(node);
    if (parent == NULL || !plan_is_input(node)) {
        return;
    }
    node->rows_repeat = parent->kind == PLAN_MERGE_JOIN && node->role == PLAN_ROLE_INNER;
    node->joins_above = parent->joins_above || plan_is_join(parent);
}

/* All from a parallel-aware node up to its Gather hand on a part of the rows. */
static void mark_shared_work(struct plan_node *node) {
    if (node->gather == NULL || !plan_truth(node->json, "Parallel Aware")) {
        return;
    }
    const struct plan_node *gather = node->gather;
    for (struct plan_node *at = node; at != gather && !at->shares_work; at = at->parent) {
        at->shares_work = true;
        if (!plan_is_input(at)) {
            return;
        }
    }
}

void plan_mark_flow(struct plan_node *root) {
    mark_early(root, false);
    if (some_cte_reader_stops(root)) {
        mark_early(root, true);
    }
    for (struct plan_node *node = root; node != NULL; node = node->next) {
        mark_node(node);
        mark_shared_work(node);
    }
}
