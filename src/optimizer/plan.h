/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of one EXPLAIN (FORMAT JSON) document, in the units that the rules think in.
 *
 * PostgreSQL prints rows and times per loop: averages over all executions of a node, those of
 * parallel workers included, rounded to whole rows before version 18. `loops` counts executions in
 * all processes. A rule multiplies both sides of a comparison by loops, or neither.
 * Pure; thread: any. A plan lives in the arena it was read into, beside the document's text.
 */
#ifndef TURNOUT_OPTIMIZER_PLAN_H
#define TURNOUT_OPTIMIZER_PLAN_H

#include "base/json.h"

/* X(NAME, the word in "Node Type") for the nodes that some rule asks for; all others, also those
 * of later versions, are PLAN_OTHER and are judged by what their keys say. */
#define PLAN_NODE_TABLE(X)                                                                         \
    X(SEQ_SCAN, "Seq Scan")                                                                        \
    X(INDEX_SCAN, "Index Scan")                                                                    \
    X(INDEX_ONLY_SCAN, "Index Only Scan")                                                          \
    X(BITMAP_INDEX_SCAN, "Bitmap Index Scan")                                                      \
    X(BITMAP_HEAP_SCAN, "Bitmap Heap Scan")                                                        \
    X(BITMAP_AND, "BitmapAnd")                                                                     \
    X(BITMAP_OR, "BitmapOr")                                                                       \
    X(TID_SCAN, "Tid Scan")                                                                        \
    X(TID_RANGE_SCAN, "Tid Range Scan")                                                            \
    X(SAMPLE_SCAN, "Sample Scan")                                                                  \
    X(SUBQUERY_SCAN, "Subquery Scan")                                                              \
    X(FUNCTION_SCAN, "Function Scan")                                                              \
    X(TABLE_FUNCTION_SCAN, "Table Function Scan")                                                  \
    X(VALUES_SCAN, "Values Scan")                                                                  \
    X(CTE_SCAN, "CTE Scan")                                                                        \
    X(WORK_TABLE_SCAN, "WorkTable Scan")                                                           \
    X(TUPLESTORE_SCAN, "Named Tuplestore Scan")                                                    \
    X(FOREIGN_SCAN, "Foreign Scan")                                                                \
    X(CUSTOM_SCAN, "Custom Scan")                                                                  \
    X(NESTED_LOOP, "Nested Loop")                                                                  \
    X(MERGE_JOIN, "Merge Join")                                                                    \
    X(HASH_JOIN, "Hash Join")                                                                      \
    X(HASH, "Hash")                                                                                \
    X(MEMOIZE, "Memoize")                                                                          \
    X(MATERIALIZE, "Materialize")                                                                  \
    X(SORT, "Sort")                                                                                \
    X(INCREMENTAL_SORT, "Incremental Sort")                                                        \
    X(GROUP, "Group")                                                                              \
    X(AGGREGATE, "Aggregate")                                                                      \
    X(WINDOW_AGG, "WindowAgg")                                                                     \
    X(UNIQUE, "Unique")                                                                            \
    X(SET_OP, "SetOp")                                                                             \
    X(LIMIT, "Limit")                                                                              \
    X(LOCK_ROWS, "LockRows")                                                                       \
    X(RESULT, "Result")                                                                            \
    X(PROJECT_SET, "ProjectSet")                                                                   \
    X(APPEND, "Append")                                                                            \
    X(MERGE_APPEND, "Merge Append")                                                                \
    X(RECURSIVE_UNION, "Recursive Union")                                                          \
    X(GATHER, "Gather")                                                                            \
    X(GATHER_MERGE, "Gather Merge")                                                                \
    X(MODIFY_TABLE, "ModifyTable")

enum plan_node_e {
#define X(name, word) PLAN_##name,
    PLAN_NODE_TABLE(X)
#undef X
    PLAN_OTHER,
};

/* "Parent Relationship": how the parent uses the node. */
enum plan_role_e {
    PLAN_ROLE_ROOT,
    PLAN_ROLE_OUTER,
    PLAN_ROLE_INNER,
    PLAN_ROLE_MEMBER,
    PLAN_ROLE_SUBQUERY,
    PLAN_ROLE_INIT_PLAN,
    PLAN_ROLE_SUB_PLAN,
    PLAN_ROLE_OTHER,
};

/* What a key that is absent reads as: plans without ANALYZE, BUFFERS, TIMING or COSTS. */
#define PLAN_ABSENT (-1.0)
/* What a larger number reads as: nothing real is, and products of a few stay printable. */
#define PLAN_FIGURE_MAX 1e18

