/* SPDX-License-Identifier: Apache-2.0 */
/* Naming a node in the words of the text format. */
#include "optimizer/plan.h"

enum {
    NAME_MAX_BYTES = 128, /* an identifier of PostgreSQL has at most 63 */
    PATH_STEPS_MAX = 8,
};

/* Cut at a character's start. */
static void add_name(struct buf *to, struct slice name) {
    size_t len = name.len;
    if (len > NAME_MAX_BYTES) {
        len = NAME_MAX_BYTES;
        while (len > 0 && ((unsigned char)name.at[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    buf_add(to, slice_from(name.at, len));
    buf_add_text(to, len < name.len ? "…" : "");
}

static const char *aggregate_word(struct slice strategy) {
    static const struct {
        const char *strategy, *word;
    } words[] = {
        {"Sorted", "GroupAggregate"}, {"Hashed", "HashAggregate"}, {"Mixed", "MixedAggregate"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_text(strategy, words[i].strategy)) {
            return words[i].word;
        }
    }
    return "Aggregate";
}

static void add_aggregate(struct buf *to, const struct plan_node *node) {
    struct slice mode = plan_text(node->json, "Partial Mode");
    if (mode.len > 0 && !slice_eq_text(mode, "Simple")) {
        add_name(to, mode);
        buf_add_char(to, ' ');
    }
    buf_add_text(to, aggregate_word(plan_text(node->json, "Strategy")));
}

/* "Hash Left Join", "Nested Loop Semi Join": the type goes before the word Join. */
static void add_join(struct buf *to, const struct plan_node *node) {
    struct slice type = plan_text(node->json, "Join Type");
    if (type.len == 0 || slice_eq_text(type, "Inner")) {
        buf_add(to, node->type);
        return;
    }
    struct slice join = SLICE_LIT(" Join");
    bool has_join = node->kind != PLAN_NESTED_LOOP;
    buf_add(to, slice_from(node->type.at, node->type.len - (has_join ? join.len : 0)));
    buf_add_char(to, ' ');
    add_name(to, type);
    buf_add(to, join);
}

static void add_type(struct buf *to, const struct plan_node *node) {
    struct slice operation = plan_text(node->json, "Operation");
    if (plan_truth(node->json, "Parallel Aware")) {
        buf_add_text(to, "Parallel ");
    }
    if (node->kind == PLAN_AGGREGATE) {
        add_aggregate(to, node);
    } else if (plan_is_join(node)) {
        add_join(to, node);
    } else if (node->kind == PLAN_MODIFY_TABLE && operation.len > 0) {
        add_name(to, operation);
    } else {
        add_name(to, node->type);
    }
    if (slice_eq_text(plan_text(node->json, "Scan Direction"), "Backward")) {
        buf_add_text(to, " Backward");
    }
}

/* What a scan reads, under whatever key it stands. */
static struct slice target_of(const struct plan_node *node) {
    static const char *const keys[] = {"Relation Name", "CTE Name", "Function Name",
                                       "Table Function Name", "Tuplestore Name", "Alias"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct slice target = plan_text(node->json, keys[i]);
        if (target.len > 0) {
            return target;
        }
    }
    return SLICE_NONE;
}

void plan_label(struct buf *to, const struct plan_node *node) {
    struct slice target = target_of(node);
    add_type(to, node);
    if (node->kind == PLAN_BITMAP_INDEX_SCAN && node->index.len > 0) {
        buf_add_text(to, " on ");
        add_name(to, node->index);
        return;
    }
    if (node->index.len > 0) {
        buf_add_text(to, " using ");
        add_name(to, node->index);
    }
    if (target.len > 0) {
        buf_add_text(to, " on ");
        add_name(to, target);
    }
}

static void add_step(struct buf *to, const struct plan_node *node) {
    struct slice subplan = plan_text(node->json, "Subplan Name");
    if (subplan.len > 0) {
        add_name(to, subplan);
        buf_add_text(to, " > ");
    }
    plan_label(to, node);
}

void plan_path(struct buf *to, const struct plan_node *node) {
    const struct plan_node *steps[PATH_STEPS_MAX];
    size_t count = 0;
    for (; node != NULL && count < PATH_STEPS_MAX; node = node->parent) {
        steps[count++] = node;
    }
    buf_add_text(to, node != NULL ? "… > " : "");
    while (count > 0) {
        add_step(to, steps[--count]);
        buf_add_text(to, count > 0 ? " > " : "");
    }
}
