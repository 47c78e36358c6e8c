/* SPDX-License-Identifier: Apache-2.0 */
/* What is done again and again: inner sides of joins, sub-plans, CTEs, skipped rows. */
#include "optimizer/explain_priv.h"

static const struct plan_node *inner_side(const struct plan_node *join) {
    const struct plan_node *in = plan_input(join);
    while (in != NULL && in->role != PLAN_ROLE_INNER) {
        in = plan_next_input(in);
    }
    return in;
}

/* The scan that feeds the inner side, through whatever is no scan and no join. */
static const struct plan_node *scan_below(const struct plan_node *node) {
    while (node != NULL && !plan_is_join(node)) {
        if (plan_is_scan(node) && node->kind != PLAN_SUBQUERY_SCAN) {
            return node;
        }
        node = plan_input(node);
    }
    return NULL;
}

static bool uses_index(const struct plan_node *scan) {
    return scan->kind == PLAN_INDEX_SCAN || scan->kind == PLAN_INDEX_ONLY_SCAN ||
           scan->kind == PLAN_BITMAP_HEAP_SCAN || scan->kind == PLAN_TID_SCAN;
}

/* Rows of these are made for the occasion; there is no better way to them. */
static bool is_made_up(const struct plan_node *scan) {
    return scan->kind == PLAN_FUNCTION_SCAN || scan->kind == PLAN_TABLE_FUNCTION_SCAN ||
           scan->kind == PLAN_VALUES_SCAN || scan->kind == PLAN_CTE_SCAN ||
           scan->kind == PLAN_WORK_TABLE_SCAN || scan->kind == PLAN_TUPLESTORE_SCAN;
}

static void put_loops(struct json_writer *w, const struct finder *f, const struct plan_node *node) {
    finding_put(w, "loops", node->loops, 0);
    finding_put(w, "rows_per_loop", node->rows, 2);
    double percent = node_time_percent(f, node);
    if (percent >= 0) {
        finding_put(w, "time_percent", percent, 1);
    }
}

/* Without timing the share is unknown, and the count alone decides. */
static bool is_cheap(const struct finder *f, const struct plan_node *node) {
    double percent = node_time_percent(f, node);
    return percent >= 0 &&
           (percent <= RULE_LOOKUP_TIME_PERCENT || node_ms(node) <= RULE_LOOKUP_FLOOR_MS);
}

static void report_lookups(struct finder *f, const struct plan_node *scan) {
    struct json_writer *w =
        is_cheap(f, scan) ? NULL : finding_begin(f, RULE_NESTED_LOOP, scan, scan->loops);
    if (w != NULL) {
        put_loops(w, f, scan);
        finding_end(f, "The nested loop looks into the index %.0f times: if so many rows were not "
                       "expected, mend the estimate of the outer side; else a hash join over fewer "
                       "columns may be cheaper.",
                    scan->loops);
    }
}

/* A recursive query walks from each row that it found: there is no other way to its next rows. */
static bool walks_recursion(const struct plan_node *join) {
    const struct plan_node *outer = plan_input(join);
    return outer != NULL && outer->kind == PLAN_WORK_TABLE_SCAN;
}

void check_nested_loop(struct finder *f, const struct plan_node *node) {
    if (node->kind != PLAN_NESTED_LOOP || !plan_ran(node) || walks_recursion(node)) {
        return;
    }
    const struct plan_node *inner = inner_side(node);
    const struct plan_node *scan = inner == NULL ? NULL : scan_below(inner);
    if (scan == NULL || !plan_ran(scan) || is_made_up(scan)) {
        return;
    }
    if (uses_index(scan)) {
        report_lookups(f, scan);
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_NESTED_LOOP_SCAN, scan, scan->loops);
    if (w != NULL) {
        put_loops(w, f, scan);
        finding_end(f, "The nested loop scans its inner side from the start %.0f times: index the "
                       "joined column, or join on plain equal columns so that a hash join is "
                       "possible.",
                    scan->loops);
    }
}

void check_subplan(struct finder *f, const struct plan_node *node) {
    if (node->role != PLAN_ROLE_SUB_PLAN || !plan_ran(node) || is_cheap(f, node)) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_CORRELATED_SUBPLAN, node, node->loops);
    if (w != NULL) {
        put_loops(w, f, node);
        finding_end(f, "The sub-query runs %.0f times, once for each row outside of it: write it "
                       "as a join with a grouped sub-query, or as LATERAL with an index.",
                    node->loops);
    }
}

