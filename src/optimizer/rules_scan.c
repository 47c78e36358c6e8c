/* SPDX-License-Identifier: Apache-2.0 */
/* What scans throw away, look up twice or have forgotten. */
#include "optimizer/explain_priv.h"
#include "optimizer/index_advice.h"

struct discards {
    double removed; /* in all loops */
    double percent; /* of the rows looked at */
};

static struct discards discards_of(const struct plan_node *node, const char *key) {
    if (!plan_ran(node)) {
        return (struct discards){0, 0};
    }
    double removed = plan_number_total(node, key);
    double looked_at = removed + plan_total(node, node->rows);
    return (struct discards){removed, looked_at > 0 ? 100 * removed / looked_at : 0};
}

static bool finds_by_index(const struct plan_node *node) {
    return node->kind == PLAN_INDEX_SCAN || node->kind == PLAN_INDEX_ONLY_SCAN ||
           node->kind == PLAN_BITMAP_HEAP_SCAN;
}

static void put_discards(struct json_writer *w, const struct plan_node *node,
                         const struct discards *discards) {
    finding_put(w, "rows_discarded", discards->removed, 0);
    finding_put(w, "rows_kept", plan_total(node, node->rows), 0);
    finding_put(w, "discarded_percent", discards->percent, 1);
    finding_put(w, "loops", node->loops, 0);
    if (plan_text(node->json, "Filter").len > 0) {
        json_put_text(w, "filter", finding_clip(plan_text(node->json, "Filter")));
    }
}

static void put_advice(struct json_writer *w, const struct index_advice *advice) {
    json_put_text(w, "suggested_index", advice->text);
    json_put_text(w, "table", advice->table);
    json_key(w, "columns");
    json_begin_array(w);
    for (size_t i = 0; i < advice->count; i++) {
        json_add_text(w, advice->columns[i]);
    }
    json_end_array(w);
}

#define DISCARDS_SENTENCE "%.0f rows (%.1f %% of those it looked at)"

static void report_seq_scan(struct finder *f, const struct plan_node *node,
                            const struct discards *discards) {
    struct index_advice advice;
    if (!advise_for_conditions(f->arena, node, &advice)) {
        struct json_writer *w = finding_begin(f, RULE_SCAN_DISCARDS, node, discards->removed);
        if (w != NULL) {
            put_discards(w, node, discards);
            finding_end(f, "The scan of the whole table discards " DISCARDS_SENTENCE ": give the "
                           "condition a form that an index serves (a plain column, an expression "
                           "index, or a trigram or full text index for patterns).",
                        discards->removed, discards->percent);
        }
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_MISSING_INDEX, node, discards->removed);
    if (w != NULL) {
        put_discards(w, node, discards);
        put_advice(w, &advice);
        finding_end(f, "The scan of the whole table discards " DISCARDS_SENTENCE ": consider an "
                       "index on %.*s.",
                    discards->removed, discards->percent, SLICE_ARG(advice.text));
    }
}

static void report_index_filter(struct finder *f, const struct plan_node *node,
                                const struct discards *discards) {
    struct index_advice advice;
    bool advised = advise_for_conditions(f->arena, node, &advice);
    struct json_writer *w = finding_begin(f, RULE_INDEX_FILTER, node, discards->removed);
    if (w == NULL) {
        return;
    }
    put_discards(w, node, discards);
    if (advised) {
        put_advice(w, &advice);
        finding_end(f, "The filter discards " DISCARDS_SENTENCE " after the index found them: "
                       "consider one index for the whole condition, on %.*s.",
                    discards->removed, discards->percent, SLICE_ARG(advice.text));
        return;
    }
    finding_end(f, "The filter discards " DISCARDS_SENTENCE " after the index found them: extend "
                   "the index by the filtered columns, or make it partial on the filter.",
                discards->removed, discards->percent);
}

static void report_other_scan(struct finder *f, const struct plan_node *node,
                              const struct discards *discards) {
    struct json_writer *w = finding_begin(f, RULE_SCAN_DISCARDS, node, discards->removed);
    if (w != NULL) {
        put_discards(w, node, discards);
        finding_end(f, "The scan discards " DISCARDS_SENTENCE ": move the condition into what "
                       "produces the rows.",
                    discards->removed, discards->percent);
    }
}

void check_discards(struct finder *f, const struct plan_node *node) {
    if (!plan_is_scan(node) || node_is_unpruned(f, node)) {
        return;
    }
    struct discards discards = discards_of(node, "Rows Removed by Filter");
    if (discards.percent <= RULE_DISCARD_PERCENT) {
        return;
    }
    if (node->kind == PLAN_SEQ_SCAN) {
        report_seq_scan(f, node, &discards);
    } else if (finds_by_index(node)) {
        report_index_filter(f, node, &discards);
    } else {
        report_other_scan(f, node, &discards);
    }
}

/* "Heap Fetches" is printed for all loops together, unlike rows, which are rounded averages: the
 * benefit of that rounding goes to the plan. */
