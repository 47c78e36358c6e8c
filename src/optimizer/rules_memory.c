/* SPDX-License-Identifier: Apache-2.0 */
/* What did not fit in memory: sorts, hashes and other temporary blocks. */
#include "optimizer/explain_priv.h"

/* The largest that `of` says about the node itself or one of its workers. */
static double largest(const struct plan_node *node, double (*of)(const struct json_t *object)) {
    double most = of(node->json);
    const struct json_t *workers = json_get(node->json, "Workers");
    bool is_list = workers != NULL && json_kind(workers) == JSON_KIND_ARRAY;
    for (size_t i = 0; is_list && i < json_count(workers); i++) {
        double one = of(json_at(workers, i));
        most = one > most ? one : most;
    }
    return most;
}

/* Incremental Sort says it apart for the groups sorted in full and those that came presorted. */
static double incremental_kb(const struct json_t *object, const char *groups_key) {
    const struct json_t *groups = json_get(object, groups_key);
    const struct json_t *disk = groups == NULL ? NULL : json_get(groups, "Sort Space Disk");
    return disk == NULL ? 0 : plan_number(disk, "Peak Sort Space Used");
}

static double sort_kb_on_disk(const struct json_t *object) {
    double kb = 0;
    if (slice_eq_text(plan_text(object, "Sort Space Type"), "Disk")) {
        kb = plan_number(object, "Sort Space Used");
    }
    double full = incremental_kb(object, "Full-sort Groups");
    double presorted = incremental_kb(object, "Pre-sorted Groups");
    kb = full > kb ? full : kb;
    return presorted > kb ? presorted : kb;
}

static double hash_batches(const struct json_t *object) {
    double table = plan_number(object, "Hash Batches");
    double aggregate = plan_number(object, "HashAgg Batches");
    return table > aggregate ? table : aggregate;
}

static double disk_kb(const struct json_t *object) {
    double kb = plan_number(object, "Disk Usage");
    return kb > 0 ? kb : 0;
}

void check_sort_spill(struct finder *f, const struct plan_node *node) {
    double kb = plan_ran(node) ? largest(node, sort_kb_on_disk) : 0;
    struct json_writer *w = finding_begin(f, RULE_SORT_SPILL, node, kb);
    if (w == NULL) {
        return;
    }
    finding_put(w, "disk_kb", kb, 0);
    finding_put(w, "rows_sorted", plan_total(node, node->rows), 0);
    if (plan_text(node->json, "Sort Method").len > 0) {
        json_put_text(w, "method", finding_clip(plan_text(node->json, "Sort Method")));
    }
    finding_end(f, "The sort took %.0f kB of disk: raise work_mem for this statement (in memory "
                   "the rows take two to three times as much), sort fewer columns, or read in "
                   "order from an index.",
                kb);
}

static void report_hash(struct finder *f, const struct plan_node *node, double batches) {
    struct json_writer *w = finding_begin(f, RULE_HASH_SPILL, node, batches);
    if (w == NULL) {
        return;
    }
    double planned = plan_number(node->json, "Original Hash Batches");
    double disk = largest(node, disk_kb);
    finding_put(w, "batches", batches, 0);
    if (planned >= 0) {
        finding_put(w, "planned_batches", planned, 0);
    }
    if (disk > 0) {
        finding_put(w, "disk_kb", disk, 0);
    }
    if (planned > 0 && batches > planned) {
        finding_end(f, "The hash went to disk in %.0f batches where %.0f were planned: more rows "
                       "came than estimated; mend the estimate, then raise work_mem or "
                       "hash_mem_multiplier.",
                    batches, planned);
        return;
    }
    finding_end(f, "The hash went to disk in %.0f batches: raise work_mem or hash_mem_multiplier "
                   "for this statement, or hash fewer rows and columns.",
                batches);
}

void check_hash_spill(struct finder *f, const struct plan_node *node) {
    double batches = plan_ran(node) ? largest(node, hash_batches) : 0;
    if (batches > 1) {
        report_hash(f, node, batches);
    }
}

static bool spills(const struct plan_node *node) {
    return largest(node, sort_kb_on_disk) > 0 || largest(node, hash_batches) > 1;
}

static bool self_or_child_spills(const struct plan_node *node) {
    if (spills(node)) {
        return true;
    }
    for (const struct plan_node *child = node->child; child != NULL; child = child->sibling) {
        if (spills(child)) {
            return true;
        }
    }
    return false;
}

/* Blocks are printed with those of all children. */
static double own_blocks(const struct plan_node *node, const char *key) {
    double blocks = plan_number(node->json, key);
    for (const struct plan_node *child = node->child; child != NULL; child = child->sibling) {
        double below = plan_number(child->json, key);
        blocks -= below > 0 ? below : 0;
    }
    return blocks > 0 ? blocks : 0;
}

void check_temp_blocks(struct finder *f, const struct plan_node *node) {
    double written = own_blocks(node, "Temp Written Blocks");
    double read = own_blocks(node, "Temp Read Blocks");
    double most = written > read ? written : read;
    if (rule_judge(RULE_TEMP_BLOCKS, most) < 0 || self_or_child_spills(node)) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_TEMP_BLOCKS, node, most);
    if (w != NULL) {
        finding_put(w, "temp_blocks_written", written, 0);
        finding_put(w, "temp_blocks_read", read, 0);
        finding_end(f, "It keeps rows in temporary files (%.0f blocks of 8 kB written, %.0f read): "
                       "raise work_mem for this statement, or carry fewer rows and columns.",
                    written, read);
    }
}
