/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns a statement as a whole: workers, compilation, triggers, planning, settings. */
#include "optimizer/explain_priv.h"

void check_workers(struct finder *f, const struct plan_node *node) {
    double planned = plan_number(node->json, "Workers Planned");
    double launched = plan_number(node->json, "Workers Launched");
    if (planned <= 0 || launched < 0 || launched >= planned || !plan_ran(node)) {
        return;
    }
    struct json_writer *w =
        finding_begin(f, RULE_WORKERS, node, 100 * (planned - launched) / planned);
    if (w != NULL) {
        finding_put(w, "workers_planned", planned, 0);
        finding_put(w, "workers_launched", launched, 0);
        finding_end(f, "%.0f of %.0f planned parallel workers came: the pool is used up, so raise "
                       "max_parallel_workers (and max_worker_processes) or plan fewer a statement.",
                    launched, planned);
    }
}

void check_jit(struct finder *f, const struct plan_statement *statement) {
    const struct json_t *jit = json_get(statement->json, "JIT");
    const struct json_t *timing = jit == NULL ? NULL : json_get(jit, "Timing");
    double ms = timing == NULL ? PLAN_ABSENT : plan_number(timing, "Total");
    if (ms <= RULE_JIT_FLOOR_MS || statement->execution_ms <= 0) {
        return;
    }
    double percent = 100 * ms / statement->execution_ms;
    struct json_writer *w = finding_begin(f, RULE_JIT, NULL, percent);
    if (w != NULL) {
        double functions = plan_number(jit, "Functions");
        finding_put(w, "jit_ms", ms, 3);
        finding_put(w, "execution_ms", statement->execution_ms, 3);
        finding_put(w, "jit_percent", percent, 1);
        if (functions >= 0) {
            finding_put(w, "functions", functions, 0);
        }
        finding_where(f, "JIT");
        finding_end(f, "Just-in-time compilation took %.1f ms of %.1f ms (%.0f %%): raise "
                       "jit_above_cost, or set jit = off for statements this short.",
                    ms, statement->execution_ms, percent);
    }
}

static void check_trigger(struct finder *f, const struct json_t *trigger, double execution_ms) {
    double ms = plan_number(trigger, "Time");
    if (ms <= RULE_TRIGGER_FLOOR_MS) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_TRIGGER, NULL, 100 * ms / execution_ms);
    if (w == NULL) {
        return;
    }
    struct slice constraint = plan_text(trigger, "Constraint Name");
    bool is_constraint = constraint.len > 0;
    struct slice name =
        finding_clip(is_constraint ? constraint : plan_text(trigger, "Trigger Name"));
    struct slice table = finding_clip(plan_text(trigger, "Relation"));
    double calls = plan_number(trigger, "Calls");
    json_put_text(w, is_constraint ? "constraint" : "trigger", name);
    finding_put(w, "trigger_ms", ms, 3);
    finding_put(w, "execution_ms", execution_ms, 3);
    finding_put(w, "calls", calls >= 0 ? calls : 0, 0);
    finding_where(f, "%s %.*s on %.*s", is_constraint ? "Constraint" : "Trigger", SLICE_ARG(name),
                  SLICE_ARG(table));
    finding_end(f, "It took %.1f ms of %.1f ms in %.0f calls: %s.", ms, execution_ms,
                calls >= 0 ? calls : 0,
                is_constraint ? "index the referencing columns of the foreign key, and delete or "
                                "update in fewer rows"
                              : "make the trigger cheaper, or a statement-level one with a "
                                "transition table");
}

void check_triggers(struct finder *f, const struct plan_statement *statement) {
    const struct json_t *triggers = json_get(statement->json, "Triggers");
    if (triggers == NULL || json_kind(triggers) != JSON_KIND_ARRAY ||
        statement->execution_ms <= 0) {
        return;
    }
    for (size_t i = 0; i < json_count(triggers); i++) {
        check_trigger(f, json_at(triggers, i), statement->execution_ms);
    }
}

void check_planning(struct finder *f, const struct plan_statement *statement) {
    if (statement->execution_ms < 0 || statement->planning_ms <= statement->execution_ms) {
        return;
    }
    struct json_writer *w = finding_begin(f, RULE_PLANNING, NULL, statement->planning_ms);
    if (w != NULL) {
        finding_put(w, "planning_ms", statement->planning_ms, 3);
        finding_put(w, "execution_ms", statement->execution_ms, 3);
        finding_where(f, "Planning");
        finding_end(f, "Planning took %.1f ms, executing only %.1f ms: prepare the statement once, "
                       "name the partition key in its condition, or keep fewer partitions, indexes "
                       "and joins.",
                    statement->planning_ms, statement->execution_ms);
    }
}

struct forced {
    struct json_writer *to; /* NULL: only count */
    unsigned count;
};

static bool visit_setting(struct slice key, const struct json_t *value, void *data) {
    struct forced *forced = data;
    bool is_off = json_kind(value) == JSON_KIND_STRING && slice_eq_text(json_text(value), "off");
    if (is_off && slice_starts_with(key, SLICE_LIT("enable_"))) {
        forced->count++;
        if (forced->to != NULL) {
            json_add_text(forced->to, finding_clip(key));
        }
    }
    return true;
}

void check_settings(struct finder *f, const struct plan_statement *statement) {
    const struct json_t *settings = json_get(statement->json, "Settings");
    if (settings == NULL || json_kind(settings) != JSON_KIND_OBJECT) {
        return;
    }
    struct forced forced = {0};
    json_each(settings, visit_setting, &forced);
    struct json_writer *w = finding_begin(f, RULE_FORCED, NULL, forced.count);
    if (w != NULL) {
        struct forced listed = {.to = w};
        json_key(w, "settings_off");
        json_begin_array(w);
        json_each(settings, visit_setting, &listed);
        json_end_array(w);
        finding_where(f, "Settings");
        finding_end(f, "Planner methods are turned off by settings (%u of enable_*): such a plan "
                       "says little about production; reset them, and mend costs or statistics "
                       "instead.",
                    forced.count);
    }
}