void check_heap_fetches(struct finder *f, const struct plan_node *node) {
    double fetches = plan_number(node->json, "Heap Fetches");
    if (!plan_ran(node) || fetches <= RULE_HEAP_FETCHES_FLOOR) {
        return;
    }
    double rows = (node->rows + (node->loops > 1 ? 0.5 : 0)) * node->loops +
                  plan_number_total(node, "Rows Removed by Filter");
    double percent = rows > fetches ? 100 * fetches / rows : 100;
    struct json_writer *w = finding_begin(f, RULE_HEAP_FETCHES, node, percent);
    if (w == NULL) {
        return;
    }
    finding_put(w, "heap_fetches", fetches, 0);
    finding_put(w, "rows", plan_total(node, node->rows), 0);
    finding_put(w, "fetched_percent", percent, 1);
    finding_end(f, "The index-only scan looked %.0f rows up in the table (%.1f %%) since its "
                   "visibility map is not up to date: run VACUUM %.*s, and let autovacuum come "
                   "more often.",
                fetches, percent, SLICE_ARG(finding_clip(node->relation)));
}

/* The bitmap of BRIN is lossy by design; it counts ten rows for each block it names. */
static bool is_brin(const struct plan_node *heap, double lossy) {
    const struct plan_node *index = plan_input(heap);
    if (plan_number(heap->json, "Exact Heap Blocks") > 0 || index == NULL || index->rows <= 0) {
        return false;
    }
    double tens = index->rows * (index->loops > 0 ? index->loops : 1) / 10;
    bool one_index = index->kind == PLAN_BITMAP_INDEX_SCAN;
    return !one_index || (tens >= lossy && tens == (double)(long long)tens);
}

void check_lossy_bitmap(struct finder *f, const struct plan_node *node) {
    double lossy = plan_number(node->json, "Lossy Heap Blocks");
    if (node->kind != PLAN_BITMAP_HEAP_SCAN || !plan_ran(node) || lossy <= 0 ||
        is_brin(node, lossy)) {
        return;
    }
    double exact = plan_number(node->json, "Exact Heap Blocks");
    double percent = 100 * lossy / (lossy + (exact > 0 ? exact : 0));
    struct json_writer *w = finding_begin(f, RULE_LOSSY_BITMAP, node, percent);
    if (w == NULL) {
        return;
    }
    finding_put(w, "lossy_blocks", lossy, 0);
    finding_put(w, "exact_blocks", exact > 0 ? exact : 0, 0);
    finding_put(w, "rows_rechecked_and_dropped",
                  plan_number_total(node, "Rows Removed by Index Recheck"), 0);
    finding_end(f, "The bitmap outgrew work_mem: %.0f of its blocks (%.1f %%) lost their row "
                   "positions and every row in them is checked again; raise work_mem for this "
                   "statement or narrow its condition.",
                lossy, percent);
}

/* Below a LIMIT, the scan whose rows the sort orders: nothing may stand between but Append. */
static const struct plan_node *sorted_scan(const struct plan_node *sort) {
    const struct plan_node *input = plan_input(sort);
    if (input != NULL && (input->kind == PLAN_APPEND || input->kind == PLAN_MERGE_APPEND)) {
        input = plan_input(input);
        bool is_partition = input != NULL && partition_parent(input).len < input->relation.len;
        return is_partition ? input : NULL;
    }
    return input != NULL && plan_is_scan(input) && input->relation.len > 0 ? input : NULL;
}

static const struct plan_node *sort_below(const struct plan_node *limit) {
    const struct plan_node *node = plan_input(limit);
    while (node != NULL && (node->kind == PLAN_GATHER || node->kind == PLAN_GATHER_MERGE ||
                            node->kind == PLAN_LOCK_ROWS || node->kind == PLAN_RESULT)) {
        node = plan_input(node);
    }
    return node != NULL && node->kind == PLAN_SORT ? node : NULL;
}

void check_sort_for_limit(struct finder *f, const struct plan_node *node) {
    if (node->kind != PLAN_LIMIT || !plan_ran(node)) {
        return;
    }
    const struct plan_node *sort = sort_below(node);
    const struct plan_node *scan = sort == NULL ? NULL : sorted_scan(sort);
    if (scan == NULL || scan->kind == PLAN_FOREIGN_SCAN || !plan_ran(plan_input(sort))) {
        return;
    }
    double sorted = plan_total(plan_input(sort), plan_input(sort)->rows);
    double kept = plan_total(node, node->rows);
    struct index_advice advice;
    if (sorted <= RULE_SORT_FACTOR * kept || rule_judge(RULE_SORT_FOR_LIMIT, sorted) < 0 ||
        !advise_for_order(f->arena, scan, sort, &advice)) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_SORT_FOR_LIMIT, sort, sorted);
    if (w == NULL) {
        return;
    }
    finding_put(w, "rows_sorted", sorted, 0);
    finding_put(w, "rows_returned", kept, 0);
    put_advice(w, &advice);
    finding_end(f, "%.0f rows are read and sorted to return %.0f: an index on %.*s gives them in "
                   "order, and the scan stops after the last one.",
                sorted, kept, SLICE_ARG(advice.text));
}
