/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a snapshot: absent or null is missing, unknown is ignored, anything else that is not what
 * it should be is refused with its name, so that a broken recording is not taken for a quiet
 * one. */
#include "control/snapshot.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/* About 3000 years either way: differences of two in milliseconds stay far from overflow. */
#define T_MAX 1e11
/* Ages above this are all the same: too old. */
#define AGE_MAX_S 1e9

static const char *const metric_words[METRIC_COUNT] = {
#define X(name, text) [METRIC_##name] = text,
    METRIC_TABLE(X)
#undef X
};

static const char *const effect_words[] = {
#define X(name, text) text,
    EFFECT_TABLE(X)
#undef X
};
enum { EFFECTS = sizeof effect_words / sizeof effect_words[0] };

static const struct figure_row {
    const char *name;
    double highest;
    size_t offset;
} figure_rows[] = {
#define X(name, highest) {#name, highest, offsetof(struct node_figures, name)},
    NODE_FIGURE_TABLE(X)
#undef X
};

enum { FIGURES = sizeof figure_rows / sizeof figure_rows[0] };

const char *metric_text(enum metric_e metric) {
    ASSERT((unsigned)metric < METRIC_COUNT);
    return metric_words[metric];
}

const char *effect_text(enum effect_e effect) {
    ASSERT((unsigned)effect < EFFECTS);
    return effect_words[effect];
}

struct expected {
    const char *name; /* how messages call it */
    double lowest;
    double highest;
};

/* A member that may be absent or null. */
static enum err_e read_number(const struct json_t *value, const struct expected *expected,
                              double *ret_number, struct problem *ret_problem) {
    *ret_number = FIGURE_MISSING;
    if (value == NULL || json_kind(value) == JSON_KIND_NULL) {
        return ERR_OK;
    }
    if (!json_is_numeric(value)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, expected->name, "expected a number");
    }
    double number = json_number(value);
    if (number < expected->lowest || number > expected->highest) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, expected->name,
                           "expected %g to %g, not %g", expected->lowest, expected->highest,
                           number);
    }
    *ret_number = number;
    return ERR_OK;
}

static enum err_e read_id(const struct json_t *object, size_t index, struct slice *ret_id,
                          struct problem *ret_problem) {
    const struct json_t *id = json_get(object, "id");
    if (id == NULL || json_kind(id) != JSON_KIND_STRING || json_text(id).len == 0 ||
        json_text(id).len > NODE_ID_MAX) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "id",
                           "nodes[%zu]: expected a text of 1 to %d bytes", index, NODE_ID_MAX);
    }
    *ret_id = json_text(id);
    return ERR_OK;
}

/* A node listed without a word about its health counts as healthy: it would not be listed else. */
static enum err_e read_healthy(const struct json_t *object, size_t index, bool *ret_healthy,
                               struct problem *ret_problem) {
    const struct json_t *value = json_get(object, "healthy");
    *ret_healthy = true;
    if (value == NULL || json_kind(value) == JSON_KIND_NULL) {
        return ERR_OK;
    }
    if (json_kind(value) != JSON_KIND_BOOLEAN) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "healthy",
                           "nodes[%zu]: expected true or false", index);
    }
    *ret_healthy = json_truth(value);
    return ERR_OK;
}

static enum err_e read_age(const struct json_t *object, const char *name, int64_t *ret_age_ms,
                           struct problem *ret_problem) {
    struct expected expected = {name, 0, AGE_MAX_S};
    double age;
    TRY(read_number(json_get(object, "age"), &expected, &age, ret_problem));
    *ret_age_ms = figure_is_known(age) ? (int64_t)(age * 1000) : 0;
    return ERR_OK;
}

static enum err_e read_node(const struct json_t *object, size_t index,
                            struct node_figures *ret_node, struct problem *ret_problem) {
    if (json_kind(object) != JSON_KIND_OBJECT) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "nodes",
                           "nodes[%zu]: expected an object", index);
    }
    *ret_node = (struct node_figures){.healthy_for_ms = INT64_MAX};
    TRY(read_id(object, index, &ret_node->id, ret_problem));
    TRY(read_healthy(object, index, &ret_node->healthy, ret_problem));
    char name[64];
    snprintf(name, sizeof name, "nodes[%zu].age", index);
    TRY(read_age(object, name, &ret_node->age_ms, ret_problem));
    for (size_t i = 0; i < FIGURES; i++) {
        const struct figure_row *row = &figure_rows[i];
        snprintf(name, sizeof name, "nodes[%zu].%s", index, row->name);
        struct expected expected = {name, 0, row->highest};
        double *figure = (double *)(void *)((char *)ret_node + row->offset);
        TRY(read_number(json_get(object, row->name), &expected, figure, ret_problem));
    }
    return ERR_OK;
}

static int compare_ids(const void *left, const void *right) {
    return slice_order(*(const struct slice *)left, *(const struct slice *)right);
}

static enum err_e check_ids_differ(struct arena *arena, const struct snapshot *snapshot,
                                   struct problem *ret_problem) {
    struct slice *ids = arena_alloc(arena, snapshot->nodes_len * sizeof *ids);
    if (ids == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "nodes", "they take too much memory");
    }
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        ids[i] = snapshot->nodes[i].id;
    }
    qsort(ids, snapshot->nodes_len, sizeof *ids, compare_ids);
    for (size_t i = 1; i < snapshot->nodes_len; i++) {
        if (slice_eq(ids[i - 1], ids[i])) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "nodes", "%.*s is listed twice",
                               SLICE_ARG(ids[i]));
        }
    }
    return ERR_OK;
}

