/* SPDX-License-Identifier: Apache-2.0 */
/* From the JSON document to the tree, and the small questions that rules ask of a node. */
#include "optimizer/plan.h"

#include "base/assert.h"
#include "optimizer/plan_priv.h"

struct reader {
    struct arena *arena;
    struct plan_statement *statement;
    size_t nodes;
    enum err_e err; /* the first failure; the rest of the document is skipped */
};

struct node_word {
    struct slice word;
    enum plan_node_e kind;
};

static enum plan_node_e kind_of(struct slice type) {
    static const struct node_word words[] = {
#define X(name, word) {{word, sizeof(word) - 1}, PLAN_##name},
        PLAN_NODE_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq(type, words[i].word)) {
            return words[i].kind;
        }
    }
    return PLAN_OTHER;
}

static enum plan_role_e role_of(struct slice relationship) {
    static const struct {
        const char *word;
        enum plan_role_e role;
    } words[] = {
        {"Outer", PLAN_ROLE_OUTER},       {"Inner", PLAN_ROLE_INNER},
        {"Member", PLAN_ROLE_MEMBER},     {"Subquery", PLAN_ROLE_SUBQUERY},
        {"InitPlan", PLAN_ROLE_INIT_PLAN}, {"SubPlan", PLAN_ROLE_SUB_PLAN},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_text(relationship, words[i].word)) {
            return words[i].role;
        }
    }
    return PLAN_ROLE_OTHER;
}

double plan_number(const struct json_t *object, const char *key) {
    const struct json_t *value = json_get(object, key);
    if (value == NULL) {
        return PLAN_ABSENT;
    }
    enum json_kind_e kind = json_kind(value);
    if (kind != JSON_KIND_INTEGER && kind != JSON_KIND_REAL) {
        return PLAN_ABSENT;
    }
    double number = json_number(value);
    if (!(number >= 0)) {
        return PLAN_ABSENT;
    }
    return number < PLAN_FIGURE_MAX ? number : PLAN_FIGURE_MAX;
}

struct slice plan_text(const struct json_t *object, const char *key) {
    const struct json_t *value = json_get(object, key);
    bool is_text = value != NULL && json_kind(value) == JSON_KIND_STRING;
    return is_text ? json_text(value) : SLICE_NONE;
}

bool plan_truth(const struct json_t *object, const char *key) {
    const struct json_t *value = json_get(object, key);
    return value != NULL && json_kind(value) == JSON_KIND_BOOLEAN && json_truth(value);
}

static void fill_node(struct plan_node *node) {
    const struct json_t *json = node->json;
    node->type = plan_text(json, "Node Type");
    node->kind = kind_of(node->type);
    node->relation = plan_text(json, "Relation Name");
    node->alias = plan_text(json, "Alias");
    node->index = plan_text(json, "Index Name");
    node->plan_rows = plan_number(json, "Plan Rows");
    node->rows = plan_number(json, "Actual Rows");
    node->loops = plan_number(json, "Actual Loops");
    node->total_ms = plan_number(json, "Actual Total Time");
    if (node->parent != NULL) {
        bool gathers = node->parent->kind == PLAN_GATHER || node->parent->kind == PLAN_GATHER_MERGE;
        node->role = role_of(plan_text(json, "Parent Relationship"));
        node->gather = gathers ? node->parent : node->parent->gather;
    }
    if (node->role == PLAN_ROLE_INIT_PLAN) {
        node->gather = NULL; /* the leader runs it before the workers start */
    }
}

static struct plan_node *new_node(struct reader *r, const struct json_t *json,
                                  struct plan_node *parent) {
    if (r->nodes >= PLAN_NODES_MAX) {
        r->err = ERR_TOO_LARGE;
        return NULL;
    }
    struct plan_node *node = arena_zalloc(r->arena, sizeof *node);
    if (node == NULL) {
        r->err = ERR_NO_MEMORY;
        return NULL;
    }
    r->nodes++;
    node->json = json;
    node->parent = parent;
    fill_node(node);
    node->prev = r->statement->last;
    if (node->prev != NULL) {
        node->prev->next = node;
    }
    r->statement->last = node;
    return node;
}

/* Recurses once a node: the parser's nesting limit bounds the depth. What is no object with a
 * "Node Type" is skipped: a later version may have put it there. */
static struct plan_node *read_node(struct reader *r, const struct json_t *json,
                                   struct plan_node *parent) {
    if (r->err != ERR_OK || json_kind(json) != JSON_KIND_OBJECT ||
        plan_text(json, "Node Type").len == 0) {
        return NULL;
    }
    struct plan_node *node = new_node(r, json, parent);
    const struct json_t *plans = json_get(json, "Plans");
    if (node == NULL || plans == NULL || json_kind(plans) != JSON_KIND_ARRAY) {
        return node;
    }
    struct plan_node **link = &node->child;
    for (size_t i = 0; i < json_count(plans); i++) {
        *link = read_node(r, json_at(plans, i), node);
        if (*link != NULL) {
            link = &(*link)->sibling;
        }
    }
    return node;
}

/* auto_explain prints no "Execution Time": the root's own time stands in. */
static double execution_ms_of(const struct plan_statement *statement) {
    double ms = plan_number(statement->json, "Execution Time");
    if (ms >= 0) {
        return ms;
    }
    const struct plan_node *root = statement->root;
    return root->loops > 0 && root->total_ms >= 0 ? root->total_ms * root->loops : PLAN_ABSENT;
}

