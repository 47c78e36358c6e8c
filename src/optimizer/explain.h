/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging a plan: what in it costs more than it should, and what to do about it.
 *
 *     plan_read(&arena, text, &plan, &problem); explain_judge(&arena, plan, &report);
 *     explain_write(&writer, &report);
 *
 * Pure: the same plan gives the same report. Thread: any. The report lives in the arena.
 */
#ifndef TURNOUT_OPTIMIZER_EXPLAIN_H
#define TURNOUT_OPTIMIZER_EXPLAIN_H

#include "optimizer/plan.h"
#include "optimizer/rules.h"

struct finding {
    struct finding *next;
    const struct plan_node *node; /* NULL: it is about the statement */
    enum rule_e rule;
    enum finding_severity_e severity;
    struct slice where;    /* a readable path to the node */
    struct slice message;  /* one English sentence with figures and a next step */
    struct slice evidence; /* the figures: a JSON object */
    unsigned similar;      /* partitions beside it with the same finding */
};

struct explain_report {
    double execution_ms; /* of all statements; PLAN_ABSENT without ANALYZE */
    struct finding *findings; /* most severe first, then in the plan's order */
    size_t finding_count;
    struct slice *indexes; /* names of the indexes that the plan uses, each once */
    size_t index_count;
};

/* What comes later in the plan than this many findings is left out. */
enum { EXPLAIN_FINDINGS_MAX = 1000 };

/* ERR_NO_MEMORY when the arena is full. */
enum err_e explain_judge(struct arena *arena, const struct plan_statement *statements,
                         struct explain_report *ret_report) MUST_CHECK;

/* {"execution_ms":…,"findings":[{rule,severity,node,message,evidence}],"indexes":[…]} */
void explain_write(struct json_writer *w, const struct explain_report *report);

#endif
