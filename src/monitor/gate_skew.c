/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison of one gate with the others. */
#include "monitor/gate_skew.h"

#include <stdio.h>
#include <stdlib.h>

/* Busiest first; of equal ones, by code. */
static int compare_loads(const void *left, const void *right) {
    const struct gate_load *a = left, *b = right;
    if (a->scans != b->scans) {
        return a->scans < b->scans ? 1 : -1;
    }
    return slice_order(a->code, b->code);
}

/* Of the gates behind the first. */
struct siblings {
    size_t in_use;  /* open, and somebody was there */
    int64_t scans;  /* at those */
    const struct gate_load *relief;
};

/* An open gate before a closed one, then the one with fewer scans, then the first by code. */
static bool is_better(const struct gate_load *load, const struct gate_load *relief) {
    if (relief == NULL || load->is_open != relief->is_open) {
        return relief == NULL || load->is_open;
    }
    return load->scans < relief->scans;
}

static void look_at(struct siblings *siblings, const struct gate_load *load) {
    if (load->is_open) {
        siblings->in_use += load->scans > 0;
        siblings->scans += load->scans;
    }
    if (is_better(load, siblings->relief)) {
        siblings->relief = load;
    }
}

static double average(const struct siblings *siblings, double minutes) {
    return siblings->in_use == 0 ? 0
                                 : (double)siblings->scans / (double)siblings->in_use / minutes;
}

static void list_loads(const struct gate_load *loads, size_t len, char ret[GATE_SKEW_LOADS_SIZE]) {
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < len && i < GATE_SKEW_LISTED; i++) {
        at += (size_t)snprintf(ret + at, GATE_SKEW_LOADS_SIZE - at, "%s%.*s %lld",
                               i == 0 ? "" : ", ", SLICE_ARG(loads[i].code),
                               (long long)loads[i].scans);
    }
    if (len > GATE_SKEW_LISTED) {
        snprintf(ret + at, GATE_SKEW_LOADS_SIZE - at, ", …");
    }
}

bool gate_skew_find(struct slice event, struct gate_load *loads, size_t len, double minutes,
                    struct gate_skew *ret_skew) {
    if (len < 2 || !(minutes > 0)) {
        return false;
    }
    qsort(loads, len, sizeof loads[0], compare_loads);
    struct siblings siblings = {.in_use = 0};
    for (size_t i = 1; i < len; i++) {
        look_at(&siblings, &loads[i]);
    }
    const struct gate_load *busiest = &loads[0], *relief = siblings.relief;
    double per_minute = (double)busiest->scans / minutes;
    double others = average(&siblings, minutes);
    if (per_minute < GATE_SKEW_PER_MINUTE || !(per_minute > GATE_SKEW_TIMES * others)) {
        return false;
    }
    *ret_skew = (struct gate_skew){
        .per_minute = per_minute,
        .siblings_per_minute = others,
        .relief_is_open = relief->is_open,
        .relief_per_minute = (double)relief->scans / minutes,
        .after_per_minute = (double)(busiest->scans + relief->scans) / 2 / minutes,
    };
    list_loads(loads, len, ret_skew->loads);
    return slice_to_cstr(event, ret_skew->event, sizeof ret_skew->event) &&
           slice_to_cstr(busiest->code, ret_skew->gate, sizeof ret_skew->gate) &&
           slice_to_cstr(relief->code, ret_skew->relief, sizeof ret_skew->relief);
}
