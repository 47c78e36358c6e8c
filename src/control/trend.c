/* SPDX-License-Identifier: Apache-2.0 */
/* A ring that forgets from its old end. */
#include "control/trend.h"

#include "control/snapshot.h"

void trend_init(struct trend *trend) {
    *trend = (struct trend){.len = 0};
}

static const struct trend_point *point_at(const struct trend *trend, size_t index) {
    return &trend->points[(trend->first + index) % TREND_POINTS];
}

static void forget(struct trend *trend) {
    trend->first = (trend->first + 1) % TREND_POINTS;
    trend->len--;
}

static void keep(struct trend *trend, double sample, int64_t now_ms, int64_t over_ms) {
    bool is_apart = trend->len == 0 ||
                    now_ms - point_at(trend, trend->len - 1)->at_ms >= over_ms / TREND_PARTS;
    if (!is_apart) {
        return;
    }
    if (trend->len == TREND_POINTS) {
        forget(trend);
    }
    trend->points[(trend->first + trend->len++) % TREND_POINTS] =
        (struct trend_point){now_ms, sample};
}

double trend_step(struct trend *trend, double sample, int64_t now_ms, int64_t over_ms) {
    while (trend->len > 0 && now_ms - point_at(trend, 0)->at_ms > 2 * over_ms) {
        forget(trend);
    }
    if (!figure_is_known(sample)) {
        return FIGURE_MISSING;
    }
    const struct trend_point *then = NULL;
    for (size_t i = 0; i < trend->len && now_ms - point_at(trend, i)->at_ms >= over_ms; i++) {
        then = point_at(trend, i);
    }
    double change = then == NULL || then->at_ms == now_ms
                        ? FIGURE_MISSING
                        : (sample - then->value) * 1000 / (double)(now_ms - then->at_ms);
    keep(trend, sample, now_ms, over_ms);
    return change;
}
