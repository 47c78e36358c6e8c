/* SPDX-License-Identifier: Apache-2.0 */
/* A node's word about itself. */
#include "control/status.h"

#include <stddef.h>

enum { FIGURE_DECIMALS = 6 };
static const double age_max_s = 86400;

static const struct {
    const char *name;
    size_t offset; /* in struct status_figures */
    double highest;
} rows[] = {
#define X(name, highest) {#name, offsetof(struct status_figures, name), highest},
    NODE_FIGURE_TABLE(X)
    STATUS_METRIC_TABLE(X)
#undef X
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static double *figure_at(struct status_figures *figures, size_t row) {
    return (double *)(void *)((char *)figures + rows[row].offset);
}

void status_figures_init(struct status_figures *figures) {
    for (size_t i = 0; i < ROWS; i++) {
        *figure_at(figures, i) = FIGURE_MISSING;
    }
}

void status_write(const struct node_status *status, struct buf *to) {
    struct json_writer w;
    struct status_figures figures = status->figures;
    json_writer_init(&w, to);
    json_begin_object(&w);
    json_put_text(&w, "id", status->id);
    json_put_text(&w, "incarnation", status->incarnation);
    json_put_text(&w, "version", status->version);
    json_put_int(&w, "at_ms", status->wall_ms);
    json_put_bool(&w, "ready", status->is_ready);
    json_put_bool(&w, "draining", status->drains);
    json_put_text(&w, "reason", status->reason);
    json_put_int(&w, "age_ms", status->age_ms);
    for (size_t i = 0; i < ROWS; i++) {
        json_put_real(&w, rows[i].name, *figure_at(&figures, i), FIGURE_DECIMALS);
    }
    json_end_object(&w);
}

/* ---- reading ---- */

static enum err_e refuse(struct problem *problem, const char *field, const char *expected) {
    return problem_set(problem, ERR_INVALID_FIELD, field, "expected %s", expected);
}

static enum err_e read_text(const struct json_t *object, const char *name, size_t most,
                            struct slice *ret_text, struct problem *problem) {
    const struct json_t *value = json_get(object, name);
    if (value == NULL || json_kind(value) != JSON_KIND_STRING || json_text(value).len > most) {
        return refuse(problem, name, "a short text");
    }
    *ret_text = json_text(value);
    return ERR_OK;
}

static enum err_e read_flag(const struct json_t *object, const char *name, bool *ret_flag,
                            struct problem *problem) {
    const struct json_t *value = json_get(object, name);
    if (value == NULL || json_kind(value) != JSON_KIND_BOOLEAN) {
        return refuse(problem, name, "true or false");
    }
    *ret_flag = json_truth(value);
    return ERR_OK;
}

static enum err_e read_ms(const struct json_t *object, const char *name, int64_t most,
                          int64_t *ret_ms, struct problem *problem) {
    const struct json_t *value = json_get(object, name);
    if (value == NULL || json_kind(value) != JSON_KIND_INTEGER || json_int(value) < 0 ||
        json_int(value) > most) {
        return refuse(problem, name, "milliseconds");
    }
    *ret_ms = json_int(value);
    return ERR_OK;
}

static enum err_e read_figure(const struct json_t *object, size_t row,
                              struct status_figures *figures, struct problem *problem) {
    const struct json_t *value = json_get(object, rows[row].name);
    if (value == NULL || json_kind(value) == JSON_KIND_NULL) {
        return ERR_OK;
    }
    if (!json_is_numeric(value)) {
        return refuse(problem, rows[row].name, "a number");
    }
    double number = json_number(value);
    if (!(number >= 0 && number <= rows[row].highest)) {
        return problem_set(problem, ERR_INVALID_FIELD, rows[row].name,
                           "expected 0 to %g, not %g", rows[row].highest, number);
    }
    *figure_at(figures, row) = number;
    return ERR_OK;
}

enum err_e status_read(struct arena *arena, struct slice text, struct node_status *ret_status,
                       struct problem *ret_problem) {
    struct json_t *object;
    *ret_status = (struct node_status){.age_ms = 0};
    status_figures_init(&ret_status->figures);
    TRY(json_parse(arena, text, &object, ret_problem));
    TRY(read_text(object, "id", NODE_ID_MAX, &ret_status->id, ret_problem));
    TRY(read_text(object, "incarnation", STATUS_TEXT_MAX, &ret_status->incarnation, ret_problem));
    TRY(read_text(object, "version", STATUS_TEXT_MAX, &ret_status->version, ret_problem));
    TRY(read_text(object, "reason", STATUS_TEXT_MAX, &ret_status->reason, ret_problem));
    TRY(read_ms(object, "at_ms", TIME_MAX_MS, &ret_status->wall_ms, ret_problem));
    TRY(read_ms(object, "age_ms", (int64_t)age_max_s * 1000, &ret_status->age_ms, ret_problem));
    TRY(read_flag(object, "ready", &ret_status->is_ready, ret_problem));
    TRY(read_flag(object, "draining", &ret_status->drains, ret_problem));
    for (size_t i = 0; i < ROWS; i++) {
        TRY(read_figure(object, i, &ret_status->figures, ret_problem));
    }
    return ERR_OK;
}

/* ---- all together ---- */

struct mean {
    double sum, weight;
};

static void add(struct mean *mean, double value, double weight) {
    if (figure_is_known(value) && figure_is_known(weight) && weight > 0) {
        mean->sum += value * weight;
        mean->weight += weight;
    }
}

static double value_of(const struct mean *mean) {
    return mean->weight > 0 ? mean->sum / mean->weight : FIGURE_MISSING;
}

static double sum_of(double sum, double value) {
    return !figure_is_known(value) ? sum : figure_is_known(sum) ? sum + value : value;
}

static double higher_of(double most, double value) {
    return figure_is_known(value) && !(most >= value) ? value : most;
}

void status_metrics(const struct status_figures *const *items, size_t len,
                    double ret_metrics[METRIC_GIVEN_COUNT]) {
    struct mean response = {0}, query = {0}, hits = {0};
    double slow = FIGURE_MISSING, memory = FIGURE_MISSING;
    for (size_t i = 0; i < len; i++) {
        add(&response, items[i]->response_ms, items[i]->requests);
        add(&query, items[i]->query_ms, items[i]->queries);
        add(&hits, items[i]->hit_rate, items[i]->lookups);
        slow = sum_of(slow, items[i]->slow_queries);
        memory = higher_of(memory, items[i]->memory);
    }
    ret_metrics[METRIC_AVG_RESPONSE_TIME_MS] = value_of(&response);
    ret_metrics[METRIC_SLOW_QUERY_COUNT] = slow;
    ret_metrics[METRIC_MEMORY_USAGE] = memory;
    ret_metrics[METRIC_CACHE_HIT_RATE] = value_of(&hits);
    ret_metrics[METRIC_AVG_QUERY_TIME_MS] = value_of(&query);
}
