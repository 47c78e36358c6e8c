/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misestimated rows: reported where they arise, not at every node above that inherits them.
 *
 * A node's miss is ranked by severity, for more and for fewer rows apart. It is reported when its
 * rank is higher than that of all its inputs. A miss that is excused (the node was not read to its
 * end, or nothing depends on it) is ranked all the same, so that nobody above is blamed for it.
 */
#include "optimizer/condition.h"
#include "optimizer/explain_priv.h"

#include <math.h>

static bool is_any(enum plan_node_e kind, const enum plan_node_e *kinds, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (kind == kinds[i]) {
            return true;
        }
    }
    return false;
}
#define IS_ANY(kind, ...)                                                                          \
    is_any(kind, (const enum plan_node_e[]){__VA_ARGS__},                                          \
           sizeof((const enum plan_node_e[]){__VA_ARGS__}) / sizeof(enum plan_node_e))

/* Their counts are no rows (bitmaps, writes), or their input's by definition. */
static bool has_no_rows_of_its_own(const struct plan_node *node) {
    return IS_ANY(node->kind, PLAN_BITMAP_INDEX_SCAN, PLAN_BITMAP_AND, PLAN_BITMAP_OR,
                  PLAN_MODIFY_TABLE, PLAN_HASH, PLAN_MEMOIZE, PLAN_MATERIALIZE, PLAN_LIMIT);
}

/* The planner does not know these: a guess by rule, or the same figure as another subtree's. */
static bool is_guess(const struct plan_node *node) {
    return IS_ANY(node->kind, PLAN_WORK_TABLE_SCAN, PLAN_RECURSIVE_UNION, PLAN_TUPLESTORE_SCAN) ||
           (node->kind == PLAN_CTE_SCAN && plan_text(node->json, "Filter").len == 0);
}

static bool groups(const struct plan_node *node) {
    return IS_ANY(node->kind, PLAN_AGGREGATE, PLAN_GROUP, PLAN_UNIQUE, PLAN_SET_OP);
}

static bool is_function(const struct plan_node *node) {
    return IS_ANY(node->kind, PLAN_FUNCTION_SCAN, PLAN_TABLE_FUNCTION_SCAN, PLAN_PROJECT_SET,
                  PLAN_VALUES_SCAN);
}

struct miss {
    double more;  /* factor by which more rows came than planned; 1 or less: none */
    double fewer; /* by which fewer came */
};

static double at_least_one(double x) {
    return x > 1 ? x : 1;
}

/* An average printed as a whole number stands for half a row less to half a row more. */
static double rounding(const struct plan_node *node) {
    return node->loops > 1 && node->rows == floor(node->rows) ? 0.5 : 0;
}

static bool is_large(const struct plan_node *node) {
    double rows = node->rows > node->plan_rows ? node->rows : node->plan_rows;
    return rows * node->loops >= RULE_ROWS_FLOOR;
}

static struct miss miss_of(const struct plan_node *node) {
    if (!plan_ran(node) || node->plan_rows < 0 || has_no_rows_of_its_own(node) ||
        !is_large(node)) {
        return (struct miss){0, 0};
    }
    double least = plan_rows_as_planned(node, node->rows - rounding(node));
    double most = plan_rows_as_planned(node, node->rows + rounding(node));
    double planned = at_least_one(node->plan_rows);
    return (struct miss){.more = least / planned, .fewer = planned / at_least_one(most)};
}

static signed char rank(double factor) {
    return (signed char)(rule_judge(RULE_ROW_MISESTIMATE, factor) + 1);
}

void rank_misses(const struct plan_statement *statement) {
    for (struct plan_node *node = statement->last; node != NULL; node = node->prev) {
        struct miss miss = miss_of(node);
        signed char more = rank(miss.more);
        signed char fewer = rank(miss.fewer);
        node->missed_more = node->missed_more > more ? node->missed_more : more;
        node->missed_fewer = node->missed_fewer > fewer ? node->missed_fewer : fewer;
        struct plan_node *parent = node->parent;
        if (parent == NULL || !plan_is_input(node)) {
            continue;
        }
        if (parent->missed_more < node->missed_more) {
            parent->missed_more = node->missed_more;
        }
        if (parent->missed_fewer < node->missed_fewer) {
            parent->missed_fewer = node->missed_fewer;
        }
    }
}

static signed char inputs_missed(const struct plan_node *node, bool more) {
    signed char highest = 0;
    for (const struct plan_node *in = plan_input(node); in != NULL; in = plan_next_input(in)) {
        signed char missed = more ? in->missed_more : in->missed_fewer;
        highest = missed > highest ? missed : highest;
    }
    return highest;
}