static enum err_e read_nodes(struct arena *arena, const struct json_t *array,
                             struct snapshot *ret_snapshot, struct problem *ret_problem) {
    if (array == NULL || json_kind(array) == JSON_KIND_NULL) {
        return ERR_OK;
    }
    if (json_kind(array) != JSON_KIND_ARRAY || json_count(array) > SNAPSHOT_NODES_MAX) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "nodes",
                           "expected an array of at most %d nodes", SNAPSHOT_NODES_MAX);
    }
    ret_snapshot->has_nodes = true;
    ret_snapshot->nodes_len = json_count(array);
    if (ret_snapshot->nodes_len == 0) {
        return ERR_OK;
    }
    struct node_figures *nodes = arena_alloc(arena, ret_snapshot->nodes_len * sizeof *nodes);
    if (nodes == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "nodes", "they take too much memory");
    }
    ret_snapshot->nodes = nodes;
    for (size_t i = 0; i < ret_snapshot->nodes_len; i++) {
        TRY(read_node(json_at(array, i), i, &nodes[i], ret_problem));
    }
    return check_ids_differ(arena, ret_snapshot, ret_problem);
}

static enum err_e read_metrics(const struct json_t *object, struct snapshot *ret_snapshot,
                               struct problem *ret_problem) {
    bool given = object != NULL && json_kind(object) != JSON_KIND_NULL;
    if (given && json_kind(object) != JSON_KIND_OBJECT) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "metrics", "expected an object");
    }
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        struct expected expected = {metric_words[i], -HUGE_VAL, HUGE_VAL};
        const struct json_t *value = given ? json_get(object, metric_words[i]) : NULL;
        TRY(read_number(value, &expected, &ret_snapshot->metrics[i], ret_problem));
    }
    return ERR_OK;
}

static bool find_effect(struct slice word, enum effect_e *ret_effect) {
    for (size_t i = 0; i < EFFECTS; i++) {
        if (word.at != NULL && slice_eq_text(word, effect_words[i])) {
            *ret_effect = (enum effect_e)i;
            return true;
        }
    }
    return false;
}

static enum err_e read_effect(const struct json_t *object, size_t index,
                              struct told_effect *ret_effect, struct problem *ret_problem) {
    char name[32];
    ret_effect->rule = json_text_at(object, "rule", SLICE_NONE);
    ret_effect->action = json_text_at(object, "action", SLICE_NONE);
    if (ret_effect->rule.at == NULL || ret_effect->action.at == NULL ||
        !find_effect(json_text_at(object, "effect", SLICE_NONE), &ret_effect->effect)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "effects",
                           "effects[%zu]: expected a rule, an action and an effect: helped, none, "
                           "harmed, refused or ran", index);
    }
    snprintf(name, sizeof name, "effects[%zu].age", index);
    return read_age(object, name, &ret_effect->age_ms, ret_problem);
}

static enum err_e read_effects(struct arena *arena, const struct json_t *array,
                               struct snapshot *ret_snapshot, struct problem *ret_problem) {
    if (array == NULL || json_kind(array) == JSON_KIND_NULL) {
        return ERR_OK;
    }
    size_t len = json_count(array);
    if (json_kind(array) != JSON_KIND_ARRAY || len > SNAPSHOT_EFFECTS_MAX) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "effects",
                           "expected an array of at most %d effects", SNAPSHOT_EFFECTS_MAX);
    }
    struct told_effect *effects = arena_alloc(arena, len * sizeof *effects + 1);
    if (effects == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "effects", "they take too much memory");
    }
    ret_snapshot->effects = effects;
    ret_snapshot->effects_len = len;
    for (size_t i = 0; i < len; i++) {
        TRY(read_effect(json_at(array, i), i, &effects[i], ret_problem));
    }
    return ERR_OK;
}

static enum err_e read_standby(const struct json_t *value, struct snapshot *ret_snapshot,
                               struct problem *ret_problem) {
    bool is_there = value != NULL && json_kind(value) == JSON_KIND_BOOLEAN;
    ret_snapshot->is_standby = is_there && json_truth(value);
    return is_there || value == NULL
               ? ERR_OK
               : problem_set(ret_problem, ERR_INVALID_FIELD, "standby", "expected true or false");
}

enum err_e snapshot_read(struct arena *arena, struct slice line, struct snapshot *ret_snapshot,
                         struct problem *ret_problem) {
    struct json_t *object;
    TRY(json_parse(arena, line, &object, ret_problem));
    if (json_kind(object) != JSON_KIND_OBJECT) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "", "expected an object");
    }
    *ret_snapshot = (struct snapshot){0};
    static const struct expected expected = {"t", -T_MAX, T_MAX};
    TRY(read_number(json_get(object, "t"), &expected, &ret_snapshot->t, ret_problem));
    if (!figure_is_known(ret_snapshot->t)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "t", "expected a number of seconds");
    }
    TRY(read_standby(json_get(object, "standby"), ret_snapshot, ret_problem));
    TRY(read_nodes(arena, json_get(object, "nodes"), ret_snapshot, ret_problem));
    TRY(read_metrics(json_get(object, "metrics"), ret_snapshot, ret_problem));
    return read_effects(arena, json_get(object, "effects"), ret_snapshot, ret_problem);
}
