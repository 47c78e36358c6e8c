/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which index a scan misses, if its conditions say so beyond doubt. Nothing is advised when a part
 * of a condition is not understood: that part may be the selective one.
 * Pure; thread: any.
 */
#ifndef TURNOUT_OPTIMIZER_INDEX_ADVICE_H
#define TURNOUT_OPTIMIZER_INDEX_ADVICE_H

#include "optimizer/plan.h"

/* A wider index serves few other statements and slows every write. */
enum { ADVICE_COLUMNS_MAX = 4 };

struct index_advice {
    struct slice table; /* quoted where it must be; of a partition its parent */
    struct slice columns[ADVICE_COLUMNS_MAX]; /* as printed in the plan */
    size_t count;
    struct slice text; /* "attendance_records (gate_id, \"timestamp\")" */
};

/* An index for all conditions of a table scan. False: none that is sure to help. */
bool advise_for_conditions(struct arena *arena, const struct plan_node *scan,
                           struct index_advice *ret_advice);

/* An index that gives the rows in the order of a Sort's keys, after the scan's equalities. */
bool advise_for_order(struct arena *arena, const struct plan_node *scan,
                      const struct plan_node *sort, struct index_advice *ret_advice);

/* The partitioned table that a partition belongs to, by its name's end (_2026_q4, _2026_12,
 * _2026_w07) or its numbered alias under Append; the table's own name when it is none. */
struct slice partition_parent(const struct plan_node *scan);
/* The alias without the number that tells the partitions of one table apart. */
struct slice alias_stem(struct slice alias);

#endif