void check_cte_rescan(struct finder *f, const struct plan_node *node) {
    if (node->kind != PLAN_CTE_SCAN || !plan_ran(node) || node->loops <= RULE_CTE_LOOPS) {
        return;
    }
    double read = plan_total(node, node->rows) + plan_number_total(node, "Rows Removed by Filter");
    struct json_writer *w = finding_begin(f, RULE_CTE_RESCAN, node, read);
    if (w != NULL) {
        put_loops(w, f, node);
        finding_put(w, "rows_read", read, 0);
        finding_end(f, "The CTE is read from its start %.0f times, %.0f rows in all: it has no "
                       "index, so declare it NOT MATERIALIZED, or put it into a temporary table "
                       "with one.",
                    node->loops, read);
    }
}

void check_join_filter(struct finder *f, const struct plan_node *node) {
    if (!plan_ran(node)) {
        return;
    }
    double removed = plan_number_total(node, "Rows Removed by Join Filter");
    double percent = removed > 0 ? 100 * removed / (removed + plan_total(node, node->rows)) : 0;
    if (percent <= RULE_DISCARD_PERCENT) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_JOIN_FILTER, node, removed);
    if (w != NULL) {
        finding_put(w, "rows_discarded", removed, 0);
        finding_put(w, "rows_kept", plan_total(node, node->rows), 0);
        finding_put(w, "discarded_percent", percent, 1);
        if (plan_text(node->json, "Join Filter").len > 0) {
            json_put_text(w, "join_filter", finding_clip(plan_text(node->json, "Join Filter")));
        }
        finding_end(f, "The join makes pairs of rows and discards %.0f of them (%.1f %%): join on "
                       "plain columns with =, so that a hash join or an index finds only the pairs "
                       "that stay.",
                    removed, percent);
    }
}

/* A Limit reads more than it returns only to skip an OFFSET. Averages of several loops are rounded:
 * then nothing is said. */
void check_offset(struct finder *f, const struct plan_node *node) {
    const struct plan_node *input = node->kind == PLAN_LIMIT ? plan_input(node) : NULL;
    if (input == NULL || !plan_ran(node) || !plan_ran(input) || node->loops > 1 ||
        input->loops > 1) {
        return;
    }
    double skipped = input->rows - node->rows;
    if (skipped < RULE_OFFSET_FACTOR * node->rows) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_LARGE_OFFSET, node, skipped);
    if (w != NULL) {
        finding_put(w, "rows_skipped", skipped, 0);
        finding_put(w, "rows_returned", node->rows, 0);
        finding_end(f, "OFFSET throws %.0f rows away to return %.0f: page by key instead (WHERE "
                       "key > last one seen ORDER BY key LIMIT n).",
                    skipped, node->rows);
    }
}

static double with_workers(const struct plan_node *node, const char *key) {
    const struct json_t *workers = json_get(node->json, "Workers");
    double own = plan_number(node->json, key);
    double sum = own > 0 ? own : 0;
    bool is_list = workers != NULL && json_kind(workers) == JSON_KIND_ARRAY;
    for (size_t i = 0; is_list && i < json_count(workers); i++) {
        double one = plan_number(json_at(workers, i), key);
        sum += one > 0 ? one : 0;
    }
    return sum;
}

void check_memoize(struct finder *f, const struct plan_node *node) {
    if (node->kind != PLAN_MEMOIZE || !plan_ran(node)) {
        return;
    }
    double evictions = with_workers(node, "Cache Evictions");
    double misses = with_workers(node, "Cache Misses");
    double hits = with_workers(node, "Cache Hits");
    if (100 * evictions <= RULE_EVICTED_PERCENT * misses) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_MEMOIZE_EVICTIONS, node, evictions);
    if (w != NULL) {
        finding_put(w, "evictions", evictions, 0);
        finding_put(w, "misses", misses, 0);
        finding_put(w, "hits", hits, 0);
        finding_end(f, "Memoize forgot %.0f results for want of memory and looked %.0f up again or "
                       "for the first time: raise work_mem or hash_mem_multiplier for this "
                       "statement.",
                    evictions, misses);
    }
}