/* NULL when `json` is no statement with a plan (then `r->err` stays) or the reader failed. */
static struct plan_statement *read_statement(struct reader *r, const struct json_t *json) {
    const struct json_t *plan = json_get(json, "Plan");
    if (plan == NULL) {
        return NULL;
    }
    struct plan_statement *statement = arena_zalloc(r->arena, sizeof *statement);
    if (statement == NULL) {
        r->err = ERR_NO_MEMORY;
        return NULL;
    }
    statement->json = json;
    r->statement = statement;
    statement->root = read_node(r, plan, NULL);
    if (statement->root == NULL || r->err != ERR_OK) {
        return NULL;
    }
    statement->execution_ms = execution_ms_of(statement);
    statement->planning_ms = plan_number(json, "Planning Time");
    plan_mark_flow(statement->root);
    return statement;
}

/* What holds the statements: some clients wrap the column's name or a row around them. */
static const struct json_t *unwrap(const struct json_t *document) {
    const struct json_t *row = document;
    if (json_kind(row) == JSON_KIND_ARRAY && json_count(row) == 1) {
        row = json_at(row, 0);
    }
    const struct json_t *column = json_get(row, "QUERY PLAN");
    return column != NULL ? column : document;
}

static enum err_e read_document(struct reader *r, const struct json_t *document,
                                struct plan_statement **ret_statements) {
    const struct json_t *list = unwrap(document);
    bool is_list = json_kind(list) == JSON_KIND_ARRAY;
    size_t count = is_list ? json_count(list) : 1;
    struct plan_statement **link = ret_statements;
    for (size_t i = 0; i < count && r->err == ERR_OK; i++) {
        *link = read_statement(r, is_list ? json_at(list, i) : list);
        if (*link == NULL) {
            return r->err != ERR_OK ? r->err : ERR_INVALID_FIELD;
        }
        link = &(*link)->next;
    }
    return *ret_statements == NULL ? ERR_INVALID_FIELD : r->err;
}

static enum err_e refuse(enum err_e err, const struct json_t *document,
                         struct problem *ret_problem) {
    if (err == ERR_NO_MEMORY) {
        return problem_set(ret_problem, err, "", "the plan takes too much memory");
    }
    if (err == ERR_TOO_LARGE) {
        return problem_set(ret_problem, err, "", "the plan has more than %d nodes",
                           PLAN_NODES_MAX);
    }
    return plan_refuse_json(document, ret_problem);
}

enum err_e plan_read(struct arena *arena, struct slice text, struct plan_statement **ret_statements,
                     struct problem *ret_problem) {
    static const struct slice byte_order_mark = {"\xEF\xBB\xBF", 3};
    static const struct json_rules rules = {
        .nesting_max = JSON_NESTING_LIMIT,
        .lax = JSON_INTEGERS_AS_REALS | JSON_DUPLICATE_KEYS,
    };
    if (text.len > PLAN_TEXT_MAX) {
        return problem_set(ret_problem, ERR_TOO_LARGE, "", "the plan is larger than %d MiB",
                           PLAN_TEXT_MAX >> 20);
    }
    if (slice_starts_with(text, byte_order_mark)) {
        text = slice_skip(text, byte_order_mark.len);
    }
    struct json_t *document = NULL;
    struct problem parse_problem = {0};
    enum err_e err = json_parse_by(arena, text, &rules, &document, &parse_problem);
    if (err == ERR_NO_MEMORY) {
        return refuse(err, NULL, ret_problem);
    }
    if (err != ERR_OK) {
        return plan_refuse_text(text, parse_problem.detail, ret_problem);
    }
    struct reader reader = {.arena = arena};
    *ret_statements = NULL;
    err = read_document(&reader, document, ret_statements);
    return err == ERR_OK ? ERR_OK : refuse(err, document, ret_problem);
}

double plan_number_total(const struct plan_node *node, const char *key) {
    double per_loop = plan_number(node->json, key);
    return per_loop > 0 && node->loops > 0 ? per_loop * node->loops : 0;
}

double plan_processes(const struct plan_node *node) {
    if (node->gather == NULL || node->gather->loops <= 0) {
        return 1;
    }
    const struct plan_node *top = plan_input(node->gather);
    double processes = top != NULL ? top->loops / node->gather->loops : 1;
    return processes > 1 ? processes : 1;
}

/* How the planner divides rows: the leader helps less the more workers it has to serve. */
static double planned_processes(const struct plan_node *gather) {
    double workers = plan_number(gather->json, "Workers Planned");
    if (workers <= 0) {
        return 1;
    }
    double leader = 1.0 - 0.3 * workers;
    return workers + (leader > 0 ? leader : 0);
}

double plan_rows_as_planned(const struct plan_node *node, double rows) {
    if (!node->shares_work || node->gather == NULL || node->gather->loops <= 0) {
        return rows;
    }
    return rows * node->loops / node->gather->loops / planned_processes(node->gather);
}

bool plan_is_input(const struct plan_node *node) {
    return node->role != PLAN_ROLE_INIT_PLAN && node->role != PLAN_ROLE_SUB_PLAN;
}

static struct plan_node *first_input_from(struct plan_node *node) {
    while (node != NULL && !plan_is_input(node)) {
        node = node->sibling;
    }
    return node;
}

struct plan_node *plan_input(const struct plan_node *node) {
    return first_input_from(node->child);
}

struct plan_node *plan_next_input(const struct plan_node *input) {
    return first_input_from(input->sibling);
}

bool plan_is_scan(const struct plan_node *node) {
    return (node->kind <= PLAN_CUSTOM_SCAN && node->kind != PLAN_BITMAP_AND &&
            node->kind != PLAN_BITMAP_OR) ||
           (node->kind == PLAN_OTHER && node->relation.len > 0);
}

bool plan_is_join(const struct plan_node *node) {
    return node->kind == PLAN_NESTED_LOOP || node->kind == PLAN_MERGE_JOIN ||
           node->kind == PLAN_HASH_JOIN;
}
