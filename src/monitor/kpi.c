/* SPDX-License-Identifier: Apache-2.0 */
/* Values against goals. */
#include "monitor/kpi.h"

#include "base/assert.h"

#include <math.h>

static const struct kpi_row rows[KPI_COUNT] = {
#define X(key, comparison, goal, unit, meaning) {#key, KPI_##comparison, goal, unit, meaning},
    KPI_TABLE(X)
#undef X
};

const struct kpi_row *kpi_row(enum kpi_e kpi) {
    ASSERT((unsigned)kpi < KPI_COUNT);
    return &rows[kpi];
}

const char *kpi_status_text(enum kpi_status_e status) {
    static const char *const words[] = {
#define X(name, word) word,
        KPI_STATUS_TABLE(X)
#undef X
    };
    return words[status];
}

const char *kpi_comparison_text(enum kpi_comparison_e comparison) {
    switch (comparison) {
    case KPI_BELOW:
        return "<";
    case KPI_ABOVE:
        return ">";
    case KPI_AT_LEAST:
        return ">=";
    }
    UNREACHABLE();
}

static bool holds(enum kpi_comparison_e comparison, double value, double goal) {
    switch (comparison) {
    case KPI_BELOW:
        return value < goal;
    case KPI_ABOVE:
        return value > goal;
    case KPI_AT_LEAST:
        return value >= goal;
    }
    UNREACHABLE();
}

enum kpi_status_e kpi_judge(const struct kpi_row *row, double value) {
    if (isnan(value)) {
        return KPI_UNKNOWN;
    }
    if (!holds(row->comparison, value, row->goal)) {
        return KPI_MISSED;
    }
    double margin = row->goal / 10;
    bool is_clear = row->comparison == KPI_BELOW ? value < row->goal - margin
                                                 : value > row->goal + margin;
    return is_clear ? KPI_MET : KPI_AT_RISK;
}

double kpi_value(const struct view *view, enum kpi_e kpi) {
    switch (kpi) {
    case KPI_api_response_ms:
        return view->api.times.avg_ms;
    case KPI_db_query_ms:
        return view->db.times.avg_ms;
    case KPI_cache_hit_rate:
        return view->hit_rate;
    case KPI_memory_percent:
        return view->health.memory_percent;
    case KPI_cpu_percent:
        return view->health.cpu_percent;
    case KPI_concurrent_users:
        return view->connections_peak;
    case KPI_throughput_tps:
        return view->api.times.count == 0 && view->db.times.count == 0 ? NAN : view->tps_peak;
    case KPI_COUNT:
        break;
    }
    UNREACHABLE();
}
