/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a snapshot. */
#include "control/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

/* The shortest decimal text that reads back as the same number; what is missing is null. */
static void put_number(struct json_writer *w, const char *key, double value) {
    char text[32];
    json_key(w, key);
    if (!figure_is_known(value)) {
        json_add_null(w);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    json_add_raw(w, slice_of(text));
}

static void write_node(struct json_writer *w, const struct node_figures *node) {
    json_begin_object(w);
    json_put_text(w, "id", node->id);
    json_put_bool(w, "healthy", node->healthy);
#define X(name, highest) put_number(w, #name, node->name);
    NODE_FIGURE_TABLE(X)
#undef X
    if (node->age_ms > 0) {
        put_number(w, "age", (double)node->age_ms / 1000);
    }
    json_end_object(w);
}

static void write_effects(struct json_writer *w, const struct snapshot *snapshot) {
    json_key(w, "effects");
    json_begin_array(w);
    for (size_t i = 0; i < snapshot->effects_len; i++) {
        json_begin_object(w);
        json_put_text(w, "rule", snapshot->effects[i].rule);
        json_put_text(w, "action", snapshot->effects[i].action);
        json_put_cstr(w, "effect", effect_text(snapshot->effects[i].effect));
        if (snapshot->effects[i].age_ms > 0) {
            put_number(w, "age", (double)snapshot->effects[i].age_ms / 1000);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

void snapshot_write(struct json_writer *w, const struct snapshot *snapshot) {
    put_number(w, "t", snapshot->t);
    if (snapshot->is_standby) {
        json_put_bool(w, "standby", true);
    }
    if (snapshot->has_nodes) {
        json_key(w, "nodes");
        json_begin_array(w);
        for (size_t i = 0; i < snapshot->nodes_len; i++) {
            write_node(w, &snapshot->nodes[i]);
        }
        json_end_array(w);
    }
    json_key(w, "metrics");
    json_begin_object(w);
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        put_number(w, metric_text((enum metric_e)i), snapshot->metrics[i]);
    }
    json_end_object(w);
    if (snapshot->effects_len > 0) {
        write_effects(w, snapshot);
    }
}