struct plan_node {
    const struct json_t *json; /* every key that is not below */
    struct plan_node *parent;  /* NULL at the root */
    struct plan_node *child;   /* first */
    struct plan_node *sibling; /* next child of the same parent */
    struct plan_node *next;    /* of the statement, parents first; NULL at its end */
    struct plan_node *prev;    /* the way back */
    struct plan_node *gather;  /* the nearest Gather above: it runs in parallel; or NULL */
    enum plan_node_e kind;
    enum plan_role_e role;
    struct slice type;     /* "Node Type" as written */
    struct slice relation; /* empty when there is none, as the next two */
    struct slice alias;
    struct slice index;
    double plan_rows; /* per loop and process; PLAN_ABSENT without COSTS */
    double rows;      /* actual, per loop; PLAN_ABSENT without ANALYZE */
    double loops;     /* actual, of all processes; 0: never executed; PLAN_ABSENT */
    double total_ms;  /* actual, per loop, children included; PLAN_ABSENT */

    /* Filled by plan_flow.c: what may be concluded from `rows`. */
    bool may_stop_early;  /* somebody above may not ask for the last row */
    bool rows_repeat;     /* read again from a mark: `rows` counts rows twice */
    bool shares_work;     /* the processes split its rows among them */
    bool joins_above;     /* a join depends on its estimate */
    bool misses_children; /* partitions were cut off or an input never ran */

    /* Filled by rules_rows.c: 1 + the highest severity of a misestimate here or in its inputs, of
     * more and of fewer rows than planned; 0 when there is none. */
    signed char missed_more;
    signed char missed_fewer;
};

struct plan_statement {
    const struct json_t *json;
    struct plan_node *root;
    struct plan_node *last; /* of the chain of nodes */
    struct plan_statement *next;
    double execution_ms; /* PLAN_ABSENT without ANALYZE */
    double planning_ms;  /* PLAN_ABSENT without SUMMARY */
};

/* Biggest document; a plan of 10,000 partitions takes about 10 MiB. */
enum { PLAN_TEXT_MAX = 64 << 20 };
/* What an arena for the biggest document may hold: jansson takes about ten times the text. */
#define PLAN_ARENA_LIMIT ((size_t)1 << 30)
/* Nodes in one document: 64 MiB hold about 500,000 real ones. */
enum { PLAN_NODES_MAX = 1000000 };

/*
 * Reads what EXPLAIN (FORMAT JSON) printed: an array with a statement or more, the object of
 * auto_explain, or such an array as the value of "QUERY PLAN". `text` must outlive the plan.
 * ERR_MALFORMED_JSON, ERR_INVALID_FIELD (JSON, but no plan), ERR_TOO_LARGE or ERR_NO_MEMORY;
 * the problem says what it is and how to get a right one.
 */
enum err_e plan_read(struct arena *arena, struct slice text, struct plan_statement **ret_statements,
                     struct problem *ret_problem) MUST_CHECK;

/* Keys of a node or statement. PLAN_ABSENT, an empty slice or false when a key is absent, or of
 * another kind. */
double plan_number(const struct json_t *object, const char *key);
struct slice plan_text(const struct json_t *object, const char *key);
bool plan_truth(const struct json_t *object, const char *key);

/* Executed at least once, with row counts. */
static inline bool plan_ran(const struct plan_node *node) {
    return node->loops > 0 && node->rows >= 0;
}
/* All loops together; only of a node that ran. */
static inline double plan_total(const struct plan_node *node, double per_loop) {
    return per_loop > 0 ? per_loop * node->loops : 0;
}
/* A number that is printed per loop, over all loops; 0 when absent. */
double plan_number_total(const struct plan_node *node, const char *key);
/* Processes that ran the node side by side, the leader included. At least 1. */
double plan_processes(const struct plan_node *node);
/* `rows` per loop in the units of `plan_rows`: workers that were planned but did not come leave
 * their share of the rows to the others. Only of a node that ran. */
double plan_rows_as_planned(const struct plan_node *node, double rows);

/* The first child that feeds rows to `node`: sub-plans and init plans left out. NULL: a leaf. */
struct plan_node *plan_input(const struct plan_node *node);
/* The next one after `input`, or NULL. */
struct plan_node *plan_next_input(const struct plan_node *input);
bool plan_is_input(const struct plan_node *node);
/* Reads rows from a table, function, list or other node by itself; joins and Append do not. */
bool plan_is_scan(const struct plan_node *node);
bool plan_is_join(const struct plan_node *node);

/* Appends "Nested Loop > Seq Scan on gates": from the root, of deep plans the last steps. */
void plan_path(struct buf *to, const struct plan_node *node);
/* Appends "Seq Scan on gates" in the words of the text format. */
void plan_label(struct buf *to, const struct plan_node *node);

#endif