static bool more_is_excused(const struct plan_node *node) {
    return node->rows_repeat || is_guess(node);
}

/* Full text, containment and patterns are estimated by rule of thumb, mostly too high; once the
 * index is used and no join depends on the figure, nothing is lost by it. */
static bool is_rough_search(const struct plan_node *node) {
    static const char *const keys[] = {"Index Cond", "Recheck Cond"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !node->joins_above; i++) {
        struct condition_term terms[CONDITION_TERMS_MAX];
        size_t count = 0;
        bool known = condition_read(plan_text(node->json, keys[i]), node->alias, terms, &count);
        for (size_t t = 0; t < count; t++) {
            known = known && terms[t].kind != CONDITION_OTHER;
        }
        if (!known) {
            return true;
        }
    }
    return false;
}

static bool fewer_is_excused(const struct plan_node *node) {
    return node->may_stop_early || node->rows_repeat || node->misses_children || is_guess(node) ||
           is_function(node) || (groups(node) && !node->joins_above) || is_rough_search(node);
}

/* A scan of a whole table: the estimate is the table's size as ANALYZE left it. */
static bool is_plain_scan(const struct plan_node *node) {
    bool reads_table = IS_ANY(node->kind, PLAN_SEQ_SCAN, PLAN_INDEX_SCAN, PLAN_INDEX_ONLY_SCAN);
    return reads_table && node->relation.len > 0 && plan_text(node->json, "Filter").len == 0 &&
           plan_text(node->json, "Index Cond").len == 0;
}

static const char *next_step(const struct plan_node *node) {
    if (node->kind == PLAN_FOREIGN_SCAN) {
        return "run ANALYZE on the foreign table or set use_remote_estimate";
    }
    if (is_function(node)) {
        return "declare the function's ROWS as they are";
    }
    if (plan_is_join(node)) {
        return "run ANALYZE on the joined tables, and raise the statistics target of the joined "
               "columns if it stays";
    }
    if (groups(node)) {
        return "CREATE STATISTICS (ndistinct) on the grouped columns or expression, then ANALYZE";
    }
    return "run ANALYZE on the tables below it";
}

#define MISS_SENTENCE                                                                              \
    "The row estimate is wrong by a factor of %.0f (%s rows came: %.0f estimated, %.0f seen a "    \
    "loop), and the plan above rests on it"

static void report(struct finder *f, const struct plan_node *node, const char *direction,
                   double factor) {
    bool plain = is_plain_scan(node);
    struct json_writer *evidence =
        finding_begin(f, plain ? RULE_STALE_STATISTICS : RULE_ROW_MISESTIMATE, node, factor);
    if (evidence == NULL) {
        return;
    }
    finding_put(evidence, "estimated_rows", node->plan_rows, 0);
    finding_put(evidence, "actual_rows", node->rows, node->rows == floor(node->rows) ? 0 : 2);
    finding_put(evidence, "loops", node->loops, 0);
    finding_put(evidence, "factor", factor, 1);
    json_put_cstr(evidence, "direction", direction);
    struct slice table = finding_clip(node->relation);
    if (table.len > 0) {
        json_put_text(evidence, "table", table);
    }
    if (plain) {
        finding_end(f, "A scan of the whole table was estimated at %.0f rows and gave %.0f a loop "
                       "(%.0fx %s): its statistics are stale, so run ANALYZE %.*s and check that "
                       "autovacuum reaches it.",
                    node->plan_rows, node->rows, factor, direction, SLICE_ARG(table));
    } else if (table.len > 0 && node->kind != PLAN_FOREIGN_SCAN) {
        finding_end(f, MISS_SENTENCE ": run ANALYZE %.*s, and if it stays CREATE STATISTICS on the "
                       "columns of the condition.",
                    factor, direction, node->plan_rows, node->rows, SLICE_ARG(table));
    } else {
        finding_end(f, MISS_SENTENCE ": %s.", factor, direction, node->plan_rows, node->rows,
                    next_step(node));
    }
}

void check_rows(struct finder *f, const struct plan_node *node) {
    struct miss miss = miss_of(node);
    if (node_is_unpruned(f, node)) {
        return;
    }
    if (rank(miss.more) > inputs_missed(node, true) && !more_is_excused(node)) {
        report(f, node, "more", miss.more);
    }
    if (rank(miss.fewer) > inputs_missed(node, false) && !fewer_is_excused(node)) {
        report(f, node, "fewer", miss.fewer);
    }
}
